"""Releases and verdicts as a person reads them. What came from outside is shown without its control characters."""

import json
import math
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO, assert_never

import msgspec

from analyzers.ruling import Finding
from daemon.errors import VerdictdError
from daemon.interventions import Freeze, OpenQuestion
from daemon.model import Action, Outcome, Release, Stage, TimedStep, Verdict
from daemon.ports.awaiting import WaitingAnnouncement
from daemon.releaseview import ReleaseView

_BAR = 20
_HEARTBEAT_SECONDS = 14.0
_LEAST_WAITING = 24
"""Columns below which it is not said what is waited for."""
_COMMAND = re.compile(r"##(?=\w*\[)")
_TAKEN_FOR = {"promote": "a promotion", "rollback": "a rollback"}
"""What a policy can take an inconclusive verdict for."""


def clean(text: str) -> str:
    """The text on one line, with what could move the cursor or colour the terminal shown as a question mark.

    ``##[`` and ``##vso[`` are commands to the runners of some CIs wherever in a line they stand: these are words of ours only.
    """
    line = "".join(one if one.isprintable() else " " if one.isspace() else "?" for one in text).rstrip()
    return _COMMAND.sub("#?", line)


def as_json(value: Any) -> str:
    """One line of JSON. The name of a file need not be text: what is none is escaped, as what ``clean`` changes is."""
    try:
        text = msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(value), separators=(",", ":"))
    return _COMMAND.sub(r"#\\u0023", text)


def as_indented_json(value: Any) -> str:
    """JSON for reading."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def bar(evidence: float, boundary: float | None) -> str:
    """How far the evidence is on its way to the boundary, on a logarithmic scale, where 1 is none."""
    if boundary is None or boundary <= 1.0:
        return "." * _BAR
    share = math.log(evidence) / math.log(boundary) if evidence > 1.0 else 0.0
    full = round(_BAR * min(1.0, share))
    return "#" * full + "." * (_BAR - full)


def number(value: float) -> str:
    """Three digits, without an exponent where a person would not write one."""
    return f"{value:.3g}" if abs(value) < 1e6 else f"{value:.1e}"


def progress(view: ReleaseView, *, columns: int | None = None) -> str:
    """One line on a release that is being watched, the most important first.

    Within ``columns`` stands what fits whole: a number that is cut is another number. Only what is waited for is cut, at a word.
    """
    bound = "" if view.boundary is None else f" of {number(view.boundary)}"
    line = clean(f"{view.id} {view.stage}" + ("" if view.after is None else f" after {view.after}"))
    room = sys.maxsize if columns is None else columns - len(line)
    for part in (
        f"evidence {number(view.evidence)}{bound}",
        f"waiting for {view.waiting_for}" if view.waiting_for else "",
        f"canary {view.canary_requests} requests",
        f"{view.seconds:.0f} s",
        f"tick {view.ticks}" + (f" ({view.gaps} without data)" if view.gaps else ""),
        f"[{bar(view.evidence, view.boundary)}]",
    ):
        shown = _within(room - 2, clean(part))
        line += f"  {shown}" if shown else ""
        room -= len(shown) + 2 if shown else 0
    return line


def _within(room: int, part: str) -> str:
    """What of it is shown in so much room: all or nothing, but of a sentence its beginning."""
    if len(part) <= room or not part.startswith("waiting for "):
        return part if len(part) <= room else ""
    return textwrap.shorten(part, width=room, placeholder=" ...") if room >= _LEAST_WAITING else ""


def unresolved_lines(view: ReleaseView) -> list[str]:
    """A line for each tolerance that the release's latency buckets cannot tell."""
    return [clean(f"  buckets {sentence}") for sentence in view.unresolved]


def telemetry_lines(view: ReleaseView) -> list[str]:
    """How its samples come, and what keeps it from being judged."""
    lines = [f"  not judged so: {sentence}" for sentence in view.hindrances]
    if view.cadence is not None and view.cadence.spacing_seconds:
        late = f", and up to {view.cadence.late_seconds:.0f} s late" if view.cadence.late_seconds >= 1.0 else ""
        lines.append(f"  samples are {number(view.cadence.spacing_seconds)} s apart{late}")
    return [clean(line) for line in lines]


def fallback_lines(view: ReleaseView) -> list[str]:
    """From where its telemetry is read for now, where that is not as it should be."""
    return [clean(f"  telemetry is {view.fallback}")] if view.fallback else []


def frozen_where(freeze: Freeze) -> str:
    """What is frozen, in words."""
    return "everything" if freeze.namespace is None else f"namespace {freeze.namespace}"


def frozen_line(freeze: Freeze) -> str:
    """A freeze, for whoever wonders why nothing is taken back."""
    end = "it is thawed" if freeze.until is None else time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(freeze.until))
    because = f": {freeze.reason}" if freeze.reason else ""
    where = "" if freeze.namespace is None else f" in namespace {freeze.namespace}"
    return clean(f"FROZEN until {end}: nothing is taken back{where} (by {freeze.by}{because})")


def question_lines(question: OpenQuestion) -> list[str]:
    """A question, for whoever can answer it."""
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(question.since))
    lines = [f"QUESTION since {since} about {question.about}: {question.question}", f"  {question.answer}"]
    return [clean(line) for line in lines]


def waiting_lines(waiting: WaitingAnnouncement) -> list[str]:
    """An announcement that waits for its canary, and a line for what each route says of it."""
    since, until = (time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at)) for at in (waiting.since, waiting.until))
    told = f"WAITING since {since} until {until} in {waiting.namespace}: a {waiting.waits_for} to take traffic"
    lines = [f"{told}, announced by {waiting.sender or 'somebody'} ({waiting.id})"]
    return [clean(line) for line in (*lines, *(f"  {one.route}: {one.why}" for one in waiting.routes))]


def signal_lines(view: ReleaseView) -> list[str]:
    """A line for each thing that stands beside its counts."""
    return [clean(f"  {one.effect} {one.words}") for one in view.signals]


def origin_lines(of: Release | Verdict) -> list[str]:
    """Which revision was released, and who initiated that, as far as it is known."""
    said = [f"revision {of.revision}"] if of.revision else []
    said += [f"initiated by {of.initiated_by}"] if of.initiated_by else []
    return [clean(f"  {', '.join(said)}")] if said else []


def verdict_lines(verdict: Verdict) -> list[str]:
    """A verdict with what it is of, and its findings."""
    of = "" if verdict.after is None else f" of the watch after {verdict.after}"
    head = f"{verdict.outcome} ({_doing(verdict)}) after {verdict.ticks} ticks{of}: {verdict.reason}"
    return [clean(head), *origin_lines(verdict), *finding_lines(verdict.findings)]


def notices(verdict: Verdict, *, bare: bool) -> Iterator[str]:
    """What nobody may overlook who acts on the exit code: where the traffic is, when the verdict does not say it by itself."""
    match verdict.outcome, verdict.action:
        case Outcome.ROLLBACK, Action.FAILED | Action.BLOCKED:
            yield clean(
                f"verdictd: THE CANARY STILL GETS TRAFFIC: the revert was {verdict.action}: {verdict.reason}; "
                f"take it back by hand: verdictd revert {verdict.release_id}"
            )
        case Outcome.ROLLBACK, Action.NONE if verdict.after is not None:
            yield clean(f"verdictd: the canary keeps its traffic: {verdict.reason}")
        case Outcome.ROLLBACK, Action.NONE:
            yield (
                "verdictd: the canary keeps its traffic: the rollback was observed only, as the policy's mode says; "
                f"verdictd revert {verdict.release_id} takes it back"
            )
        case Outcome.INCONCLUSIVE, _ if not bare and verdict.meaning in _TAKEN_FOR:
            yield f"verdictd: inconclusive, {_counted(verdict)}"
        case _:
            pass


def no_verdict(release_id: str, view: ReleaseView | None, *, seconds: float, away: VerdictdError | None) -> str:
    """Why there is no verdict in time, and what goes on without us."""
    said = f"verdictd: no verdict on {release_id} within {seconds:g} s"
    if view is not None:
        waiting = f", waiting for {view.waiting_for}" if view.waiting_for else ""
        said += f": {view.stage} for {view.seconds:.0f} s, {view.canary_requests} canary requests seen{waiting}"
        said += f"; {_going_on(view.stage)}{_by_a_person(view)}"
    return clean(said if away is None else f"{said}; the daemon does not answer now: {away}")


def _going_on(stage: Stage) -> str:
    match stage:
        case Stage.LOCATING | Stage.WATCHING:
            return "the watch goes on, and may still take the traffic back"
        case Stage.REVERTING:
            return "a rollback is decided, and the traffic is being taken back"
        case Stage.PUBLISHING | Stage.GUARDING | Stage.ENDED:
            return "it is decided, and the verdict about to be published"
        case _:
            assert_never(stage)


def _by_a_person(view: ReleaseView) -> str:
    return "" if view.waits_until is None else f", until somebody says so: verdictd promote {view.id} --reason TEXT"


def finding_lines(findings: Sequence[Finding]) -> list[str]:
    """A line for each leg."""
    width = max([8, *(len(finding.leg) for finding in findings)])
    return [clean(f"  {finding.leg:<{width}} {finding.sentence}") for finding in findings]


def step_lines(steps: Sequence[TimedStep]) -> list[str]:
    """A line for each step, in seconds since the first."""
    return [clean(f"  {step.at - steps[0].at:8.3f} s  {step.step}  {step.detail}") for step in steps]


def table(views: Sequence[ReleaseView]) -> list[str]:
    """A heading and a line for each release."""
    rows = [("ID", "SERVICE", "STAGE", "TICKS", "CANARY", "EVIDENCE", "VERDICT", "")]
    rows += [
        (
            view.id,
            f"{view.release.namespace}/{view.release.service}",
            view.stage.value,
            str(view.ticks),
            str(view.canary_requests),
            f"{number(view.evidence)}/{'?' if view.boundary is None else number(view.boundary)}",
            "" if view.verdict is None else f"{view.verdict.outcome} ({_doing(view.verdict)})",
            (view.waiting_for if view.verdict is None else view.verdict.reason),
        )
        for view in views
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(7)]
    return [clean("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[7]])) for row in rows]


def past_line(verdict: Verdict) -> str:
    """A verdict of a release of which no more is known, on one line."""
    decided = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(verdict.decided_at))
    of = f"{verdict.namespace}/{verdict.service}"
    return clean(f"{decided}  {verdict.release_id}  {of}  {verdict.outcome} ({_doing(verdict)})  {verdict.reason}")


class ProgressLine:
    """Where progress goes: one line written over and over on a terminal; else a line for each change of stage, and now and
    then one as a sign of life, since a CI ends a job that says nothing for too long."""

    def __init__(self, stream: TextIO | None = None, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._monotonic = monotonic
        self._shown = ""
        self._shown_at = 0.0
        self.live = self._stream.isatty()

    @property
    def columns(self) -> int | None:
        """How many there are; null where nobody looks at a terminal."""
        return shutil.get_terminal_size().columns - 1 if self.live else None

    def show(self, text: str, *, stage: str) -> None:
        """Show a line; ``stage`` tells when it is worth a new one before its time."""
        if self.live:
            self._stream.write(f"\r\x1b[K{text[: self.columns]}")
        elif stage != self._shown or self._monotonic() - self._shown_at >= _HEARTBEAT_SECONDS:
            self._stream.write(f"{text}\n")
            self._shown_at = self._monotonic()
        self._shown = stage
        self._stream.flush()

    def end(self) -> None:
        """Leave the line to what comes next."""
        if self.live and self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def _doing(verdict: Verdict) -> str:
    if verdict.outcome is Outcome.INCONCLUSIVE and verdict.meaning in _TAKEN_FOR:
        return _counted(verdict)
    if verdict.action is Action.NONE and verdict.outcome is Outcome.ROLLBACK:
        return "observed only" if verdict.after is None else "nothing taken back"
    return verdict.action.value


def _counted(verdict: Verdict) -> str:
    moved = "no traffic is moved" if verdict.action is Action.NONE else verdict.action.value
    return f"counts as {_TAKEN_FOR[verdict.meaning]} by the policy, {moved}"
