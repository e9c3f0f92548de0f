"""The judge on releases of which the truth is known: a small seeded part of `make calibration`, with exact binomial limits.

A limit is the count that a judge with exactly the promised rate exceeds once in a million seeds.
"""

import math
from dataclasses import replace

import numpy as np
import pytest

from config.policy import Policy, Promotion
from daemon.simulation import trials
from daemon.simulation.world import Change, Failures, Pods, Traffic, Unsteady, World
from tests.bench.calibration.cells import BOUNDS, TIED, TIMES, Cell
from tests.bench.calibration.probes import certificates, evidence

ONCE = 1e-6
RUNS = 400
LOOKS = 60.0


def binomial_limit(runs: int, rate: float) -> int:
    """The smallest count that Binomial(runs, rate) exceeds with a chance of at most ``ONCE``."""
    above = 1.0
    for count in range(runs + 1):
        above -= math.comb(runs, count) * rate**count * (1.0 - rate) ** (runs - count)
        if above <= ONCE:
            return count
    return runs


def _cell(world: World, *, window_seconds: float = LOOKS, legs: bool = False, warmup_seconds: float = 30.0) -> Cell:
    return Cell(
        section="false",
        key="test",
        title="test",
        world=world,
        runs=RUNS,
        window_seconds=window_seconds,
        warmup_seconds=warmup_seconds,
        legs=legs,
    )


def _seed(number: int) -> np.random.SeedSequence:
    return np.random.SeedSequence([20, number])


def test_the_limits_are_those_of_the_binomial_distribution() -> None:
    assert binomial_limit(1, 0.5) == 1
    assert binomial_limit(400, 0.01) == 16
    assert binomial_limit(200, 0.05) == 27


HEALTHY = {
    "clean": World(times=TIMES),
    "low traffic": World(times=TIMES, traffic=Traffic(canary_rps=5.0, baseline_rps=95.0)),
    "even split": World(times=TIMES, traffic=Traffic(canary_rps=500.0, baseline_rps=500.0)),
    "drift": World(times=TIMES, unsteady=Unsteady(drift=0.65)),
    "bursts": World(times=TIMES, failures=Failures(errors=0.005, clump=5)),
    "gaps": World(times=TIMES, traffic=Traffic(gap_chance=0.02, gap_ticks=3, reset_chance=0.02)),
    "one bucket": World(times=TIED),
    "denials": World(times=TIMES, failures=Failures(denied=0.01)),
    "slow errors, not split": World(times=TIMES, failures=Failures(errors=0.01, slow=20.0), split=False),
    "jitter": World(times=TIMES, unsteady=Unsteady(jitter=(0.05, 0.011))),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_release_is_taken_back_no_more_often_than_promised(name: str) -> None:
    """Alpha is 1 % over the whole watch; jitter, which nothing can tell from harm in the first ticks, gets 2 %."""
    first = evidence(_cell(HEALTHY[name]), releases=RUNS, seed=_seed(1))
    taken_back = sum(tick > 0 for tick in first["guarded"])
    assert taken_back <= binomial_limit(RUNS, 0.02 if name == "jitter" else 0.01)


@pytest.mark.parametrize("canary", [1, 3])
def test_pods_that_differ_are_no_regression(canary: int) -> None:
    world = World(times=TIMES, pods=Pods(canary=canary, baseline=10, spread=0.05, told_apart=True))
    first = evidence(_cell(world), releases=128, seed=_seed(2))
    without, with_guard = (sum(tick > 0 for tick in first[column]) for column in ("boost", "guarded"))
    assert with_guard <= binomial_limit(128, 0.015)
    assert without > with_guard, "the pods' differences must be there for the guard to hold"


BANDS = {
    "errors 1 %": (Change(errors=0.01), "boost", 7, 10),
    "errors 5 %": (Change(errors=0.05), "guarded", 2, 2),
    "errors 20 %": (Change(errors=0.2), "boost", 1, 1),
    "x1.1": (Change(factor=1.1), "boost", 18, 24),
    "x1.2": (Change(factor=1.2), "guarded", 5, 7),
    "p99 +50 %": (Change(tail=1.5), "guarded", 15, 21),
    "both": (Change(errors=0.01, factor=1.2), "boost", 3, 5),
    "late x1.2": (Change(onset_tick=165, factor=1.2), "guarded", 9, 13),
}


@pytest.mark.parametrize("name", BANDS)
def test_a_bad_release_is_found_as_fast_as_ever(name: str) -> None:
    change, column, least, most = BANDS[name]
    cell = _cell(World(times=TIMES, change=change), window_seconds=300.0)
    delays = np.array(evidence(cell, releases=100 if change.onset_tick else 250, seed=_seed(3))[column])
    found = delays[delays > change.onset_tick] - change.onset_tick
    assert len(found) >= 0.98 * len(delays)
    assert least <= np.median(found) <= most


def test_a_canary_at_its_tolerance_is_rarely_certified() -> None:
    for change, column in ((Change(errors=0.006), "errors"), (Change(factor=1.1), "rank"), (Change(factor=1.1), "mean")):
        cell = _cell(World(times=TIMES, change=change), window_seconds=100.0)
        first = certificates(replace(cell, section="promotion"), releases=200, seed=_seed(4))
        assert sum(tick > 0 for tick in first[column]) <= binomial_limit(200, 0.05)


def test_the_default_policy_promotes_the_healthy_and_takes_back_the_bad() -> None:
    def share(change: Change, outcome: str) -> float:
        return trials.judge(World(times=TIMES, change=change), Policy(), releases=100, seed=5).share(outcome)

    assert share(Change(), "promote") >= 0.97
    assert share(Change(errors=0.05), "rollback") == 1.0
    assert share(Change(factor=1.5), "rollback") == 1.0
    assert share(Change(factor=1.02), "rollback") <= 0.05, "tolerated is not rolled back, however sure"


def test_ends_count_shares_and_delays() -> None:
    world = World(times=TIMES, change=Change(onset_tick=5, errors=0.5))
    ends = trials.judge(world, Policy(), releases=20, seed=6)
    assert ends.share("rollback") == 1.0
    assert set(ends.legs) == {"errors"}
    assert (ends.delays("rollback", after_tick=5) <= 2).all()
    assert len(ends.delays("promote")) == 0


def test_blocks_do_not_depend_on_how_many_there_are() -> None:
    assert trials.blocks(1200) == [512, 512, 176]
    world = World(times=TIMES)
    short = Policy(window_seconds=5.0, warmup_seconds=0.0, promotion=Promotion(min_requests=250, min_seconds=0.0))
    few, many = (trials.judge(world, short, releases=count, seed=7) for count in (512, 520))
    assert many.ticks[:512].tolist() == few.ticks.tolist()


def test_buckets_that_stay_empty_change_no_evidence() -> None:
    """Istio's twenty buckets and the dozen that are ever hit give the same ticks."""
    world = World(change=Change(factor=1.15))
    assert set(BOUNDS) < set(world.times.bounds_ms)
    many, few = (
        evidence(_cell(replace(world, times=times), legs=True), releases=64, seed=_seed(8))["boost"]
        for times in (world.times, TIMES)
    )
    assert np.median(many) == pytest.approx(np.median(few), abs=2)
