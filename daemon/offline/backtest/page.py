"""A backtest as one HTML file that needs nothing else: the answers, the table, and for each release what it served and why."""

from collections.abc import Iterator
from html import escape
from pathlib import Path

from daemon import recordings
from daemon.courses import Drawn
from daemon.courses.shapes import Course
from daemon.offline.backtest.moments import shown
from daemon.offline.backtest.past import arm_words
from daemon.offline.backtest.results import Backtest, Row
from daemon.offline.backtest.words import QUESTION, cells, headings, reasons, verdict_words
from daemon.offline.plotting.html import WatchDrawn, document, place_of_watch, table


def page(told: Backtest) -> str:
    """The whole document.

    Raises:
        InvalidInput: a recording cannot be read any more.
    """
    services = sorted({f"{row.past.release.namespace}/{row.past.release.service}" for row in told.rows})
    watches = [WatchDrawn(course=_course(Path(row.recording))) for row in told.rows if _is_drawn(row) and row.recording is not None]
    return document(f"backtest of {', '.join(services)}", _sections(told), watches=watches)


def _sections(told: Backtest) -> Iterator[str]:
    yield f'<p class="lead">{escape(QUESTION)}</p><ul>{"".join(f"<li>{escape(answer)}</li>" for answer in told.answers)}</ul>'
    heads = "".join(f'<th scope="col">{escape(one)}</th>' for one in headings(told))
    yield f'<table class="said-of"><thead><tr>{heads}</tr></thead>'
    for number, row in enumerate(told.rows):
        first, *others = cells(row, policies=len(told.policies))
        linked = f'<td><a href="#r{number}">{escape(first)}</a></td>'
        yield f"<tr>{linked}{''.join(f'<td>{escape(one)}</td>' for one in others)}</tr>"
    yield "</table>"
    for number, row in enumerate(told.rows):
        yield f'<h2 id="r{number}">{escape(shown(row.past.begin))} {escape(arm_words(row.past.release.canary))}</h2>'
        yield from _release(row)


def _release(row: Row) -> Iterator[str]:
    yield table([(one.policy, verdict_words(one)) for one in row.verdicts])
    yield "".join(f"<p>{escape(one)}</p>" for one in reasons(row))
    if _is_drawn(row):
        yield place_of_watch()
        yield f'<p class="soft">verdictd explain <code>{escape(row.recording or "")}</code></p>'


def _is_drawn(row: Row) -> bool:
    return row.recording is not None and not row.problem


def _course(recording: Path) -> Course:
    """What was served. Which policy's tolerances would be drawn, is not said: there may be several."""
    header, samples = recordings.read(recording)
    drawn = Drawn()
    for sample in samples:
        drawn.add(sample, None, t=sample.t, bounds_ms=header.bounds_ms)
    return drawn.course()
