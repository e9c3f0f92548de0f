"""What is known of a service before a release: its traffic, failures, latency, how they are read, and what its buckets can tell."""

import math
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import numpy as np

from analyzers.counts import MAX_BUCKETS
from analyzers.fitness import Resolution, resolutions
from config.policy import Policy
from daemon.offline.plan.latency import Histogram
from daemon.offline.simulation import shapes
from daemon.offline.simulation.world import ISTIO_MS, fine_bounds

DEFAULT_WEIGHT = 5.0
"""The canary's share in percent where nobody says another."""
_PER_DECADE = 12


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A service and its release to come.

    Attributes:
        rps: requests per second of both versions together. weight: the canary's share in percent.
        errors, denied: the share of the requests that fail, or are denied by policy, also when nothing is wrong.
        median_ms, p99_ms: latency; where ``histogram`` is given it says more, and these are read from it.
        bounds_ms: bounds of the buckets that telemetry reads. split: they hold successes only.
        tick_seconds: the sampling interval.
        burst: failures come together in so many.
        jitter: standard deviation of the logarithm of a factor that moves all latencies of a version in a tick (0.05: by 5 %).
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
    burst: int = 1
    jitter: float = 0.0

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
                (1 <= self.burst <= 1000, f"a burst has 1 to 1000 failures, got {self.burst}"),
                (0.0 <= self.jitter <= 1.0, f"jitter is a share from 0 to 1, got {self.jitter:g}"),
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


def _fit(bounds_ms: tuple[float, ...]) -> bool:
    rising = all(low < high for low, high in pairwise((0.0, *bounds_ms, math.inf)))
    return rising and 0 < len(bounds_ms) < MAX_BUCKETS


def resolved(service: Service, policy: Policy) -> tuple[Resolution, ...]:
    """For typical latency and for p99, in this order."""
    allowed = policy.tolerances.latency
    return resolutions(service.bounds_ms, _counts(service), typical=allowed.typical, slow_end=allowed.slow_end)


def _counts(service: Service) -> Sequence[float]:
    """What the buckets hold: as observed where these buckets were, else the shares that the latency's distribution gives them."""
    seen = service.histogram
    if seen is not None and seen.bounds_ms == service.bounds_ms:
        return seen.counts
    shape = shapes.lognormal(median_ms=service.median_ms, p99_ms=service.p99_ms) if seen is None else seen.shape
    share, _, _ = shape.buckets(np.log(np.array(service.bounds_ms)), np.array(0.0))
    return tuple(share.tolist())
