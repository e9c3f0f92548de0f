"""The labelled suite's kinds: what is healthy and what is bad, in every shape of traffic, latency and telemetry we know of.

A bad release is one that passes a tolerance of the default policy clearly enough to be found within its window by a judge as fast
as ours; a release *at* its tolerance is neither and is not in the suite.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from config.policy import Policy, Promotion
from daemon.simulation.world import Change, Failures, Pods, Times, Traffic, Unsteady, World, fine_bounds
from tests.bench.calibration.cells import BOUNDS, NARROW, TIED, TIMES

LOW: Final = Traffic(canary_rps=5.0, baseline_rps=95.0)
EVEN: Final = Traffic(canary_rps=500.0, baseline_rps=500.0)
SLOW_SCRAPE: Final = Traffic(tick_seconds=5.0)
GAPS: Final = Traffic(gap_chance=0.02, gap_ticks=3, reset_chance=0.02)
FLUSH: Final = Traffic(flush_ticks=5)
SWING: Final = Traffic(swing=0.5)
BURSTS: Final = Failures(clump=5)
FINE: Final = Times(bounds_ms=fine_bounds())
CACHE: Final = Times(median_ms=8.0, p99_ms=40.0, misses=0.1, miss_factor=20.0, bounds_ms=BOUNDS)
DRIFT: Final = Unsteady(drift=0.65)
JITTER: Final = Unsteady(jitter=(0.05, 0.011))
CORRELATED: Final = Unsteady(jitter=(0.05, 0.0115), correlation=0.9)
COLD: Final = Unsteady(cold=3.0)
YOUNG: Final = Pods(canary=2, baseline=4, told_apart=True, ages=True)
THREE: Final = Pods(canary=3, baseline=10, spread=0.02, told_apart=True)
FAR: Final = Pods(canary=3, baseline=10, spread=0.05, told_apart=True)
FRAGILE: Final = Pods(canary=3, baseline=10, error_spread=0.3, told_apart=True)
FULL_WATCH: Final = Policy(promotion=Promotion(min_seconds=270.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of release. ``bad``: it must be taken back."""

    name: str
    bad: bool
    world: World
    policy: Policy = field(default_factory=Policy)


def _healthy(name: str, policy: Policy | None = None, **parts: object) -> Kind:
    return Kind(name=name, bad=False, world=_world(parts), policy=policy or Policy())


def _bad(name: str, change: Change, policy: Policy | None = None, **parts: object) -> Kind:
    return Kind(name=name, bad=True, world=_world(parts | {"change": change}), policy=policy or Policy())


def _world(parts: dict[str, object]) -> World:
    return replace(World(times=TIMES), **parts)  # type: ignore[arg-type]  # parts are World's own fields, given by name


def healthy() -> list[Kind]:
    """Kinds that must not be taken back."""
    return [
        _healthy("steady"),
        _healthy("steady, watched to the end", FULL_WATCH),
        _healthy("low traffic", traffic=LOW),
        _healthy("half of the traffic", traffic=EVEN),
        _healthy("a tick every 5 s", traffic=SLOW_SCRAPE),
        _healthy("telemetry with gaps and resets", FULL_WATCH, traffic=GAPS),
        _healthy("histograms merged every 5 s", traffic=FLUSH),
        _healthy("load up and down by half", traffic=SWING),
        _healthy("no errors at all", failures=Failures(errors=0.0)),
        _healthy("both arms fail 1 %", failures=Failures(errors=0.01)),
        _healthy("both arms fail 5 %", failures=Failures(errors=0.05)),
        _healthy("errors in bursts", FULL_WATCH, failures=BURSTS),
        _healthy("denials in both arms", failures=Failures(denied=0.005)),
        _healthy("slow errors in the histogram", failures=Failures(errors=0.01, slow=20.0), split=False),
        _healthy("all latencies in one bucket", times=TIED),
        _healthy("narrow latency", times=NARROW),
        _healthy("pods' error rates differ by 30 %", failures=Failures(errors=0.01), pods=FRAGILE),
        _healthy("a cache: two humps", times=CACHE),
        _healthy("shared drift", FULL_WATCH, unsteady=DRIFT),
        _healthy("tick jitter 5 %", FULL_WATCH, unsteady=JITTER),
        _healthy("correlated latency, pods unknown", FULL_WATCH, unsteady=CORRELATED),
        _healthy("pods differ by 2 %", FULL_WATCH, pods=THREE),
        _healthy("pods differ by 5 %", FULL_WATCH, pods=FAR),
        _healthy("cold canary pods", unsteady=COLD, pods=YOUNG),
        _healthy("2 % slower, tolerated", change=Change(factor=1.02)),
    ]


def bad() -> list[Kind]:
    """Kinds that must be taken back."""
    one, five, slower = Change(errors=0.01), Change(errors=0.05), Change(factor=1.3)
    return [
        _bad("errors 1 %", one),
        _bad("errors 5 %", five),
        _bad("errors 20 %", Change(errors=0.2)),
        _bad("errors 5 %, low traffic", five, traffic=LOW),
        _bad("errors 1 %, half of the traffic", one, traffic=EVEN),
        _bad("errors 5 %, a tick every 5 s", five, traffic=SLOW_SCRAPE),
        _bad("errors 5 %, gaps and resets", five, traffic=GAPS),
        _bad("errors 5 % over a baseline of 1 %", five, failures=Failures(errors=0.01)),
        _bad("errors 10 % in bursts", Change(errors=0.1), failures=BURSTS),
        _bad("errors 5 %, not split", five, split=False),
        _bad("denied 5 %", Change(denied=0.05)),
        _bad("x1.3", slower),
        _bad("x2", Change(factor=2.0)),
        _bad("x1.5, low traffic", Change(factor=1.5), traffic=LOW),
        _bad("x1.2, half of the traffic", Change(factor=1.2), traffic=EVEN),
        _bad("x1.3, histograms merged every 5 s", slower, traffic=FLUSH),
        _bad("x1.3, narrow latency", slower, times=NARROW),
        _bad("x1.5, shared drift", Change(factor=1.5), unsteady=DRIFT),
        _bad("x1.5, pods differ by 2 %", Change(factor=1.5), pods=THREE),
        _bad("x1.5 after a cold start", Change(factor=1.5), unsteady=COLD, pods=YOUNG),
        _bad("p99 +60 %", Change(tail=1.6)),
        _bad("p99 +100 %, fine buckets", Change(tail=2.0), times=FINE),
        _bad("errors 5 % after 150 s", Change(errors=0.05, onset_tick=150), FULL_WATCH),
        _bad("x1.5 after 150 s", Change(factor=1.5, onset_tick=150), FULL_WATCH),
        _bad("a leak: up to x2 within 100 s", Change(factor=2.0, onset_tick=60, ramp_ticks=100), FULL_WATCH),
    ]
