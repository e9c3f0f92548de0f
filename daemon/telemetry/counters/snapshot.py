"""What one target (a proxy, a pod) showed in one scrape, of an arm and of itself: raw numbers, in whatever order they come.

What a target says of itself is optional. One that says nothing makes no tick null: its denials are then none, its age is unknown.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from daemon.errors import InvalidInput
from daemon.telemetry.schema import Ended

LARGEST_COUNT = 1e15
"""A count above is none, as for the judge: no service has had so many requests, and a float holds it no longer to the last one."""
_SAME_SCRAPE_SECONDS = 0.0005


class Histogram(NamedTuple):
    """A cumulative histogram: ``cumulative`` counts latencies at or below each of ``bounds_ms``, then all of them."""

    bounds_ms: tuple[float, ...]
    cumulative: tuple[int, ...]
    sum_ms: float

    @property
    def total(self) -> int:
        """All latencies counted."""
        return self.cumulative[-1]


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


@dataclass(slots=True)
class TargetMetadata:
    """What one target says of itself.

    Attributes:
        denied: samples (time and value) of its counters of denied requests, by series.
        born: when its process began, in the time base of the samples.
    """

    denied: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    born: float | None = None

    def deny(self, series: str, value: float, *, at: float) -> None:
        """Take one sample of a counter of denied requests."""
        self.denied.setdefault(series, []).append((at, value))

    def denied_at(self, at: float) -> dict[str, int]:
        """The counters of the scrape made at ``at``; raises ``InvalidInput`` when one is no count.

        Of that scrape alone: requests are counted without those denied, so that both must be of one moment.
        """
        return {
            series: whole(value, path=series)
            for series, samples in self.denied.items()
            for when, value in samples
            if abs(when - at) <= _SAME_SCRAPE_SECONDS
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSnapshot:
    """Raw numbers of one arm at one target, all of one scrape.

    Attributes:
        at: time of the scrape.
        spacing_seconds: how far apart this target's scrapes usually are.
        pod: name of the pod, when the target is one.
        counters: how the requests of each series ended, and how many.
        histograms: latencies by series.
        denied: requests denied by the target's policy filter, by series; null when that is not known.
        born: when the target's process began, where known.
    """

    at: float
    spacing_seconds: float
    pod: str = ""
    counters: dict[str, tuple[Ended, int]] = field(default_factory=dict)
    histograms: dict[str, Histogram] = field(default_factory=dict)
    denied: Mapping[str, int] | None = None
    born: float | None = None


class SnapshotBuilder:
    """Collects the samples of one arm at one target. Of several scrapes only the newest is kept, wholly."""

    __slots__ = ("_buckets", "_counters", "_histograms", "_latency_at", "_sums", "at", "pod", "spacing_seconds")

    def __init__(self, *, spacing_seconds: float, pod: str = "") -> None:
        self.at = -math.inf
        self.pod = pod
        self.spacing_seconds = spacing_seconds
        self._latency_at = -math.inf
        self._counters: dict[str, tuple[Ended, float]] = {}
        self._buckets: dict[str, dict[float, float]] = {}
        self._sums: dict[str, float] = {}
        self._histograms: dict[str, Histogram] = {}

    @property
    def counted(self) -> bool:
        """Whether there are any counters: latencies alone say nothing of an arm."""
        return bool(self._counters)

    def count(self, series: str, ended: Ended, value: float, *, at: float) -> None:
        """Take a counter's value. The same series twice in one scrape is one series."""
        if at > self.at + _SAME_SCRAPE_SECONDS:
            self._counters.clear()
            self.at = at
        elif at < self.at - _SAME_SCRAPE_SECONDS:
            return
        self._counters[series] = (ended, value)

    def bucket(self, series: str, le: float, value: float, *, at: float) -> None:
        """Take one bucket of a histogram."""
        if self._is_of_newest(at):
            self._buckets.setdefault(series, {})[le] = value

    def sum(self, series: str, value: float, *, at: float) -> None:
        """Take a histogram's sum."""
        if self._is_of_newest(at):
            self._sums[series] = value

    def histogram(self, series: str, histogram: Histogram) -> None:
        """Take a histogram that is whole already."""
        self._histograms[series] = histogram

    def build(self, *, unit_ms: float, metadata: TargetMetadata, denials_known: bool) -> ArmSnapshot:
        """The snapshot, with what its target says of itself; raises ``InvalidInput`` when a number in it cannot be used."""
        histograms = self._histograms
        for series, buckets in self._buckets.items():
            histograms[series] = assemble(buckets, self._sums.get(series), unit_ms=unit_ms, path=series)
        return ArmSnapshot(
            at=self.at,
            spacing_seconds=self.spacing_seconds,
            pod=self.pod,
            counters={series: (ended, whole(value, path=series)) for series, (ended, value) in self._counters.items()},
            histograms=histograms,
            denied=metadata.denied_at(self.at) if denials_known else None,
            born=metadata.born,
        )

    def _is_of_newest(self, at: float) -> bool:
        if at > self._latency_at + _SAME_SCRAPE_SECONDS:
            self._buckets.clear()
            self._sums.clear()
            self._latency_at = at
        return at >= self._latency_at - _SAME_SCRAPE_SECONDS
