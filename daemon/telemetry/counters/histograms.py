"""Growth of latency histograms, which move in steps of their own: a proxy merges them every few seconds, its counters are live.

So latency is taken in the ticks in which the histograms of *both* arms have moved since it was last taken, and then for all
the time since: the arms are compared over the same stretch, whatever the phase of each proxy. An arm that has moved alone
for too long begins anew, since a baseline of long ago is no comparison.
"""

import math
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise
from operator import sub

import msgspec

from analyzers.counts import Latency
from daemon.errors import InvalidInput
from daemon.telemetry.counters.snapshot import ArmSnapshot, Histogram, fell_a_little

MAX_BOUNDS = 63
"""Finite bounds of a histogram that the judge can take (64 buckets with +Inf)."""
MAX_ALONE_SECONDS = 40.0
"""Longest wait of one arm's latencies for the other's. More than half of the slowest flush interval met (60 s)."""

_Step = tuple[list[int], float]
"""New latencies per bucket, and their sum in ms."""


def common_bounds(histograms: Sequence[Histogram]) -> tuple[float, ...]:
    """The bounds that all histograms have, thinned evenly to what the judge can take."""
    shared = set(histograms[0].bounds_ms)
    for histogram in histograms[1:]:
        shared.intersection_update(histogram.bounds_ms)
    bounds = sorted(shared)
    if len(bounds) > MAX_BOUNDS:
        bounds = [bounds[index * len(bounds) // MAX_BOUNDS] for index in range(MAX_BOUNDS)]
    return tuple(bounds)


def coarsen(histogram: Histogram, bounds_ms: tuple[float, ...]) -> Histogram | None:
    """The same histogram on some of its bounds, which loses nothing but detail; null when it lacks one of them."""
    if histogram.bounds_ms == bounds_ms:
        return histogram
    own = histogram.bounds_ms
    kept: list[int] = []
    for bound in bounds_ms:
        index = bisect_left(own, bound)
        if index == len(own) or own[index] != bound:
            return None
        kept.append(histogram.cumulative[index])
    return Histogram(bounds_ms, (*kept, histogram.total), histogram.sum_ms)


def growth(old: Histogram | None, new: Histogram) -> _Step | None:
    """New latencies per bucket (not cumulative) and their sum in ms, over the same bounds; null when there are none.

    Raises:
        InvalidInput: some buckets grew and others fell, so that no set of requests explains the step.
    """
    if old is None or new.total < old.total:
        old = Histogram(new.bounds_ms, (0,) * len(new.cumulative), 0.0)
    if new.total == old.total:
        if new.cumulative != old.cumulative:
            raise InvalidInput("bucket counts moved while their total did not", path="latency")
        return None
    cumulative = [0, *map(sub, new.cumulative, old.cumulative)]
    counts = [here - below for below, here in pairwise(cumulative)]
    if min(counts) < 0:
        raise InvalidInput("bucket counts contradict those of the last reading", path="latency")
    return counts, max(0.0, new.sum_ms - old.sum_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmLatency:
    """New latencies of an arm, together and by target."""

    latency: Latency
    by_target: Mapping[str, Latency]


class _Taken(msgspec.Struct, gc=False):
    """What is remembered of one arm's latencies at one target.

    Attributes:
        histograms: as of the last tick that took any, by series.
        history_to_come: it had requests, but showed no histogram, when it was joined: the first one will hold history.
        withheld: series whose histogram could not be taken when it was joined, or in part only: they will hold history too.
        since: when it was joined; what an earlier scrape shows is history.
    """

    histograms: dict[str, Histogram] = msgspec.field(default_factory=dict)
    history_to_come: bool = False
    withheld: AbstractSet[str] = frozenset()
    since: float = -math.inf

    def join(self, snapshot: ArmSnapshot, bounds_ms: tuple[float, ...] | None) -> None:
        """Start at what the histograms hold now. One that lacks a bound may have come in part: all that it will hold is history."""
        self.history_to_come &= not snapshot.histograms
        self.withheld |= snapshot.withheld - self.histograms.keys()
        self.since = snapshot.at
        for series, histogram in snapshot.histograms.items():
            coarse = None if bounds_ms is None else coarsen(histogram, bounds_ms)
            if coarse is not None:
                self.histograms[series] = coarse
            elif bounds_ms is not None:
                self.withheld |= {series}

    def take(self, snapshot: ArmSnapshot, bounds_ms: tuple[float, ...]) -> None:
        """What the histograms hold now has been counted."""
        for series, histogram in snapshot.histograms.items():
            if not self._behind(series, histogram, snapshot):
                self.histograms[series] = _on(bounds_ms, histogram)

    def grown(self, snapshot: ArmSnapshot, bounds_ms: tuple[float, ...]) -> _Step | None:
        """Latencies since the last that were taken; null when there are none."""
        sofar: _Step | None = None
        for series, histogram in snapshot.histograms.items():
            if self._behind(series, histogram, snapshot):
                continue
            if self._is_history(series, snapshot):
                self.histograms[series] = _on(bounds_ms, histogram)
                self.withheld -= {series}
            # It may have been away while the bounds changed, and what is remembered of it be on other ones.
            old = self.histograms.get(series)
            step = growth(None if old is None else _on(bounds_ms, old), _on(bounds_ms, histogram))
            if step is not None:
                sofar = step if sofar is None else _add(sofar, step)
        return sofar

    def _is_history(self, series: str, snapshot: ArmSnapshot) -> bool:
        """Whether a series that is not known yet was there before it was joined."""
        if series in self.histograms:
            return False
        return series in self.withheld or snapshot.old_histograms.get(series, math.inf) <= self.since

    def _behind(self, series: str, histogram: Histogram, snapshot: ArmSnapshot) -> bool:
        """Whether it is of an earlier scrape than what is known: no process has begun anew there, which would stand near 0."""
        known = self.histograms.get(series)
        if known is None or histogram.total >= known.total:
            return False
        return series in snapshot.old_histograms or fell_a_little(known.total, histogram.total)


_Pair = tuple[_Taken, ArmSnapshot]


class LatencyTracker:
    """Which bounds a release's latency is counted on, what of it was counted, and since when one arm waits for the other."""

    __slots__ = ("_alone_since", "_taken", "bounds_ms")

    def __init__(self) -> None:
        self.bounds_ms: tuple[float, ...] | None = None
        self._alone_since: float | None = None
        self._taken: tuple[dict[str, _Taken], dict[str, _Taken]] = ({}, {})

    def fold(self, arms: Sequence[Mapping[str, ArmSnapshot]], *, now: float) -> tuple[ArmLatency | None, ArmLatency | None]:
        """New latencies of both arms at these targets (baseline first), or of neither.

        Raises:
            InvalidInput: the buckets have changed or contradict what was read before; ``restart`` must follow.
        """
        if self.bounds_ms is None:
            self.bounds_ms = _shared(arms)
        bounds_ms = self.bounds_ms
        if bounds_ms is None:
            return None, None
        if not bounds_ms:
            raise InvalidInput("the arms' histograms have no bucket bound in common", path="latency")
        pairs = [
            {target: (known.get(target) or _Taken(), snapshot) for target, snapshot in arm.items()}
            for known, arm in zip(self._taken, arms, strict=True)
        ]
        for taken, snapshot in (pair for arm in pairs for pair in arm.values()):
            if taken.history_to_come and snapshot.histograms:
                taken.join(snapshot, bounds_ms)
        baseline, canary = (_grown(arm, bounds_ms) for arm in pairs)
        for known, arm in zip(self._taken, pairs, strict=True):
            known.update({target: taken for target, (taken, _) in arm.items()})
        if baseline and canary:
            self._alone_since = None
            for taken, snapshot in (pair for arm in pairs for pair in arm.values()):
                taken.take(snapshot, bounds_ms)
            return _total(baseline), _total(canary)
        self._wait(pairs[0] if baseline else pairs[1] if canary else {}, bounds_ms, now=now)
        return None, None

    def keep(
        self,
        arms: Sequence[Mapping[str, ArmSnapshot]],
        *,
        counted: Sequence[Collection[str]],
        awaited: Sequence[Collection[str]],
    ) -> None:
        """Go on with the targets that were counted or are waited for, join the others that are there, and forget the rest."""
        baseline, canary = (
            {
                **{target: taken for target, taken in known.items() if target in absent},
                **{target: self._kept(known, target, snapshot, counted=target in ours) for target, snapshot in arm.items()},
            }
            for known, arm, ours, absent in zip(self._taken, arms, counted, awaited, strict=True)
        )
        self._taken = (baseline, canary)

    def restart(self, arms: Sequence[Mapping[str, ArmSnapshot]]) -> None:
        """Begin anew at what the histograms hold now, on the bounds that all of them have."""
        self._alone_since = None
        self.bounds_ms = _shared(arms)
        for known, arm in zip(self._taken, arms, strict=True):
            for target, taken in known.items():
                if target in arm and arm[target].histograms:
                    taken.histograms.clear()
                    taken.join(arm[target], self.bounds_ms)

    def _kept(self, known: Mapping[str, _Taken], target: str, snapshot: ArmSnapshot, *, counted: bool) -> _Taken:
        if counted:
            return known.get(target) or _Taken()
        joined = _Taken(history_to_come=bool(snapshot.counters) and not snapshot.histograms)
        joined.join(snapshot, self.bounds_ms)
        return joined

    def _wait(self, moved: Mapping[str, _Pair], bounds_ms: tuple[float, ...], *, now: float) -> None:
        if not moved:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
        elif now - self._alone_since > MAX_ALONE_SECONDS:
            self._alone_since = None
            for taken, snapshot in moved.values():
                taken.take(snapshot, bounds_ms)


def _shared(arms: Iterable[Mapping[str, ArmSnapshot]]) -> tuple[float, ...] | None:
    """The bounds that all histograms have: none, perhaps; null while there is no histogram."""
    histograms = [histogram for arm in arms for snapshot in arm.values() for histogram in snapshot.histograms.values()]
    return common_bounds(histograms) if histograms else None


def _on(bounds_ms: tuple[float, ...], histogram: Histogram) -> Histogram:
    coarse = coarsen(histogram, bounds_ms)
    if coarse is None:
        raise InvalidInput("the bucket bounds have changed", path="latency")
    return coarse


def _grown(arm: Mapping[str, _Pair], bounds_ms: tuple[float, ...]) -> dict[str, _Step]:
    """New latencies by target, for the targets that have any."""
    steps = {target: taken.grown(snapshot, bounds_ms) for target, (taken, snapshot) in arm.items()}
    return {target: step for target, step in steps.items() if step is not None}


def _add(one: _Step, other: _Step) -> _Step:
    return [a + b for a, b in zip(one[0], other[0], strict=True)], one[1] + other[1]


def _total(grown: Mapping[str, _Step]) -> ArmLatency:
    steps = list(grown.values())
    whole = steps[0]
    for step in steps[1:]:
        whole = _add(whole, step)
    by_target = {target: Latency(counts=tuple(counts), sum_ms=sum_ms) for target, (counts, sum_ms) in grown.items()}
    return ArmLatency(latency=Latency(counts=tuple(whole[0]), sum_ms=whole[1]), by_target=by_target)
