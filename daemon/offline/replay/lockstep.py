"""Many recordings judged side by side, in one process or several; what comes of each is a last ruling for each policy, or a fault.

Results come in the order of the files, also those of several processes; no process is started for a moment's work.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import msgspec

from analyzers.counts import Sample
from analyzers.judge import to_end
from analyzers.ruling import Finding, Ruling
from config.policy import Policy
from daemon.errors import InvalidInput
from daemon.offline.parallel import spread
from daemon.offline.replay.sources import Opened, opened


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A recording's last ruling under each policy, in the order in which the policies were given.

    ``torn_line`` is the number of a last line that was not written to its end and was left out.
    ``missing``: a sentence for each place where ticks are not in it, of which nothing was judged.
    ``translated``: a sentence for each word of the recorded policy that is read as another, where that policy was asked for.
    ``counted_otherwise``: a policy that was given counts other requests as failed than the recorded one, by which it was done.
    """

    file: Path
    rulings: tuple[Ruling, ...]
    torn_line: int | None = None
    missing: tuple[str, ...] = ()
    translated: tuple[str, ...] = ()
    counted_otherwise: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """A recording with a fault, wherever in the file: whether it can be used does not depend on the policy."""

    file: Path
    error: InvalidInput


Result = Judged | Unusable


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What ``verdictd replay --json`` prints, one line a file.

    ``decided_at_tick`` is null when the recording ended first; ``verdict`` is null when it cannot be used, and ``reason`` then
    names the line and the fault. ``torn_line`` is the number of a torn last line, which was left out; else null. ``notes``
    says where ticks are missing, and which words of the recorded policy, an earlier version's, are read as others.
    """

    file: str
    verdict: str | None
    decided_at_tick: int | None
    ticks: int
    reason: str
    findings: tuple[Finding, ...] = ()
    torn_line: int | None = None
    notes: tuple[str, ...] = ()


def replayed(result: Result) -> Replayed:
    """A result under its first policy."""
    if isinstance(result, Unusable):
        return Replayed(file=str(result.file), verdict=None, decided_at_tick=None, ticks=0, reason=str(result.error))
    ruling = result.rulings[0]
    final, otherwise = ruling.outcome != "continue", result.counted_otherwise
    return Replayed(
        file=str(result.file),
        verdict=ruling.outcome if final else "inconclusive",
        decided_at_tick=ruling.tick if final else None,
        ticks=ruling.tick,
        reason=ruling.reason if final else f"the recording ends before a decision: {ruling.reason}",
        findings=ruling.findings,
        torn_line=result.torn_line,
        notes=(
            *(f"{one}; {WITHOUT_THEM}" for one in result.missing),
            *(f"the recorded policy's {one}" for one in result.translated),
            *([COUNTED_OTHERWISE] if otherwise else []),
        ),
    )


COUNTED_OTHERWISE = "requests were counted by the recorded policy's failures; those of the policy given differ, and change nothing"
WITHOUT_THEM = (
    "it is judged without them, and its verdict may be another than the daemon's; --join puts the replicas' parts together"
)
WIDTH = 64
"""Recordings open at a time: enough to make the judge's batch cheap, few enough for any limit on open files."""


@dataclass(slots=True)
class _Lane:
    """One open recording, the last ruling on it under each policy, and what is wrong with it."""

    path: Path
    recording: Opened
    translated: tuple[str, ...]
    counted_otherwise: bool
    rulings: dict[int, Ruling] = field(default_factory=dict)
    fault: InvalidInput | None = None

    def next(self) -> Sample | None:
        """The next sample; null at the end, or where a fault is."""
        try:
            return None if self.fault else next(self.recording.samples, None)
        except InvalidInput as error:
            self.fault = error
            return None

    def result(self) -> Result:
        if self.fault is not None:
            return Unusable(file=self.path, error=self.fault)
        rulings = tuple(self.rulings[at] for at in range(len(self.rulings)))
        return Judged(
            file=self.path,
            rulings=rulings,
            torn_line=self.recording.torn_line,
            missing=tuple(hole.sentence for hole in self.recording.header.holes),
            translated=self.translated,
            counted_otherwise=self.counted_otherwise,
        )


def judge(paths: Iterable[Path], *, policies: Sequence[Policy | None] = (None,), width: int = WIDTH) -> Iterator[Result]:
    """Judge recordings under each of some policies (null: the recorded one), ``width`` side by side; a result for each path.

    Every recording is read to its end, also where all policies have decided before, so that a broken line is always found.
    """
    waiting = iter(paths)
    while batch := [_open(path, policies) for path in islice(waiting, width)]:
        _judge_open([lane for lane in batch if isinstance(lane, _Lane)], policies=len(policies))
        yield from (lane.result() if isinstance(lane, _Lane) else lane for lane in batch)


def _open(path: Path, policies: Sequence[Policy | None]) -> _Lane | Unusable:
    try:
        recording = opened(path, policies=policies)
    except InvalidInput as error:
        return Unusable(file=path, error=error)
    otherwise = any(one is not None and one.failures != recording.header.policy.failures for one in policies)
    return _Lane(path, recording, recording.header.translated if None in policies else (), otherwise)


def _judge_open(lanes: Sequence[_Lane], *, policies: int) -> None:
    """Judge each of the lanes under each policy, then read what is left of it. A sample is read once for all policies."""

    def samples_of(places: Sequence[int]) -> list[Sample | None]:
        read = {at: lanes[at].next() for at in dict.fromkeys(place // policies for place in places)}
        return [read[place // policies] for place in places]

    for places, _, rulings in to_end([one for lane in lanes for one in lane.recording.terms], samples_of):
        for place, ruling in zip(places, rulings, strict=True):
            lanes[place // policies].rulings[place % policies] = ruling
    for lane in lanes:
        while lane.next() is not None:
            pass


_CHUNK = 128
"""Recordings per piece of work: two batches' worth, so that the second fills the places that come free in the first."""
_WORTH_BYTES = 3 * 1024 * 1024
"""About a second of judging: less is done here before another process has started."""
_PACKED = 6
"""How many times larger a packed recording becomes, roughly."""


def judge_all(paths: Sequence[Path], *, policies: Sequence[Policy | None] = (None,), processes: int) -> Iterator[Result]:
    """Judge recordings in up to ``processes`` processes; one result for each path, in the paths' order.

    Raises:
        Unavailable: a worker process was killed.
    """
    size = min(_CHUNK, max(1, math.ceil(len(paths) / processes)))
    chunks = [paths[begin : begin + size] for begin in range(0, len(paths), size)]
    worth = processes if _bytes(paths) >= _WORTH_BYTES else 1
    for results in spread(partial(_judge_chunk, policies=policies), chunks, processes=worth):
        yield from results


def _judge_chunk(paths: Sequence[Path], *, policies: Sequence[Policy | None]) -> list[Result]:
    return list(judge(paths, policies=policies))


def _bytes(paths: Sequence[Path]) -> int:
    """Bytes to read, about. A file that is not there costs nothing and is told later."""
    return sum(_size(path) * (_PACKED if path.suffix == ".gz" else 1) for path in paths)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
