"""What a watch without a decision is worth: the smallest regression that it would have seen."""

import numpy as np
import pytest

from analyzers import visible
from analyzers.layout import Rows, blank
from analyzers.terms import Limits
from config.policy import ErrorTolerance, LatencyTolerance, Policy, Promotion, Tolerances
from tests.analyzers.streams import World, terms, watch

NOTHING_TOLERATED = Policy(
    tolerances=Tolerances(
        errors=ErrorTolerance(max_rate=0.0, above_baseline=0.0), latency=LatencyTolerance(typical=1.0001, slow_end=100.0)
    ),
    promotion=Promotion(min_requests=10**9),
)


def _after(ticks: int, *, world: World | None = None) -> tuple[Rows, Limits]:
    one = terms(NOTHING_TOLERATED)
    state, ruling = watch(one, (world or World()).ticks(3, ticks))
    assert ruling.outcome == "continue"
    return Rows(state.row[None]), Limits.of([one])


@pytest.mark.parametrize(("ticks", "rate"), [(2, 0.05), (9, 0.01), (28, 0.005)])
def test_the_error_rate_said_is_about_the_one_that_is_found_in_half_of_such_watches(ticks: int, rate: float) -> None:
    """The reference's medians: 5 % is found in 2 ticks, 1 % in 9, 0.5 % in 28, where 0.1 % of the baseline's requests fail."""
    found = visible.error_rate(*_after(ticks))
    assert found is not None
    assert 0.6 * rate <= found <= 1.3 * rate


@pytest.mark.parametrize(("ticks", "factor"), [(2, 1.5), (6, 1.2), (21, 1.1)])
def test_the_latency_said_is_about_the_one_that_is_found_in_half_of_such_watches(ticks: int, factor: float) -> None:
    found = visible.typical_factor(*_after(ticks))
    assert found is not None
    assert 0.7 * (factor - 1.0) <= found - 1.0 <= 1.3 * (factor - 1.0)


def test_where_the_buckets_are_blind_the_means_say_it() -> None:
    """All in one bucket: 5 % slower is found in 13 ticks, by the mean alone."""
    narrow = World(median_ms=370.0, p99_ms=430.0)
    found = visible.typical_factor(*_after(14, world=narrow))
    assert found is not None
    assert found == pytest.approx(1.05, abs=0.03)
    assert visible.typical_factor(*_after(1, world=narrow)) is None, "one mean says nothing"


def test_what_the_policy_tolerates_is_not_said_to_be_seen() -> None:
    one = terms(Policy(promotion=Promotion(min_requests=10**9)))
    state, _ = watch(one, World(canary_rps=500.0, baseline_rps=500.0).ticks(3, 120))
    rows, limits = Rows(state.row[None]), Limits.of([one])
    rate, factor = visible.error_rate(rows, limits), visible.typical_factor(rows, limits)
    assert rate is not None
    assert factor is not None
    assert 0.005 < rate < 0.01
    assert 1.1 < factor < 1.2


def test_without_traffic_no_regression_could_have_been_seen() -> None:
    rows, limits = Rows(blank()[None]), Limits.of([terms(bounds_ms=())])
    assert visible.sentence(rows, limits) == "no regression could have been taken back by now"
    with np.errstate(all="raise"):
        assert visible.typical_factor(rows, limits) is None


def test_where_everything_fails_or_is_allowed_no_error_rate_can_be_seen() -> None:
    allowed = terms(Policy(tolerances=Tolerances(errors=ErrorTolerance(max_rate=1.0))))
    for one, world in ((allowed, World()), (terms(NOTHING_TOLERATED), World(errors=(1.0, 1.0)))):
        state, _ = watch(one, world.ticks(3, 3))
        assert visible.error_rate(Rows(state.row[None]), Limits.of([one])) is None
