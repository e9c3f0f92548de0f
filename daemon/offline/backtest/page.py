"""A backtest as one HTML file that needs nothing else: the answers, the table, and for each release what it served and why."""

from collections.abc import Iterator
from html import escape
from pathlib import Path

from analyzers.counts import Arm
from daemon import recordings
from daemon.offline.backtest.moments import shown
from daemon.offline.backtest.past import arm_words
from daemon.offline.backtest.results import Backtest, Row
from daemon.offline.backtest.words import QUESTION, cells, headings, reasons, verdict_words
from daemon.offline.plotting.html import document, table
from daemon.offline.plotting.svg import Chart, Line, key, svg

_CANARY, _BASELINE = "#e45756", "#4c78a8"
_HEIGHT = 130.0


def page(told: Backtest) -> str:
    """The whole document.

    Raises:
        InvalidInput: a recording cannot be read any more.
    """
    services = sorted({f"{row.past.release.namespace}/{row.past.release.service}" for row in told.rows})
    return document(f"backtest of {', '.join(services)}", _sections(told))


def _sections(told: Backtest) -> Iterator[str]:
    yield f'<p class="lead">{escape(QUESTION)}</p><ul>{"".join(f"<li>{escape(answer)}" for answer in told.answers)}</ul>'
    yield f"<table><tr>{''.join(f'<th>{escape(one)}' for one in headings(told))}</tr>"
    for number, row in enumerate(told.rows):
        first, *others = cells(row, policies=len(told.policies))
        yield f'<tr><td><a href="#r{number}">{escape(first)}</a>{"".join(f"<td>{escape(one)}" for one in others)}</tr>'
    yield "</table>"
    for number, row in enumerate(told.rows):
        yield f'<h2 id="r{number}">{escape(shown(row.past.begin))} {escape(arm_words(row.past.release.canary))}</h2>'
        yield from _release(row)


def _release(row: Row) -> Iterator[str]:
    yield table([(one.policy, verdict_words(one)) for one in row.verdicts])
    yield "".join(f"<p>{escape(one)}</p>" for one in reasons(row))
    if row.recording is not None and not row.problem:
        yield from _charts(Path(row.recording))
        yield f'<p class="soft">verdictd explain <code>{escape(row.recording)}</code></p>'


def _charts(recording: Path) -> Iterator[str]:
    _, read = recordings.read(recording)
    samples = list(read)
    t = [sample.t for sample in samples]
    arms = (("baseline", [one.baseline for one in samples], _BASELINE), ("canary", [one.canary for one in samples], _CANARY))
    for title, of in (("failed requests in each tick, %", _failed_percent), ("mean latency in each tick, ms", _mean_ms)):
        lines = [Line(name=name, values=[of(arm) for arm in values], colour=colour) for name, values, colour in arms]
        top = max((value for line in lines for value in line.values if value is not None), default=None)
        if top is not None:
            yield f'<p class="key">{escape(title)}: {key(lines)}</p>{_chart(t, lines, top=top or 1.0)}'


def _chart(t: list[float], lines: list[Line], *, top: float) -> str:
    marks = [(value, f"{value:.3g}") for value in (0.0, top / 2.0, top)]
    return svg(Chart(t=t, lines=lines, place=lambda value: value / top, marks=marks, height=_HEIGHT))


def _failed_percent(arm: Arm | None) -> float | None:
    return 100.0 * arm.errors / arm.requests if arm is not None and arm.requests else None


def _mean_ms(arm: Arm | None) -> float | None:
    if arm is None or arm.latency is None or not sum(arm.latency.counts):
        return None
    return arm.latency.sum_ms / sum(arm.latency.counts)
