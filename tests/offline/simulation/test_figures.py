"""The calibration's figures: exact limits by an independent way, and when what is wanted is met."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from tests.bench.calibration import figures
from tests.bench.calibration.asks import Found, Promoted, RolledBack
from tests.bench.calibration.figures import Share


@pytest.mark.parametrize(("count", "runs"), [(0, 500), (1, 500), (7, 200), (250, 500), (499, 500), (500, 500)])
def test_a_shares_limits_are_those_of_clopper_and_pearson(count: int, runs: int) -> None:
    exact = stats.binomtest(count, runs).proportion_ci(0.95, method="exact")
    assert Share(count=count, runs=runs).limits == pytest.approx((exact.low, exact.high))


def test_none_of_five_hundred_is_not_nothing() -> None:
    assert str(Share(count=0, runs=500)) == "0 (0-0.74) %"
    assert str(Share(count=3, runs=1000)) == "0.30 (0.06-0.87) %"
    assert str(Share(count=500, runs=500)) == "100 (99.3-100) %"


@pytest.mark.parametrize("level", [0.5, 0.9])
@pytest.mark.parametrize("runs", [20, 101])
def test_a_quantiles_limits_cover_the_truth_in_95_of_100_samples(level: float, runs: int) -> None:
    """The truth lies between two order statistics with a binomial probability, whatever the distribution is."""
    found = figures.quantile([float(place) for place in range(1, runs + 1)], level)
    low, high = found.low, found.high
    above = 1.0 if math.isinf(high) else float(stats.binom.cdf(high - 1, runs, level))
    below = float(stats.binom.cdf(low - 1, runs, level))
    assert above - below >= 0.95
    tighter = float(stats.binom.cdf(high - 2, runs, level)) - below if math.isfinite(high) else 0.0
    assert tighter < 0.975


def test_delays_count_from_the_onset_and_never_is_the_longest() -> None:
    ends = [*range(166, 251), *([0] * 10), 3, 160]
    found = figures.delay(ends, 165)
    assert found.median.value == 48.0
    assert math.isinf(found.p90.value)
    assert (found.found.count, found.found.runs) == (85, 95)
    assert str(found) == "48/- [89.5 %]"
    assert found.spans.endswith("-never")
    assert figures.rolled_back_before(ends, 165).count == 2


def test_a_promotion_is_neither_a_rollback_nor_in_time() -> None:
    ends = [-300] * 90 + [5] * 10
    assert figures.rolled_back(ends).count == 10
    assert figures.promoted(ends).count == 90
    assert figures.until_promoted(ends) == (300.0, 300.0)
    assert math.isnan(figures.until_promoted([0, 5])[0])
    assert math.isinf(figures.delay(ends).p90.value)


def test_a_rate_is_met_when_its_exact_limits_reach_what_is_wanted() -> None:
    asked = RolledBack(at_most=0.01)
    for runs, ends in itertools.product((500, 2000), (0, 5, 20, 100)):
        counted = [1] * ends + [0] * (runs - ends)
        exact = stats.binomtest(ends, runs).proportion_ci(0.95, method="exact")
        assert asked.answer(counted, 0).met == (exact.low <= 0.01)
    assert RolledBack().answer([0, 1], 0).met is None


def test_a_promotion_is_met_from_the_side_that_is_wanted() -> None:
    ends = [-300] * 93 + [0] * 7
    assert Promoted(at_least=0.95).answer(ends, 0).met
    assert not Promoted(at_least=0.99).answer(ends, 0).met
    assert not Promoted(at_most=0.05).answer(ends, 0).met
    assert not Promoted(at_most=0.0).answer([-60, *([0] * 1999)], 0).met, "one of any number is more than none"
    assert Promoted(at_most=0.0).answer([0] * 50, 0).met
    assert Promoted().answer(ends, 0).met is None


def test_ticks_are_met_when_both_quantiles_limits_reach_theirs() -> None:
    ends = np.random.default_rng(1).integers(1, 21, 1000).tolist()
    assert Found(median=10, p90=18).answer(ends, 0).met
    assert not Found(median=8, p90=18).answer(ends, 0).met
    assert not Found(median=10, p90=16).answer(ends, 0).met
    assert Found(median=300, p90=300).answer([0] * 100, 0).met is False, "what is never found takes longer than any watch"
    assert Found().answer(ends, 0).met is None
    assert "2 before" in Found().answer([1, 2, *range(11, 31)], 10).figure
