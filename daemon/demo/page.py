"""The run as one HTML file that needs nothing else: three charts in SVG and the timelines, in light and dark."""

from collections.abc import Callable, Iterable, Sequence
from html import escape

from daemon.demo.acts import Played
from daemon.demo.marks import Turn, turns
from daemon.demo.series import Curve, Curves, Series
from daemon.demo.timeline import Step

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 920.0, 150.0, 52.0, 22.0
_COLOURS = ("#4c78a8", "#54a24b", "#e45756", "#b279a2", "#f58518", "#72b7b2")

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #6b7280; --line: #d6d9de; --ground: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --soft: #9aa0a6; --line: #3c4043; --ground: #16181b; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.05rem; margin: 1.6rem 0 .2rem; } p { color: var(--soft); margin: .2rem 0 .8rem; }
svg { width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 12px; }
.axis { stroke: var(--line); } .turn { stroke: var(--soft); stroke-dasharray: 3 3; }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
table { border-collapse: collapse; } td { padding: .12rem 1rem .12rem 0; vertical-align: top; }
td.t { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; } td.d { color: var(--soft); }
.key span { margin-right: 1.2rem; } .key i { display: inline-block; width: .8rem; height: .8rem; margin-right: .35rem; }
"""


def page(series: Series, acts: Sequence[tuple[Played, tuple[Step, ...]]]) -> str:
    """The whole document."""
    shade = {version: _COLOURS[i % len(_COLOURS)] for i, version in enumerate(series.versions)}
    marked = turns([played for played, _ in acts])
    latencies = [value for curves in series.versions.values() for value in curves.p50_ms if value is not None]
    rates = [value for curves in series.versions.values() for value in curves.error_rate if value is not None]
    charts = (
        ("Share of the traffic, %", 100.0, _share),
        ("Failed requests, %", max(5.0, max(rates, default=0.0) * 1.1), _error_rate),
        ("Median latency, ms", max(10.0, max(latencies, default=0.0) * 1.2), _p50),
    )
    body = "".join(
        f"<h2>{escape(title)}</h2>{_chart(series, marked, top=top, pick=pick, shade=shade)}" for title, top, pick in charts
    )
    key = "".join(f'<span><i style="background:{colour}"></i>{escape(version)}</span>' for version, colour in shade.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>verdictd demo</title><style>{_STYLE}</style></head><body><h1>verdictd demo</h1>"
        "<p>Every value was measured by the load generator, one request at a time, outside verdictd.</p>"
        f'<p class="key">{key}</p>{body}{"".join(_act(played, steps) for played, steps in acts)}</body></html>\n'
    )


def _share(curves: Curves) -> Curve:
    return curves.share


def _error_rate(curves: Curves) -> Curve:
    return curves.error_rate


def _p50(curves: Curves) -> Curve:
    return curves.p50_ms


def _chart(series: Series, marked: Sequence[Turn], *, top: float, pick: Callable[[Curves], Curve], shade: dict[str, str]) -> str:
    length = series.at[-1] + series.at[0]

    def x(seconds: float) -> float:
        return _LEFT + seconds / length * (_WIDTH - _LEFT)

    def y(value: float) -> float:
        return 18.0 + (1.0 - min(value, top) / top) * (_HEIGHT - _BOTTOM - 18.0)

    parts = [f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img">']
    for value in (0.0, top / 2, top):
        parts.append(f'<line class="axis" x1="{_LEFT:g}" x2="{_WIDTH:g}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6:g}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    parts += [
        f'<text x="{x(second):.1f}" y="{_HEIGHT - 4:g}" text-anchor="middle">{second} s</text>'
        for second in range(10, int(length), 10)
    ]
    for turn in marked:
        at = x(turn.at - series.begin)
        parts.append(f'<line class="turn" x1="{at:.1f}" x2="{at:.1f}" y1="14" y2="{_HEIGHT - _BOTTOM:g}"/>')
        parts.append(
            f'<text x="{at:.1f}" y="11" text-anchor="middle">{escape(turn.sign)}<title>{escape(turn.meaning)}</title></text>'
        )
    for version, curves in series.versions.items():
        path = _path([(x(t), y(v)) if v is not None and s else None for t, v, s in _points(series, curves, pick)])
        parts.append(f'<path class="curve" stroke="{shade[version]}" d="{path}"><title>{escape(version)}</title></path>')
    return "".join([*parts, "</svg>"])


def _points(series: Series, curves: Curves, pick: Callable[[Curves], Curve]) -> Iterable[tuple[float, float | None, float | None]]:
    return zip(series.at, pick(curves), curves.share, strict=True)


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    """An SVG path that is interrupted where there is no point."""
    words, pen_down = [], False
    for point in points:
        if point is not None:
            words.append(f"{'L' if pen_down else 'M'}{point[0]:.1f} {point[1]:.1f}")
        pen_down = point is not None
    return "".join(words)


def _act(played: Played, steps: tuple[Step, ...]) -> str:
    zero = next((step.at for step in steps if step.at is not None), 0.0)
    rows = "".join(
        f'<tr><td>{escape(step.label)}</td><td class="t">{"" if step.at is None else f"{step.at - zero:+.3f} s"}</td>'
        f'<td class="d">{escape(step.detail)}</td></tr>'
        for step in steps
    )
    verdict = played.record.verdict
    return (
        f"<h2>Act {played.act.number}: {escape(played.act.title)}</h2>"
        f"<p><b>{escape(verdict.outcome)}</b>: {escape(verdict.reason)}</p><table>{rows}</table>"
    )
