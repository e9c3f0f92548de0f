"""The truth about a release, in plain numbers: what its traffic, failures and latency are, and what changes in the canary.

Every default is a healthy, steady release: 50 of 1000 requests a second go to the canary, one in a thousand fails, latency is
lognormal with a median of 40 ms and a p99 of 240 ms, read from Istio's default buckets.
"""

import math
from dataclasses import dataclass, field
from typing import Final, Literal

ISTIO_MS: Final = (
    *(0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0),
    *(30000.0, 60000.0, 300000.0, 600000.0, 1800000.0, 3600000.0),
)
"""Upper bounds of Istio's request duration histogram."""
OLD_SECONDS: Final = 86400.0
"""Age at the start of the watch of a pod that is long warm."""


def fine_bounds(*, from_ms: float = 1.0, decades: int = 4, per_decade: int = 12) -> tuple[float, ...]:
    """Bounds that are evenly spaced on a logarithmic scale."""
    return tuple(from_ms * 10.0 ** (at / per_decade) for at in range(decades * per_decade + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Requests per second (Poisson) and how they are seen.

    Attributes:
        swing: amplitude of a wave in both arms' load, as a fraction; it lasts ``Unsteady.drift_seconds``.
        gap_chance: per tick and arm, that its telemetry goes missing; for ``gap_ticks`` ticks.
        reset_chance: per tick and arm, that a counter restart hides a random part of the tick.
        flush_ticks: the proxy merges its histograms every so many ticks; in between an arm has no latency.
        route_weight: the canary's weight in the route in percent, where the requests do not follow it (sticky sessions, requests
            that are never answered); null where they do.
        steps: the weight rises as (from this tick, percent of all requests); at 100 the canary is alone.
    """

    canary_rps: float = 50.0
    baseline_rps: float = 950.0
    tick_seconds: float = 1.0
    swing: float = 0.0
    gap_chance: float = 0.0
    gap_ticks: int = 1
    reset_chance: float = 0.0
    flush_ticks: int = 1
    route_weight: float | None = None
    steps: tuple[tuple[int, float], ...] = ()

    def rates(self, tick: int) -> tuple[float, float]:
        """Requests per second of canary and baseline at a tick (the first is 1)."""
        both = self.canary_rps + self.baseline_rps
        for first, percent in reversed(self.steps):
            if tick >= first:
                return both * percent / 100.0, both * (1.0 - percent / 100.0)
        return self.canary_rps, self.baseline_rps

    def weight(self, tick: int) -> float:
        """The canary's weight in the route at a tick, in percent."""
        if self.route_weight is not None:
            return self.route_weight
        canary, baseline = self.rates(tick)
        return 100.0 * canary / (canary + baseline)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """What goes wrong in both arms alike.

    Attributes:
        errors: failed share of the requests. denied: denied share of what arrives.
        clump: failures come in bursts of exactly this many; the share stays.
        retried: chance that a failed request is tried again and fails again (bursts of all sizes); the share stays.
        slow: factor on the latency of failed requests; seen only where histograms are not split.
    """

    errors: float = 0.001
    denied: float = 0.0
    clump: int = 1
    retried: float = 0.0
    slow: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Requests of one kind: their share (shares need not add up to 1), and how their latency is distributed."""

    share: float = 1.0
    family: Literal["lognormal", "gamma", "pareto"] = "lognormal"
    median_ms: float = 40.0
    p99_ms: float = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Latency of successes: a mixture of kinds of requests (a cache's hits and misses), read from a histogram with these finite
    upper bounds.
    """

    parts: tuple[Part, ...] = (Part(),)
    bounds_ms: tuple[float, ...] = ISTIO_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsteady:
    """What moves latency without anybody's fault.

    Attributes:
        drift: amplitude, as a fraction, of a wave shared by both arms; every release has its own phase.
        drift_seconds: the wave's length.
        trend: fraction by which both arms' latency has grown after ``trend_seconds``, evenly; then it stays.
        jitter: (canary, baseline) standard deviation of the logarithm of a factor common to all requests of an arm and tick.
        pod_jitter: the same for a factor of each pod's own.
        correlation: of both factors from tick to tick (AR(1)).
        cold: factor on latency at the start, falling to 1 with ``cold_seconds``; of the canary's pods, or of both arms'.
    """

    drift: float = 0.0
    drift_seconds: float = 120.0
    trend: float = 0.0
    trend_seconds: float = 300.0
    jitter: tuple[float, float] = (0.0, 0.0)
    pod_jitter: float = 0.0
    correlation: float = 0.0
    cold: float = 1.0
    cold_seconds: float = 10.0
    cold_baseline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """An arm stands still for a moment: what arrives then waits for its end, or fails. It begins with a tick.

    Attributes:
        seconds: how long.
        between: first and last tick at which it may begin; drawn for each release.
        every_ticks: it comes again (garbage collection); drawn for each release and arm where it stands in its period.
            0: once.
        canary, baseline: which arms.
        fails: requests fail instead of waiting.
    """

    seconds: float = 0.5
    between: tuple[int, int] = (1, 300)
    every_ticks: int = 0
    canary: bool = True
    baseline: bool = False
    fails: bool = False

    def parts(self, tick_seconds: float) -> list[tuple[float, float, float]]:
        """For each tick it touches: the share of the requests that meet it, and the shortest and longest wait in seconds."""
        number = math.ceil(self.seconds / tick_seconds - 1e-9)
        ends = [min(self.seconds, (at + 1) * tick_seconds) for at in range(number)]
        return [
            ((end - at * tick_seconds) / tick_seconds, self.seconds - end, self.seconds - at * tick_seconds)
            for at, end in enumerate(ends)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pods:
    """Pods that carry the arms' requests in equal parts.

    Attributes:
        canary, baseline: numbers.
        spread: standard deviation of the logarithm of the pods' own factors on latency.
        error_spread: the same for their error rates.
        slow: factor on the latency of the first of the canary's pods (a slow node).
        told_apart: telemetry has counts for every pod. ages: and their ages.
    """

    canary: int = 1
    baseline: int = 1
    spread: float = 0.0
    error_spread: float = 0.0
    slow: float = 1.0
    told_apart: bool = False
    ages: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What the new version does to the canary from ``onset_tick`` ticks after the start. Null: as in the baseline.

    Attributes:
        factor: on latency. tail: on p99 alone, everything above p95 stretched continuously.
        factors: on the latency of each of ``Times.parts``, in their order.
        ramp_ticks: what is added by the factor on latency and to the errors grows evenly to its full size in this time (a leak).
        clump: failures come in bursts of this many.
    """

    onset_tick: int = 0
    ramp_ticks: int = 0
    errors: float | None = None
    denied: float | None = None
    factor: float = 1.0
    tail: float = 1.0
    factors: tuple[float, ...] = ()
    clump: int | None = None

    def size(self, tick: int) -> float:
        """How much of the change is there at a tick (the first is 1): 0 to 1."""
        if tick <= self.onset_tick:
            return 0.0
        return min(1.0, (tick - self.onset_tick) / self.ramp_ticks) if self.ramp_ticks else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One release. ``split``: histograms hold successes only."""

    traffic: Traffic = field(default_factory=Traffic)
    failures: Failures = field(default_factory=Failures)
    times: Times = field(default_factory=Times)
    unsteady: Unsteady = field(default_factory=Unsteady)
    pods: Pods = field(default_factory=Pods)
    change: Change = field(default_factory=Change)
    stop: Stop | None = None
    split: bool = True
