"""One arm alone: failures against the absolute limit, latency against a baseline that was handed in, or was there before."""

from collections.abc import Iterator

import numpy as np
import pytest
from msgspec.structs import replace

from analyzers.counts import Arm, Sample
from analyzers.judge import Terms, terms_of
from config.policy import Policy, Promotion
from tests.analyzers.streams import ISTIO_MS, World, latency, sample, terms, watch

NEVER = Policy(promotion=Promotion(min_requests=10**9))
REFERENCE = np.sum([one.baseline.latency.counts for one in World().ticks(9, 40) if one.baseline and one.baseline.latency], axis=0)


def _alone(policy: Policy = NEVER) -> Terms:
    return terms_of(policy, tick_seconds=1.0, window_seconds=300.0, bounds_ms=ISTIO_MS, reference=REFERENCE.tolist())


def _without_baseline(world: World, seed: int, ticks: int) -> Iterator[Sample]:
    for one in world.ticks(seed, ticks):
        yield Sample(t=one.t, seconds=1.0, canary=one.canary, baseline=None)


@pytest.mark.parametrize("seed", range(3))
def test_a_canary_like_the_baseline_that_was_handed_in_is_not_taken_back(seed: int) -> None:
    _, ruling = watch(_alone(), _without_baseline(World(), seed, 100))
    assert ruling.outcome == "continue"


@pytest.mark.parametrize(
    ("world", "leg", "most"),
    [
        (World(factor=1.5), "typical", 10),
        (World(errors=(0.05, 0.001)), "errors", 8),
        (World(median_ms=40.0, p99_ms=700.0), None, 30),
    ],
    ids=["slower", "failing", "a longer tail"],
)
def test_a_canary_worse_than_tolerated_is_taken_back_without_a_baseline_arm(world: World, leg: str | None, most: int) -> None:
    _, ruling = watch(_alone(), _without_baseline(world, 1, 60))
    assert ruling.outcome == "rollback"
    assert ruling.tick <= most
    assert leg in {None, ruling.leg}
    assert next(one for one in ruling.findings if one.leg == ruling.leg).standing == "convicts"


def test_it_needs_the_certainty_of_strict_evidence() -> None:
    """The day's load is not told from harm: the policy's word does not make it quicker."""
    world = World(errors=(0.02, 0.001))
    words = ("fast", "balanced", "strict")
    ticks = [watch(_alone(replace(NEVER, evidence=word)), _without_baseline(world, 2, 100))[1].tick for word in words]
    assert len(set(ticks)) == 1


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


@pytest.mark.parametrize("reference", [(1.0, 2.0), (0.0, 0.0, 0.0), (1.0, -1.0, 2.0)])
def test_a_reference_that_is_none_is_refused(reference: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="the reference histogram"):
        terms_of(NEVER, tick_seconds=1.0, window_seconds=60.0, bounds_ms=(1.0, 2.0), reference=reference)


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
