"""What one target (a proxy, a pod) says of one arm, put together from single samples in whatever order they come."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from daemon.telemetry.counters.asides import Aside
from daemon.telemetry.counters.differencing import Histogram, assemble, whole
from daemon.telemetry.schema import Ended

_SAME_SCRAPE_SECONDS = 0.0005


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmView:
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


class ViewBuilder:
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
        """Whether there are any counters: latencies alone are no view of an arm."""
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

    def build(self, *, unit_ms: float, aside: Aside, denials_known: bool) -> ArmView:
        """The view, with what its target says of itself; raises ``InvalidInput`` when a number in it cannot be used."""
        histograms = self._histograms
        for series, buckets in self._buckets.items():
            histograms[series] = assemble(buckets, self._sums.get(series), unit_ms=unit_ms, path=series)
        return ArmView(
            at=self.at,
            spacing_seconds=self.spacing_seconds,
            pod=self.pod,
            counters={series: (ended, whole(value, path=series)) for series, (ended, value) in self._counters.items()},
            histograms=histograms,
            denied=aside.denied_at(self.at) if denials_known else None,
            born=aside.born,
        )

    def _is_of_newest(self, at: float) -> bool:
        if at > self._latency_at + _SAME_SCRAPE_SECONDS:
            self._buckets.clear()
            self._sums.clear()
            self._latency_at = at
        return at >= self._latency_at - _SAME_SCRAPE_SECONDS
