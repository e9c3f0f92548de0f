"""Growth of raw counters and histograms between two readings. Pure: numbers in, numbers out.

One rule stands above the others: what is returned is never more than what was served. Where a number could mean two things
(a series that went and came back), the smaller growth is taken; where numbers contradict each other, there is none.
"""

import itertools
import math
from bisect import bisect_left
from collections.abc import Mapping
from typing import NamedTuple

from daemon.errors import InvalidInput
from daemon.telemetry.schema import Ended

MAX_BOUNDS = 63
"""Finite bounds of a histogram that the judge can take (64 buckets with +Inf)."""

LARGEST_COUNT = 1e15
"""A count above is none, as for the judge: no service has had so many requests, and a float holds it no longer to the last one."""


class Histogram(NamedTuple):
    """A cumulative histogram: ``cumulative`` counts latencies at or below each of ``bounds_ms``, then all of them."""

    bounds_ms: tuple[float, ...]
    cumulative: tuple[int, ...]
    sum_ms: float

    @property
    def total(self) -> int:
        """All latencies counted."""
        return self.cumulative[-1]


class Tally(NamedTuple):
    """Requests by how they ended. ``restarted``: a counter stood lower than before, so its process began anew."""

    served: int
    failed: int
    forbidden: int
    restarted: bool


Counters = Mapping[str, tuple[Ended, int]]
"""Raw counters of one arm at one target, by series."""


def whole(value: float, *, path: str) -> int:
    """A count as an integer; raises ``InvalidInput`` for what cannot be a count (NaN, negative, broken, too large)."""
    if not (0 <= value <= LARGEST_COUNT and value == math.floor(value)):
        raise InvalidInput(f"{value!r} is not a count", path=path)
    return int(value)


def assemble(buckets: Mapping[float, float], sum_value: float | None, *, unit_ms: float, path: str) -> Histogram:
    """Make a histogram of the buckets of one series, as read (``le`` to cumulative count, in the metric's own unit).

    Raises:
        InvalidInput: there is no +Inf bucket, a bucket is not a count, or the counts fall with growing bounds (which happens
            when a page was written while requests were being counted).
    """
    bounds = tuple(sorted(buckets))
    if not bounds or bounds[-1] != math.inf:
        raise InvalidInput("the histogram has no +Inf bucket", path=path)
    cumulative = tuple([whole(buckets[bound], path=path) for bound in bounds])
    if any(low > high for low, high in itertools.pairwise(cumulative)):
        raise InvalidInput("bucket counts fall with growing bounds", path=path)
    total_ms = 0.0 if sum_value is None else sum_value * unit_ms
    if not math.isfinite(total_ms):
        raise InvalidInput(f"the sum is {sum_value!r}", path=path)
    finite = bounds[:-1] if unit_ms == 1.0 else tuple([bound * unit_ms for bound in bounds[:-1]])
    return Histogram(finite, cumulative, total_ms)


def tally(old: Mapping[str, int], new: Counters) -> Tally:
    """Growth of one arm's counters at one target. A series not in ``old`` has grown from zero."""
    grown = [0, 0, 0, 0]
    restarted = False
    for series, (ended, value) in new.items():
        before = old.get(series, 0)
        if value < before:
            restarted = True
            before = 0
        grown[ended] += value - before
    return Tally(grown[Ended.SERVED], grown[Ended.FAILED], grown[Ended.FORBIDDEN], restarted)


def grown(old: Mapping[str, int], new: Mapping[str, int]) -> int:
    """Growth of plain counters together; one that stands lower than before has begun anew."""
    return sum(value - before if value >= (before := old.get(series, 0)) else value for series, value in new.items())


def common_bounds(histograms: list[Histogram]) -> tuple[float, ...]:
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


def growth(old: Histogram | None, new: Histogram) -> tuple[list[int], float] | None:
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
    below = 0
    counts: list[int] = []
    for before, after in zip(old.cumulative, new.cumulative, strict=True):
        here = after - before
        if here < below:
            raise InvalidInput("bucket counts contradict those of the last reading", path="latency")
        counts.append(here - below)
        below = here
    return counts, max(0.0, new.sum_ms - old.sum_ms)
