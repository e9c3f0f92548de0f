"""The books after a run, checked like a bank's: what was accepted, what was said of it, what is kept, and where the traffic is.

Pure: what it is given was gathered while the run went on, none of it by the daemon's own account of itself but what that promises.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from daemon.engine.tenure import HELD
from daemon.model import Action, Outcome, Record, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A recording judged again.

    Attributes:
        outcome: what the judge says now; null where the recording cannot be used, and ``reason`` says why.
        ticks: at which it says so; null where the recording ends first.
        digest: the chain over the recording's lines, see ``daemon.recordings.chained``.
    """

    outcome: str | None
    ticks: int | None
    digest: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """How a release that has ended left the world, seen in the routes and in the users' answers.

    Attributes:
        percent: what the routes give the canary.
        answers: whether the canary still answers users.
    """

    percent: float
    answers: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A release that was accepted. ``left`` and ``record`` are null where it never ended.

    Attributes:
        bad: whether its canary fails, which nobody told the daemon.
        percent: what the routes gave its canary at the beginning.
        number: under which one of several replicas told its verdict; null where there is one daemon.
    """

    release_id: str
    bad: bool
    percent: float
    left: Left | None = None
    record: Record | None = None
    replay: Replay | None = None
    number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """All of a run. ``published``: everything on the stream of verdicts, in its order."""

    entries: Mapping[str, Entry]
    published: Sequence[Verdict]


def faults(books: Books) -> list[str]:
    """What is not as it is promised, a sentence each; none where all is."""
    times = Counter(one.release_id for one in books.published)
    found = [f"{name}: a verdict of what nobody sent" for name in times if name not in books.entries]
    for name, entry in books.entries.items():
        said = [one for one in books.published if one.release_id == name]
        if len(said) != 1:
            found.append(f"{name}: {len(said)} verdicts")
        else:
            found += [
                f"{name}: {fault}"
                for fault in (*_of_record(entry, said[0]), *_of_holders(entry), *_of_replay(entry), *_of_traffic(entry, said[0]))
            ]
    return found


def _of_record(entry: Entry, said: Verdict) -> Iterator[str]:
    if entry.record is None:
        yield "there is no record"
    elif entry.record.verdict != said:
        yield f"the stream says {said.outcome} ({said.reason}), the record {entry.record.verdict.outcome}"


def _of_holders(entry: Entry) -> Iterator[str]:
    """Who had it one after the other, and that the verdict was told by one of them."""
    if entry.record is None:
        return
    held = [int(mark.detail.rpartition(" ")[2]) for mark in entry.record.marks if mark.step == HELD]
    if held != sorted(set(held)):
        yield f"whoever had lost it wrote its record: it was held under the numbers {held}"
    if entry.number is not None and entry.number not in held:
        yield f"its verdict was told under the number {entry.number}, and it was held under {held}"
    if entry.number is None and held:
        yield "its verdict was told by who knew of no other replica"


def _of_replay(entry: Entry) -> Iterator[str]:
    record, replay = entry.record, entry.replay
    if record is None:
        return
    if replay is None:
        yield "there is no recording"
    elif replay.outcome is None:
        yield f"the recording cannot be used: {replay.reason}"
    elif replay.digest != record.sample_digest:
        yield "the recording is not the one that the record has the digest of"
    elif (verdict := record.verdict).by == "judge" and (replay.outcome, replay.ticks) != (verdict.outcome, verdict.ticks):
        yield f"judged again it is {replay.outcome} at tick {replay.ticks}, and was {verdict.outcome} at tick {verdict.ticks}"


def _of_traffic(entry: Entry, said: Verdict) -> Iterator[str]:
    left = entry.left
    if left is None:
        yield "it never ended"
        return
    untouched = left.percent == entry.percent
    if entry.bad and said.outcome is Outcome.PROMOTE:
        yield f"a bad canary was promoted: {said.reason}"
    if entry.bad and (left.percent or left.answers):
        yield f"a bad canary has traffic: {left.percent:g} % in the routes, answers: {left.answers} ({said.outcome}: {said.reason})"
    if not entry.bad and (said.outcome is Outcome.ROLLBACK or not untouched):
        yield f"a good canary was taken back: {said.outcome}, {left.percent:g} % are left ({said.reason})"
    undone = entry.record is not None and bool(entry.record.undos)
    if said.outcome is Outcome.PROMOTE and (undone or said.action is not Action.NONE or not untouched):
        yield f"it was promoted, and reverted too: {said.action}, {left.percent:g} % are left"
