"""One arm alone: failures against the absolute limit, latency against a baseline that was there before."""

from collections.abc import Iterator

import pytest

from analyzers.counts import Arm, Sample
from config.policy import Policy, Promotion
from tests.analyzers.streams import World, latency, sample, terms, watch

NEVER = Policy(promotion=Promotion(min_requests=10**9))


def test_after_the_baseline_has_fallen_silent_it_is_remembered() -> None:
    """A blue-green switch at tick 30: failures and latency are compared with what the baseline was like before."""

    def switched(world: World, seed: int) -> Iterator[Sample]:
        for one in world.ticks(seed, 120):
            if one.t <= 30 or one.canary is None:
                yield one
                continue
            whole = World(canary_rps=1000.0, errors=world.errors, factor=world.factor)
            (busy,) = list(whole.ticks(int(one.t) + 1000 * seed, 1))
            yield Sample(t=one.t, seconds=1.0, canary=busy.canary, baseline=sample(1.0, baseline=(0, 0)).baseline)

    assert watch(terms(NEVER), switched(World(), 1))[1].outcome == "continue"
    for world in (World(errors=(0.05, 0.001), onset=30), World(factor=1.5, onset=30)):
        _, ruling = watch(terms(NEVER), switched(world, 2))
        assert ruling.outcome == "rollback"
        assert 30 < ruling.tick <= 60


def test_a_bad_baseline_that_falls_silent_is_no_reason_to_take_back_a_canary_as_bad() -> None:
    """Both fail 3 %, where 0.5 % is the limit."""
    both = (sample(float(t), canary=(1000, 30), baseline=(1000, 30)) for t in range(1, 61))
    after = (sample(float(t), canary=(2000, 60), baseline=(0, 0)) for t in range(61, 200))
    _, ruling = watch(terms(NEVER, bounds_ms=()), [*both, *after])
    assert ruling.outcome == "continue"


def test_a_policy_that_denied_as_many_of_the_baselines_requests_is_no_reason_to_take_the_canary_back() -> None:
    before = [
        Sample(t=t, seconds=1.0, canary=Arm(requests=95, denied=5), baseline=Arm(requests=950, denied=50)) for t in range(1, 60)
    ]
    for denied, outcome in ((50, "continue"), (200, "rollback")):
        after = [
            Sample(t=t, seconds=1.0, canary=Arm(requests=1000 - denied, denied=denied), baseline=Arm(requests=0))
            for t in range(60, 150)
        ]
        _, ruling = watch(terms(NEVER, bounds_ms=()), [*before, *after])
        assert ruling.outcome == outcome


def test_a_lone_histogram_of_a_canary_that_is_not_alone_yet_says_nothing() -> None:
    """Ten requests, while the baseline happened to serve none."""
    stream = [sample(1.0, slow=(latency((5, 5, 5)), latency((50, 50, 50)))), sample(2.0, canary=(10, 0), baseline=(0, 0))]
    stream[1] = replace_latency(stream[1])
    _, before = watch(terms(bounds_ms=(1.0, 2.0)), stream[:1])
    _, after = watch(terms(bounds_ms=(1.0, 2.0)), stream)
    assert after.legs["typical"].e_value == pytest.approx(before.legs["typical"].e_value)


def replace_latency(one: Sample) -> Sample:
    """The same sample with all of the canary's requests in the slowest bucket."""
    assert one.canary is not None
    canary = type(one.canary)(requests=10, latency=latency((0, 0, 10)))
    return Sample(t=one.t, seconds=one.seconds, canary=canary, baseline=one.baseline)
