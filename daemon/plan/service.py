"""What is known of a service before a release: its traffic, failures, latency, and how they are read."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import msgspec

from analyzers.counts import Arm
from analyzers.layout import MAX_BUCKETS
from daemon.errors import InvalidInput
from daemon.model import Sample
from daemon.plan.latency import Histogram
from daemon.recordings import Header
from daemon.replay.opening import opened
from daemon.simulation.world import ISTIO_MS, fine_bounds

_PER_DECADE = 12


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A service and its release to come.

    Attributes:
        rps: requests per second of both versions together. weight: the canary's share in percent.
        errors, denied: the share of the requests that fail, or are denied by policy, also when nothing is wrong.
        median_ms, p99_ms: latency; where ``histogram`` is given it says more, and these are read from it.
        bounds_ms: bounds of the buckets that telemetry reads. split: they hold successes only.
        tick_seconds: the sampling interval.
    """

    rps: float
    weight: float
    errors: float = 0.0
    denied: float = 0.0
    median_ms: float
    p99_ms: float
    histogram: Histogram | None = None
    bounds_ms: tuple[float, ...] = ISTIO_MS
    split: bool = True
    tick_seconds: float = 5.0

    def __post_init__(self) -> None:
        """Refuse what could not be a service. Raises ``ValueError`` with one line for each fault."""
        faults = [
            said
            for fine, said in (
                (0.0 < self.rps < math.inf, f"rps must be positive, got {self.rps:g}"),
                (0.0 < self.weight < 100.0, f"weight is a share in percent between 0 and 100, got {self.weight:g}"),
                (0.0 <= self.errors < 1.0, f"errors is a share from 0 to below 1, got {self.errors:g}"),
                (0.0 <= self.denied < 1.0, f"denied is a share from 0 to below 1, got {self.denied:g}"),
                (0.0 < self.median_ms < self.p99_ms < math.inf, f"0 < median ({self.median_ms:g} ms) < p99 ({self.p99_ms:g} ms)"),
                (_fit(self.bounds_ms), f"bounds_ms must increase from above 0, and be at most {MAX_BUCKETS - 1}"),
                (0.25 <= self.tick_seconds <= 300.0, f"a tick lasts 0.25 to 300 seconds, got {self.tick_seconds:g}"),
            )
            if not fine
        ]
        if faults:
            raise ValueError("\n".join(faults))

    def finer(self) -> "Service":
        """The same service read with fine buckets around its latencies."""
        first = math.floor(math.log10(self.median_ms / 30.0))
        decades = min((MAX_BUCKETS - 2) // _PER_DECADE, math.ceil(math.log10(self.p99_ms * 10.0)) - first)
        bounds = fine_bounds(from_ms=10.0**first, decades=decades, per_decade=_PER_DECADE)
        return msgspec.structs.replace(self, bounds_ms=bounds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What adds up of a watch, both arms together (failures and latency: the baseline's alone)."""

    seconds: float = 0.0
    requests: int = 0
    canary_requests: int = 0
    baseline_requests: int = 0
    errors: int = 0
    denied: int = 0
    counts: tuple[int, ...] = ()

    def plus(self, sample: Sample) -> "Seen":
        """With one more tick; a tick without a baseline says nothing."""
        if sample.baseline is None or sample.seconds <= 0.0:
            return self
        baseline = sample.baseline
        mine = 0 if sample.canary is None else _arriving(sample.canary)
        return replace(
            self,
            seconds=self.seconds + sample.seconds,
            requests=self.requests + mine + _arriving(baseline),
            canary_requests=self.canary_requests + mine,
            baseline_requests=self.baseline_requests + baseline.requests,
            errors=self.errors + baseline.errors,
            denied=self.denied + baseline.denied,
            counts=self.counts if baseline.latency is None else _sum(self.counts, baseline.latency.counts),
        )

    def service(
        self, *, source: str, bounds_ms: tuple[float, ...], split: bool, tick_seconds: float, weight: float | None
    ) -> Service:
        """The service as seen. Raises ``InvalidInput`` when too little was seen."""
        fix = "give a longer recording, or the figures themselves (--rps, --errors, --median-ms, --p99-ms)"
        if self.baseline_requests == 0 or sum(self.counts) == 0:
            raise InvalidInput("the baseline's requests and latencies were not seen", path=source, fix=fix)
        histogram = Histogram(bounds_ms=bounds_ms, counts=tuple(float(count) for count in self.counts))
        shape = histogram.shape
        seen = 100.0 * self.canary_requests / self.requests
        return Service(
            rps=self.requests / self.seconds,
            weight=seen if weight is None else weight,
            errors=self.errors / self.baseline_requests,
            denied=self.denied / (self.baseline_requests + self.denied),
            median_ms=shape.quantile_ms(0.5),
            p99_ms=shape.quantile_ms(0.99),
            histogram=histogram,
            bounds_ms=bounds_ms,
            split=split,
            tick_seconds=tick_seconds,
        )


def of_recording(path: Path) -> tuple[Service, Header]:
    """The service as a recording shows it (its baseline), and the recording's header.

    Raises:
        InvalidInput: the recording cannot be used, or shows too little.
    """
    recording = opened(path, policies=[None])
    seen, tick_seconds = Seen(), recording.header.tick_seconds
    for sample in recording.samples:
        seen = seen.plus(sample)
        tick_seconds = tick_seconds or sample.seconds
    service = seen.service(
        source=str(path),
        bounds_ms=recording.header.bounds_ms,
        split=recording.header.split,
        tick_seconds=tick_seconds or 1.0,
        weight=recording.release.weight or None,
    )
    return service, recording.header


def _fit(bounds_ms: tuple[float, ...]) -> bool:
    rising = all(low < high for low, high in pairwise((0.0, *bounds_ms, math.inf)))
    return rising and 0 < len(bounds_ms) < MAX_BUCKETS


def _arriving(arm: Arm) -> int:
    return arm.requests + arm.denied


def _sum(so_far: tuple[int, ...], more: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(map(sum, zip(so_far, more, strict=True))) if so_far else more
