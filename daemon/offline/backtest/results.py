"""What each policy would have done with each release, and the answer: are the bad ones caught, the good ones left alone?"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from analyzers.ruling import Ruling
from config.policy import Failures, Policy
from daemon.offline.backtest.past import Past
from daemon.offline.replay.comparing import Compared, Tally, spread
from daemon.offline.replay.lockstep import Judged, Unusable, judge_all


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A policy, by the name that people know it by."""

    name: str
    policy: Policy
    hash: str


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A past release and its recordings, or the reason why there is none.

    ``recordings``: for each policy the one that was counted by what it calls a failure, in the policies' order.
    """

    past: Past
    recordings: tuple[Path, ...] = ()
    problem: str = ""


class WouldBe(msgspec.Struct, frozen=True, kw_only=True):
    """What one policy would have done. ``verdict`` is null where the recording ends before its decision."""

    policy: str
    recording: str
    verdict: str | None
    after_seconds: float
    reason: str


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One release. ``verdicts`` has one entry for each policy, or none where ``problem`` says why it could not be judged.

    ``recording``: by which the first of them judged.
    """

    past: Past
    recording: str | None
    verdicts: tuple[WouldBe, ...] = ()
    problem: str = ""


class Backtest(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. ``answers``: a line for each policy, and one for what could not be judged."""

    rows: tuple[Row, ...]
    policies: tuple[Compared, ...]
    answers: tuple[str, ...]


def judged(seen: Sequence[Seen], *, policies: Sequence[Named], processes: int) -> Backtest:
    """Judge every recording under every policy.

    Raises:
        Unavailable: a worker process was killed.
    """
    rulings = _rulings(seen, policies=policies, processes=processes)
    tallies = [Tally() for _ in policies]
    rows = []
    for one, found in zip(seen, rulings, strict=True):
        if isinstance(found, str):
            rows.append(Row(past=one.past, recording=str(one.recordings[0]) if one.recordings else None, problem=found))
            continue
        rows.append(_row(one, found, policies=policies))
        for tally, ruling in zip(tallies, found, strict=True):
            tally.add(ruling, one.past.label)
    compared = tuple(
        tally.compared(policy=named.name, policy_hash=named.hash) for tally, named in zip(tallies, policies, strict=True)
    )
    answers = [f"{named.name}: {_answer(rows, place)}" for place, named in enumerate(policies)]
    return Backtest(rows=tuple(rows), policies=compared, answers=(*answers, *_left_out(rows)))


def _rulings(seen: Sequence[Seen], *, policies: Sequence[Named], processes: int) -> list[list[Ruling] | str]:
    """The last ruling on each release under each policy, or why it could not be judged.

    Policies that call the same requests failed are judged on the same recordings, and those are read once for them.
    """
    found: list[list[Ruling] | str] = [one.problem or [] for one in seen]
    places: dict[Failures, list[int]] = {}
    for place, named in enumerate(policies):
        places.setdefault(named.policy.failures, []).append(place)
    ended: list[dict[int, Ruling]] = [{} for _ in seen]
    for those in places.values():
        numbers = [number for number, one in enumerate(seen) if one.recordings]
        paths = [seen[number].recordings[those[0]] for number in numbers]
        results = judge_all(paths, policies=[policies[place].policy for place in those], processes=processes)
        for number, result in zip(numbers, results, strict=True):
            match result:
                case Unusable() as fault:
                    found[number] = str(fault.error)
                case Judged():
                    ended[number] |= dict(zip(those, result.rulings, strict=True))
    return [
        one if isinstance(one, str) else [rulings[at] for at in range(len(policies))]
        for one, rulings in zip(found, ended, strict=True)
    ]


def _row(seen: Seen, rulings: Sequence[Ruling], *, policies: Sequence[Named]) -> Row:
    verdicts = tuple(
        WouldBe(
            policy=named.name,
            recording=str(recording),
            verdict=None if ruling.found[0] == "continue" else ruling.found[0],
            after_seconds=ruling.found[1],
            reason=ruling.reason,
        )
        for named, recording, ruling in zip(policies, seen.recordings, rulings, strict=True)
    )
    return Row(past=seen.past, recording=str(seen.recordings[0]), verdicts=verdicts)


def _answer(rows: Sequence[Row], place: int) -> str:
    """Of one policy."""
    ends = [(row.past.label, row.verdicts[place]) for row in rows if row.verdicts]
    bad = [(label.onset_seconds, would) for label, would in ends if label is not None and label.label == "bad"]
    good = [would for label, would in ends if label is not None and label.label == "healthy"]
    unknown = [would for label, would in ends if label is None]
    return "; ".join([*_of_bad(bad), *_of_good(good), *_of_unknown(unknown)]) or "nothing could be judged"


def _of_bad(bad: Sequence[tuple[float, WouldBe]]) -> Iterator[str]:
    if not bad:
        return
    delays = [would.after_seconds - onset for onset, would in bad if would.verdict == "rollback"]
    caught = spread([delay for delay in delays if delay >= 0.0]).median
    soon = "" if caught is None else f" (half of them within {caught:.0f} s)"
    yield f"catches {sum(delay >= 0.0 for delay in delays)} of the {len(bad)} bad{soon}"
    if promoted := sum(would.verdict == "promote" for _, would in bad):
        yield f"promotes {promoted} of them"
    if early := sum(delay < 0.0 for delay in delays):
        yield f"rolls back {early} of them before they were bad"


def _of_good(good: Sequence[WouldBe]) -> Iterator[str]:
    if good:
        held = sum(would.verdict != "promote" for would in good) - (rolled := _rolled(good))
        yield f"disturbs {rolled} of the {len(good)} good" + (f", and does not promote {held} more" if held else "")


def _of_unknown(unknown: Sequence[WouldBe]) -> Iterator[str]:
    if unknown:
        yield f"rolls back {_rolled(unknown)} of the {len(unknown)} of which nobody has said whether they were good"


def _rolled(ends: Sequence[WouldBe]) -> int:
    return sum(would.verdict == "rollback" for would in ends)


def _left_out(rows: Sequence[Row]) -> Iterator[str]:
    if problems := sum(bool(row.problem) for row in rows):
        yield f"{problems} of {len(rows)} could not be judged, and count neither way"
