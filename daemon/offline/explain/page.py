"""An account as one HTML file that needs nothing else: the words, and the charts of the daemon's own page."""

from collections.abc import Iterator
from html import escape
from typing import Final

from daemon.courses.shapes import Course
from daemon.offline.explain import words
from daemon.offline.explain.account import Account
from daemon.offline.explain.amounts import figures
from daemon.offline.plotting.html import StepDrawn, WatchDrawn, document, place_of_watch, table

_DRAWN: Final = {"decided", "patch_sent", "confirmed", "traffic_left", "canary_silent"}


def page(told: Account, course: Course | None) -> str:
    """The whole document. ``course``: from the recording, where there is one."""
    title = f"{told.outcome}: {told.namespace}/{told.service}, canary {told.canary}"
    watch = WatchDrawn(
        course=course or Course(), findings=told.findings, leg=told.leg, boundary=told.boundary, steps=tuple(_steps(told))
    )
    return document(title, _sections(told), watches=[watch], outcome=told.outcome)


def _steps(told: Account) -> Iterator[StepDrawn]:
    """Those that say what became of the traffic, in seconds of the watch."""
    begun = next((step.at for step in reversed(told.steps) if step.step == "watching"), None)
    if begun is not None:
        for step in told.steps:
            if step.step in _DRAWN:
                yield StepDrawn(t=step.at - begun, label=step.step.replace("_", " "))


def _sections(told: Account) -> Iterator[str]:
    yield f'<p class="lead">{escape(told.reason)}.</p>'
    yield table(words.facts(told))
    yield place_of_watch(_findings(told) if told.findings else "")
    missing = list(words.missing(told))
    if missing:
        yield f"<h2>What was missing</h2><ul>{''.join(f'<li>{escape(one)}</li>' for one in missing)}</ul>"
    if told.steps:
        yield '<h2>Timeline</h2><table class="steps">'
        for step in told.steps:
            cells = (f"{step.after_seconds:.3f} s", f"+{step.took_seconds:.3f}", "", step.step, step.detail)
            yield f"<tr>{''.join(f'<td>{escape(one)}</td>' for one in cells)}</tr>"
        yield "</table>"
    if told.fixed_horizon:
        yield f"<h2>{words.CLASSICAL}</h2>{table(figures(told.fixed_horizon))}"
    yield f"<h2>To check it</h2>{table(words.provenance(told))}"


def _findings(told: Account) -> str:
    return f'<p class="soft">{escape(words.LEGEND)}</p>' + table(
        (f"{finding.leg}: {words.standing(finding, told)}", words.said(finding)) for finding in told.findings
    )
