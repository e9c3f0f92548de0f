"""What is estimated of a service's irregularity: near the truth where it is large, nothing where chance explains what was seen."""

from statistics import median

import pytest

from analyzers.counts import Arm, Latency, Sample
from daemon.offline.plan.irregular import Irregular
from daemon.offline.plan.seen import Seen
from daemon.offline.plan.service import Service
from daemon.offline.simulation import packing
from daemon.offline.simulation.drawing import Stream
from daemon.offline.simulation.world import Change, Failures, Traffic, Unsteady, World

RELEASES = 20


def seen(world: World, *, ticks: int = 120) -> list[Service]:
    """Releases of one world as they are described after having been seen."""
    found = [Seen()] * RELEASES
    for tick in Stream(world, releases=RELEASES, seed=2).ticks(ticks):
        samples = packing.samples(world, tick, range(RELEASES))
        found = [one.plus(sample) for one, sample in zip(found, samples, strict=True)]
    bounds_ms = world.times.bounds_ms
    return [one.service(source="x", bounds_ms=bounds_ms, split=True, tick_seconds=1.0, weight=None) for one in found]


@pytest.mark.parametrize(
    "world",
    [
        World(),
        World(traffic=Traffic(canary_rps=5.0, baseline_rps=45.0)),
        World(unsteady=Unsteady(drift=0.5)),
        World(change=Change(factor=1.5, onset_tick=50)),
        World(failures=Failures(errors=0.0)),
    ],
    ids=["clean", "little traffic", "drift of both versions", "a regression that starts late", "no failures"],
)
def test_chance_drift_and_regressions_are_no_irregularity(world: World) -> None:
    assert {(one.burst, one.jitter) for one in seen(world)} == {(1, 0.0)}


def test_latency_that_moves_by_itself_is_measured() -> None:
    found = [one.jitter for one in seen(World(unsteady=Unsteady(jitter=(0.15, 0.15))))]
    assert median(found) == pytest.approx(0.15, rel=0.15)


def test_bursts_of_failures_are_measured() -> None:
    found = [one.burst for one in seen(World(failures=Failures(errors=0.005, clump=5)))]
    assert median(found) == 5


def test_ticks_that_cannot_be_compared_say_nothing() -> None:
    few = Arm(requests=5, latency=Latency(counts=(5, 0), sum_ms=5.0))
    empty = Arm(requests=50, latency=Latency(counts=(50, 0), sum_ms=0.0))
    for canary in (None, few, empty, Arm(requests=50)):
        one = Irregular().plus(Sample(t=1.0, seconds=1.0, baseline=Arm(requests=50, latency=empty.latency), canary=canary))
        assert (one.pairs, one.last, one.jitter(spread=1.0), one.burst) == (0, None, 0.0, 1)
    assert Irregular().plus(Sample(t=1.0, seconds=1.0, baseline=None, canary=few)) == Irregular()
