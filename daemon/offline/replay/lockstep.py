"""Many recordings judged side by side: one tick of each is folded in one batch, and a place that comes free is filled anew."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from analyzers.counts import Sample
from analyzers.judge import JudgeState, Terms, fold, start
from analyzers.ruling import Ruling
from config.policy import Policy
from daemon.errors import InvalidInput
from daemon.offline.replay.opening import Opened, opened
from daemon.offline.replay.results import Judged, Result, Unusable

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
