"""What is tolerated of a canary alone: absolute where it can be, and never less than the baseline was."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzers.judge import terms_of
from analyzers.layout import blank
from analyzers.legs.table import ERRORS, SLOW_END, TYPICAL, UNANSWERED
from analyzers.onearm.limits import MOST, SPENT, WEIGHTS, Limit, limits, seen_in
from analyzers.reference import Reference
from config.policy import LatencyTolerance, Policy, Tolerances
from tests.analyzers.onearm.streams import POLICY, after, before
from tests.analyzers.streams import ISTIO_MS, World

BOUNDS = (10.0, 25.0, 50.0, 100.0, 250.0)


def _of(leg: int, reference: Reference, policy: Policy = POLICY) -> list[Limit]:
    one = after(reference, policy, bounds_ms=reference.bounds_ms)
    return [limit for limit in limits(one) if limit.leg == leg]


def test_the_limits_and_what_they_may_be_wrong_by_are_all_of_alpha() -> None:
    assert SPENT + sum(WEIGHTS.values()) + WEIGHTS[SLOW_END] == pytest.approx(1.0)


def test_failures_are_held_against_the_absolute_limit() -> None:
    assert _of(ERRORS, Reference())[0] == Limit(ERRORS, None, None, 0.005)
    assert _of(ERRORS, Reference(requests=1000.0, errors=1.0))[0] == Limit(ERRORS, None, 0.001, 0.005)
    assert _of(UNANSWERED, Reference(requests=990.0, unanswered=1.0))[0].share == 0.01


@given(requests=st.floats(10.0, 1e6), share=st.floats(0.0, 1.0))
def test_a_canary_as_bad_as_its_baseline_was_is_within_its_limit(requests: float, share: float) -> None:
    [limit] = _of(ERRORS, Reference(requests=requests, errors=share * requests))
    assert max(0.005, share) <= limit.share <= 1.0


def test_a_baseline_beyond_the_absolute_limit_gives_its_own_and_the_less_the_more_was_seen_of_it() -> None:
    few, many = (_of(ERRORS, Reference(requests=n, errors=0.03 * n))[0].share for n in (1e3, 1e6))
    assert 0.03 + 0.0025 < many < 0.035 < few


def test_latency_is_the_share_above_a_bound_near_the_median_and_at_the_slow_end() -> None:
    reference = before()
    [typical], slow = _of(TYPICAL, reference), _of(SLOW_END, reference)
    assert typical.bound is not None
    assert ISTIO_MS[typical.bound] == 50.0
    assert 1 <= len(slow) <= 2
    for limit in (typical, *slow):
        assert limit.was is not None
        assert limit.was < limit.share


def test_the_slow_end_has_a_second_bound_where_one_is_nearer_a_hundredth() -> None:
    reference = Reference(bounds_ms=BOUNDS, latency=(1000.0, 3000.0, 4000.0, 1500.0, 440.0, 60.0))
    assert [limit.bound for limit in _of(SLOW_END, reference)] == [3, 4]
    assert len(limits(after(reference, bounds_ms=BOUNDS))) == MOST


def test_the_less_was_seen_of_the_baseline_the_more_is_tolerated() -> None:
    shape = np.array([1000.0, 3000.0, 4000.0, 1500.0, 440.0, 60.0])
    shares = [
        [limit.share for limit in limits(after(one, bounds_ms=BOUNDS)) if limit.bound is not None]
        for one in (Reference(bounds_ms=BOUNDS, latency=tuple(shape * scale)) for scale in (10.0, 0.1, 0.001))
    ]
    assert all(less <= more for one, other in itertools.pairwise(shares) for less, more in zip(one, other, strict=True))
    assert all(math.isfinite(share) and share <= 1.0 for share in shares[-1])


def test_wandering_latency_widens_what_is_tolerated() -> None:
    reference = before()
    wandering = Policy(tolerances=Tolerances(latency=LatencyTolerance(wander=0.05)))
    assert _of(TYPICAL, reference, wandering)[0].share > _of(TYPICAL, reference)[0].share


def test_latency_that_the_buckets_cannot_tell_has_no_limit() -> None:
    """All in one bucket: no bound is near the median. All above the last: none is at the slow end."""
    assert _of(TYPICAL, Reference(bounds_ms=BOUNDS, latency=(0.0, 0.0, 1000.0, 1.0, 0.0, 0.0))) == []
    beyond = Reference(bounds_ms=BOUNDS, latency=(0.0, 0.0, 0.0, 0.0, 0.0, 1000.0))
    assert _of(SLOW_END, beyond) == []


def test_other_buckets_than_the_baselines_are_not_compared() -> None:
    one = terms_of(POLICY, tick_seconds=1.0, window_seconds=60.0, bounds_ms=(5.0, 50.0), after=before())
    assert {limit.leg for limit in limits(one)} == {ERRORS, UNANSWERED}


def test_what_a_watch_has_seen_of_its_baseline_is_the_reference() -> None:
    reference = before(World(baseline_rps=1000.0, errors=(0.0, 0.02)), ticks=50)
    assert reference.requests == pytest.approx(50_000, rel=0.02)
    assert reference.errors / reference.requests == pytest.approx(0.02, rel=0.1)
    assert len(reference.latency) == len(ISTIO_MS) + 1
    assert 20_000 < sum(reference.latency) < 33_334


def test_a_watch_that_has_seen_no_latency_leaves_none() -> None:
    assert seen_in(blank(), ISTIO_MS) == Reference()
    assert seen_in(blank(), ()) == Reference()


@pytest.mark.parametrize(
    "reference",
    [
        Reference(requests=-1.0),
        Reference(requests=1.0, errors=2.0),
        Reference(requests=math.nan),
        Reference(bounds_ms=(1.0, 2.0), latency=(1.0, 2.0)),
        Reference(bounds_ms=(1.0, 2.0), latency=(0.0, 0.0, 0.0)),
        Reference(bounds_ms=tuple(map(float, range(1, 300))), latency=(1.0,) * 300),
    ],
)
def test_a_reference_that_is_none_is_refused(reference: Reference) -> None:
    with pytest.raises(ValueError, match="a reference"):
        after(reference)
