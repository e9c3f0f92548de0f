"""An account as one HTML file that needs nothing else: the words, and three charts in SVG, in light and dark."""

from collections.abc import Iterator
from html import escape

from daemon.offline.explain import words
from daemon.offline.explain.account import Account, Curves
from daemon.offline.explain.amounts import amount, figures
from daemon.offline.explain.plot import scale_of
from daemon.offline.plotting.html import document, table
from daemon.offline.plotting.svg import Chart, Line, key, svg

_SUM, _CANARY, _BASELINE = "#e45756", "#e45756", "#4c78a8"
_LEGS = ("#b279a2", "#72b7b2", "#54a24b", "#f58518", "#4c78a8", "#9d755d")


def page(told: Account) -> str:
    """The whole document."""
    title = f"{told.outcome}: {told.namespace}/{told.service}, canary {told.canary}"
    return document(title, [f'<p class="lead">{escape(told.reason)}.</p>', *_sections(told)])


def _sections(told: Account) -> Iterator[str]:
    yield table([(name, text) for name, text in words.facts(told)])
    if told.curves is not None:
        yield from _charts(told, told.curves)
    if told.findings:
        yield f'<h2>What each line of evidence says</h2><p class="soft">{escape(words.LEGEND)}</p>'
        yield "<table><tr><th>line<th>against its tolerance<th></tr>"
        for finding in told.findings:
            standing = words.standing(finding, told)
            yield (
                f'<tr><td>{escape(finding.leg)}<td class="{escape(standing)}">{escape(standing)}'
                f"<td>{escape(words.said(finding))}</tr>"
            )
        yield "</table>"
    missing = list(words.missing(told))
    if missing:
        yield f"<h2>What was missing</h2><ul>{''.join(f'<li>{escape(one)}' for one in missing)}</ul>"
    if told.steps:
        yield "<h2>Timeline</h2><table>"
        for step in told.steps:
            yield (
                f'<tr><td class="n">{step.after_seconds:.3f} s<td class="n soft">+{step.took_seconds:.3f}'
                f"<td>{escape(step.step)}<td>{escape(step.detail)}</tr>"
            )
        yield "</table>"
    if told.fixed_horizon:
        yield f"<h2>{words.CLASSICAL}</h2>{table(list(figures(told.fixed_horizon)))}"
    yield f"<h2>To check it</h2>{table(list(words.provenance(told)))}"


def _charts(told: Account, curves: Curves) -> Iterator[str]:
    total = Line(name="all together", values=curves.evidence, colour=_SUM)
    yield from _evidence("that the canary is worse at all", curves, curves.legs, more=[total], enough=told.boundary)
    yield from _evidence("that it is worse than tolerated", curves, curves.beyond, more=[], enough=told.beyond_boundary)
    yield from _pair("Failed requests in each tick, %", curves, curves.canary_error_rate, curves.baseline_error_rate, factor=100.0)
    yield from _pair("Mean latency in each tick, ms", curves, curves.canary_mean_ms, curves.baseline_mean_ms, factor=1.0)


def _evidence(what: str, curves: Curves, legs: dict[str, list[float]], *, more: list[Line], enough: float) -> Iterator[str]:
    """One of the two bodies of evidence that a rollback needs."""
    strongest = [max(values) for values in zip(*legs.values(), strict=True)]
    scale = scale_of(curves.evidence if more else strongest, boundary=enough)
    marks = [(value, amount(value)) for value in dict.fromkeys((scale.bottom, 1.0, enough, scale.top))]
    lines = [
        *(
            Line(name=name, values=values, colour=_LEGS[number % len(_LEGS)], thin=bool(more))
            for number, (name, values) in enumerate(legs.items())
        ),
        *more,
    ]
    yield f'<h2>Evidence {what} (logarithmic; dashed: enough)</h2><p class="key">{key(lines)}</p>'
    yield svg(Chart(t=curves.t, lines=lines, place=scale.place, marks=marks, limit=enough, height=260.0 if more else 160.0))


def _pair(title: str, curves: Curves, canary: list[float | None], baseline: list[float | None], *, factor: float) -> Iterator[str]:
    """Both arms in one chart; nothing at all when neither has a value."""
    arms = (("baseline", baseline, _BASELINE), ("canary", canary, _CANARY))
    lines = [
        Line(name=name, values=[None if value is None else factor * value for value in values], colour=colour)
        for name, values, colour in arms
    ]
    top = max((value for line in lines for value in line.values if value is not None), default=None)
    if top is None:
        return
    top = top or 1.0
    marks = [(value, f"{value:.3g}") for value in (0.0, top / 2.0, top)]
    yield f'<h2>{escape(title)}</h2><p class="key">{key(lines)}</p>'
    yield svg(Chart(t=curves.t, lines=lines, place=lambda value: value / top, marks=marks))
