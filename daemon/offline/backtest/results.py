"""What each policy would have done with each release, and the answer: are the bad ones caught, the good ones left alone?"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from config.policy import Policy
from daemon.offline.backtest.past import Past
from daemon.offline.replay.comparing import Compared, Tally
from daemon.offline.replay.labels import Label
from daemon.offline.replay.lockstep import Judged, Unusable, judge_all


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A policy, by the name that people know it by."""

    name: str
    policy: Policy
    hash: str


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A past release and its recording, or the reason why there is none."""

    past: Past
    recording: Path | None = None
    problem: str = ""


class WouldBe(msgspec.Struct, frozen=True, kw_only=True):
    """What one policy would have done. ``verdict`` is null where the recording ends before its decision."""

    policy: str
    verdict: str | None
    after_seconds: float
    reason: str


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One release. ``verdicts`` has one entry for each policy, or none where ``problem`` says why it could not be judged."""

    past: Past
    recording: str | None
    verdicts: tuple[WouldBe, ...] = ()
    problem: str = ""


class Backtest(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. ``answers``: one line for each policy."""

    rows: tuple[Row, ...]
    policies: tuple[Compared, ...]
    answers: tuple[str, ...]


def judged(seen: Sequence[Seen], *, policies: Sequence[Named], processes: int) -> Backtest:
    """Judge every recording under every policy.

    Raises:
        Unavailable: a worker process was killed.
    """
    paths = [one.recording for one in seen if one.recording is not None]
    results = judge_all(paths, policies=[one.policy for one in policies], processes=processes)
    tallies = [Tally() for _ in policies]
    rows = []
    for one in seen:
        if one.recording is None:
            rows.append(Row(past=one.past, recording=None, problem=one.problem))
            continue
        match next(results):
            case Unusable() as fault:
                rows.append(Row(past=one.past, recording=str(one.recording), problem=str(fault.error)))
            case Judged() as result:
                rows.append(_row(one, result, policies=policies))
                for tally, ruling in zip(tallies, result.rulings, strict=True):
                    tally.add(ruling, one.past.label)
    compared = tuple(
        tally.compared(policy=named.name, policy_hash=named.hash) for tally, named in zip(tallies, policies, strict=True)
    )
    labels = [row.past.label for row in rows if row.verdicts]
    return Backtest(rows=tuple(rows), policies=compared, answers=tuple(_answers(compared, labels)))


def _row(seen: Seen, result: Judged, *, policies: Sequence[Named]) -> Row:
    verdicts = tuple(
        WouldBe(
            policy=named.name,
            verdict=None if ruling.outcome == "continue" else ruling.outcome,
            after_seconds=ruling.t,
            reason=ruling.reason,
        )
        for named, ruling in zip(policies, result.rulings, strict=True)
    )
    return Row(past=seen.past, recording=str(seen.recording), verdicts=verdicts)


def _answers(compared: Sequence[Compared], labels: Sequence[Label | None]) -> Iterator[str]:
    bad = sum(label is not None and label.label == "bad" for label in labels)
    good = sum(label is not None and label.label == "healthy" for label in labels)
    for one in compared:
        told = [*_caught(one, bad), *_disturbed(one, good=good, bad=bad)]
        if unknown := sum(one.unlabelled.values()):
            rolled = one.unlabelled.get("rollback", 0)
            told.append(f"rolls back {rolled} of the {unknown} of which it is not known whether they were good")
        yield f"{one.policy}: " + ("; ".join(told) or "nothing could be judged")


def _caught(one: Compared, bad: int) -> Iterator[str]:
    if not bad:
        return
    delay = one.delay_seconds.median
    soon = "" if delay is None else f" (after {delay:.0f} s, the median)"
    missed = f", promotes {one.missed.count}" if one.missed.count else ""
    yield f"catches {one.detections.count} of the {bad} bad{soon}{missed}"


def _disturbed(one: Compared, *, good: int, bad: int) -> Iterator[str]:
    """A bad release rolled back before it was bad is a disturbance too."""
    if good or one.false_rollbacks.count:
        early = " or before they were bad" if bad and one.false_rollbacks.count else ""
        yield f"disturbs {one.false_rollbacks.count} of the {good or bad} {'good' if good else 'bad'}{early}"
