"""Many recordings judged side by side, in one process or several; what comes of each is a last ruling for each policy, or a fault.

One tick of each recording is folded in one batch, and a place that comes free is filled anew. Results of several processes come in
the order of the files; no process is started for a moment's work.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from analyzers.counts import Sample
from analyzers.judge import JudgeState, Terms, fold, start
from analyzers.ruling import Finding, Ruling
from config.policy import Policy
from daemon.errors import InvalidInput
from daemon.offline.parallel import spread
from daemon.offline.replay.sources import Opened, opened


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A recording's last ruling under each policy, in the order in which the policies were given.

    ``torn_line`` is the number of a last line that was not written to its end and was left out.
    ``translated``: a sentence for each word of the recorded policy that is read as another, where that policy was asked for.
    """

    file: Path
    rulings: tuple[Ruling, ...]
    torn_line: int | None = None
    translated: tuple[str, ...] = ()


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
    says which words of the recorded policy, an earlier version's, are read as others.
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
    final = ruling.outcome != "continue"
    return Replayed(
        file=str(result.file),
        verdict=ruling.outcome if final else "inconclusive",
        decided_at_tick=ruling.tick if final else None,
        ticks=ruling.tick,
        reason=ruling.reason if final else f"the recording ends before a decision: {ruling.reason}",
        findings=ruling.findings,
        torn_line=result.torn_line,
        notes=tuple(f"the recorded policy's {one}" for one in result.translated),
    )


WIDTH = 64
"""Recordings open at a time: enough to make the judge's batch cheap, few enough for any limit on open files."""


@dataclass(slots=True)
class _Watch:
    """One recording under one policy; ``ruling`` is the last one."""

    terms: Terms
    state: JudgeState
    ruling: Ruling | None = None

    @property
    def going(self) -> bool:
        return self.ruling is None or self.ruling.outcome == "continue"


@dataclass(slots=True)
class _Lane:
    """One open recording with a watch for each policy."""

    place: int
    path: Path
    recording: Opened
    translated: tuple[str, ...] = ()
    watches: list[_Watch] = field(default_factory=list)

    def result(self) -> Judged:
        rulings = tuple(watch.ruling for watch in self.watches if watch.ruling is not None)
        return Judged(file=self.path, rulings=rulings, torn_line=self.recording.torn_line, translated=self.translated)


def judge(
    paths: Iterable[Path], *, policies: Sequence[Policy | None] = (None,), width: int = WIDTH
) -> Iterator[tuple[int, Result]]:
    """Judge recordings under each of some policies (null: the recorded one).

    Yields a result for each path with its place among the paths, in the order in which they end. Every recording is read to its
    end, also where all policies have decided before, so that a broken line is always found.
    """
    waiting = enumerate(paths)
    lanes: list[_Lane] = []
    while True:
        for place, path in waiting:
            lane = _open(place, path, policies)
            if isinstance(lane, Unusable):
                yield place, lane
                continue
            lanes.append(lane)
            if len(lanes) >= width:
                break
        if not lanes:
            return
        left: list[_Lane] = []
        for lane, ended in _step(lanes):
            if ended is None:
                left.append(lane)
            else:
                yield lane.place, ended
        lanes = left


def _open(place: int, path: Path, policies: Sequence[Policy | None]) -> _Lane | Unusable:
    try:
        recording = opened(path, policies=policies)
    except InvalidInput as error:
        return Unusable(file=path, error=error)
    translated = recording.header.translated if None in policies else ()
    return _Lane(place, path, recording, translated, [_Watch(terms, start(terms)) for terms in recording.terms])


def _step(lanes: Sequence[_Lane]) -> list[tuple[_Lane, Result | None]]:
    """Read and fold one tick of every lane. A lane that has come to its end has a result."""
    results: list[tuple[_Lane, Result | None]] = []
    watches: list[_Watch] = []
    samples: list[Sample] = []
    for lane in lanes:
        going = [watch for watch in lane.watches if watch.going]
        sample, ended = _next(lane, last=not going)
        results.append((lane, ended))
        if sample is not None:
            watches += going
            samples += [sample] * len(going)
    folded = fold([watch.terms for watch in watches], [watch.state for watch in watches], samples)
    for watch, (state, ruling) in zip(watches, folded, strict=True):
        watch.state, watch.ruling = state, ruling
    return results


def _next(lane: _Lane, *, last: bool) -> tuple[Sample | None, Result | None]:
    """The lane's next sample, or its result; ``last``: nobody needs its samples any more, only its faults."""
    try:
        if last:
            for _ in lane.recording.samples:
                pass
        sample = next(lane.recording.samples, None)
    except InvalidInput as error:
        return None, Unusable(file=lane.path, error=error)
    return sample, lane.result() if sample is None else None


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
    results: dict[int, Result] = dict(judge(paths, policies=policies))
    return [results[place] for place in range(len(paths))]


def _bytes(paths: Sequence[Path]) -> int:
    """Bytes to read, about. A file that is not there costs nothing and is told later."""
    return sum(_size(path) * (_PACKED if path.suffix == ".gz" else 1) for path in paths)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
