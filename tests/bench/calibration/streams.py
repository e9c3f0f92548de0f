"""The streams that rows are made of: traffic, failures, latencies and what disturbs them, by the names that rows use.

The latency histograms keep only those of Istio's default bounds between which a request of these worlds ever falls: an empty bucket
changes no evidence and only costs time.
"""

from dataclasses import replace
from typing import Final

from daemon.offline.simulation.world import Change, Failures, Part, Pods, Stop, Times, Traffic, Unsteady, World, fine_bounds

BOUNDS: Final = (1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0)


def times(*parts: Part) -> Times:
    """Latencies of these kinds of requests."""
    return Times(parts=parts, bounds_ms=BOUNDS)


BASE: Final = times(Part(share=0.85, family="gamma", median_ms=45.0, p99_ms=105.0), Part(share=0.15, median_ms=200.0, p99_ms=800.0))
LOGNORMAL: Final = times(Part())
PARETO: Final = times(Part(family="pareto", median_ms=30.0, p99_ms=300.0))
NARROW: Final = times(Part(median_ms=350.0, p99_ms=447.0))
"""All but one in a thousand within one bucket."""
TIED: Final = times(Part(median_ms=300.0, p99_ms=330.0))
"""Within one bucket, with room for 10 % and more."""
FINE: Final = Times(bounds_ms=fine_bounds())
"""Lognormal, read from buckets that can tell a tolerance."""
AT_BOUND: Final = times(Part(median_ms=45.0, p99_ms=248.0))
"""p99 right below a bound."""
MEDIAN_AT_BOUND: Final = times(Part(median_ms=107.0, p99_ms=300.0))
SLOW_PART: Final = times(Part(share=0.985, median_ms=30.0, p99_ms=90.0), Part(share=0.015, median_ms=600.0, p99_ms=1500.0))
"""Most are fast, 1.5 % are slow."""
SLOWER_PART: Final = times(Part(share=0.95, median_ms=30.0, p99_ms=90.0), Part(share=0.05, median_ms=400.0, p99_ms=1200.0))
"""Most are fast, 5 % are slow."""
CACHE: Final = times(Part(share=0.6, median_ms=10.0, p99_ms=40.0), Part(share=0.4, median_ms=160.0, p99_ms=600.0))
"""Hits and misses."""
RARE_PART: Final = times(Part(share=0.98), Part(share=0.02))
"""2 % that are like the others until something happens to them."""

EVEN: Final = Traffic(canary_rps=500.0, baseline_rps=500.0)
LARGE: Final = Traffic(canary_rps=800.0, baseline_rps=200.0)
LOW: Final = Traffic(canary_rps=5.0, baseline_rps=95.0)
LOWER: Final = Traffic(canary_rps=3.0, baseline_rps=60.0)
LOWEST: Final = Traffic(canary_rps=0.2, baseline_rps=20.0)
HIGH: Final = Traffic(canary_rps=50_000.0, baseline_rps=950_000.0)
FEW: Final = Traffic(canary_rps=10.0, baseline_rps=30.0)
STEPPED: Final = Traffic(steps=((1, 5.0), (61, 10.0), (121, 20.0), (181, 35.0), (241, 50.0)))
STICKY: Final = Traffic(canary_rps=60.0, baseline_rps=940.0, route_weight=5.0)
UNANSWERED: Final = Traffic(canary_rps=35.0, route_weight=5.0)


def ticks_of(seconds: float, traffic: Traffic | None = None) -> Traffic:
    """Traffic read every so many seconds."""
    return replace(traffic or Traffic(), tick_seconds=seconds)


RISING: Final = Unsteady(trend=1.5)
FALLING: Final = Unsteady(trend=-0.6)


def jitter(size: float, *, correlation: float = 0.0, alone: bool = False) -> Unsteady:
    """Latency that jumps from tick to tick: the canary's by this much, that of the baseline, which has more pods, by less."""
    return Unsteady(jitter=(size, 0.0 if alone else 0.23 * size), correlation=correlation)


PAUSE: Final = Stop()
EARLY_PAUSE: Final = Stop(between=(1, 4))
COLLECTING: Final = Stop(every_ticks=20, baseline=True)


def stop(seconds: float) -> Stop:
    """One stop of the canary for some seconds."""
    return Stop(seconds=seconds)


def failing_stop(last_tick: int) -> Stop:
    """All of the canary's pods fail for half a second at some tick up to this one."""
    return Stop(fails=True, between=(1, last_tick))


def apart(canary: int, *, baseline: int = 10, spread: float = 0.0, slow: float = 1.0, error_spread: float = 0.0) -> Pods:
    """Pods that telemetry tells apart."""
    return Pods(canary=canary, baseline=baseline, spread=spread, slow=slow, error_spread=error_spread, told_apart=True)


AGED: Final = Pods(canary=2, baseline=4, told_apart=True, ages=True)
COLD: Final = Unsteady(cold=3.0, cold_seconds=10.0)
COLD_CACHE: Final = Unsteady(cold=3.0, cold_seconds=40.0)


def world(
    latency: Times = BASE,
    *,
    traffic: Traffic | None = None,
    failures: Failures | None = None,
    unsteady: Unsteady | None = None,
    pods: Pods | None = None,
    change: Change | None = None,
    stands: Stop | None = None,
    split: bool = True,
) -> World:
    """A release that is healthy and steady where nothing else is said."""
    return World(
        times=latency,
        traffic=traffic or Traffic(),
        failures=failures or Failures(),
        unsteady=unsteady or Unsteady(),
        pods=pods or Pods(),
        change=change or Change(),
        stop=stands,
        split=split,
    )


def late(change: Change, onset_tick: int) -> Change:
    """The same, but it begins after so many ticks."""
    return replace(change, onset_tick=onset_tick)


def errors(share: float) -> Change:
    """The canary fails this share."""
    return Change(errors=share)


def slower(factor: float) -> Change:
    """All of the canary takes this much longer."""
    return Change(factor=factor)


def tail(factor: float) -> Change:
    """The canary's slow end takes longer, p99 by this factor."""
    return Change(tail=factor)


def parts(*factors: float) -> Change:
    """The canary's kinds of requests take this much longer, each its own."""
    return Change(factors=factors)


def leak(*, percent: float, every_seconds: float = 10.0, seconds: float = 900.0) -> Change:
    """The canary becomes slower evenly, by so many percent every ten seconds (at a tick a second)."""
    return Change(factor=1.0 + percent / 100.0 * seconds / every_seconds, ramp_ticks=int(seconds))
