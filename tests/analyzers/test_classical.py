"""The tests people know, against scipy's on the expanded data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analyzers import classical, intervals

COUNTS = st.lists(st.integers(0, 12), min_size=5, max_size=5)


def _expanded(counts: list[int]) -> np.ndarray:
    return np.repeat(np.arange(len(counts)), counts)


@given(canary=COUNTS, baseline=COUNTS)
def test_mann_whitney_on_buckets_is_scipys_on_the_expanded_data(canary: list[int], baseline: list[int]) -> None:
    got = classical.mann_whitney(canary, baseline)
    occupied = sum(1 for c, b in zip(canary, baseline, strict=True) if c + b)
    if not sum(canary) or not sum(baseline) or occupied < 2:
        assert got is None
        return
    x, y = _expanded(canary), _expanded(baseline)
    greater = stats.mannwhitneyu(x, y, alternative="greater", method="asymptotic")
    assert got is not None
    assert got.u == pytest.approx(greater.statistic)
    assert got.p_greater == pytest.approx(greater.pvalue, rel=1e-9)


@given(a=st.integers(0, 60), b=st.integers(0, 60), share=st.floats(0.01, 0.99))
def test_conditional_binomial_is_scipys(a: int, b: int, share: float) -> None:
    got = classical.conditional_binomial(a, b, share)
    if a + b == 0:
        assert got is None
        return
    assert got == pytest.approx(stats.binomtest(a, a + b, share, alternative="greater").pvalue, rel=1e-9, abs=1e-300)


def test_conditional_binomial_of_many_failures_is_scipys() -> None:
    got = classical.conditional_binomial(60_400, 60_000, 0.5)
    assert got == pytest.approx(stats.binomtest(60_400, 120_400, 0.5, alternative="greater").pvalue, rel=1e-9)


def test_conditional_binomial_says_nothing_when_only_one_arm_was_asked() -> None:
    assert classical.conditional_binomial(3, 0, 1.0) is None


@given(events=st.integers(0, 50), more=st.integers(0, 500))
def test_wilsons_interval_is_scipys(events: int, more: int) -> None:
    if events + more == 0:
        assert classical.wilson(0, 0) == (None, None)
        return
    exact = stats.binomtest(events, events + more).proportion_ci(method="wilson")
    assert classical.wilson(events, events + more) == pytest.approx((exact.low, exact.high), abs=1e-12)


@pytest.mark.parametrize(("events", "requests"), [(0, 50), (7, 1000), (50, 50)])
def test_the_confidence_sequence_of_a_rate_holds_wilsons_interval(events: int, requests: int) -> None:
    """It covers at every look at once, hence it is wider than the interval for one look, and not absurdly so."""
    low, high = intervals.rate(events, requests, alpha=0.05)
    fixed = stats.binomtest(events, requests).proportion_ci(method="wilson")
    assert 0.0 <= low <= max(fixed.low, 1e-12)
    assert min(fixed.high, 1.0 - 1e-12) <= high <= 1.0
    assert high - low < 3.0 * (fixed.high - fixed.low)


def test_no_requests_no_knowledge() -> None:
    assert intervals.rate(0.0, 0.0, alpha=0.05) == (0.0, 1.0)
    assert intervals.log_mean(1.0, 0.1, 0.01, alpha=0.05) is None
    assert intervals.log_mean(2.0, 0.2, 0.03, alpha=0.05) is None


def test_the_interval_of_a_mean_is_where_the_t_test_reaches_its_boundary() -> None:
    """At its ends the shifted increments have exactly the e-value 1/alpha (two-sided)."""
    increments = np.array([0.1, 0.3, 0.2, 0.15, 0.25, 0.2, 0.1, 0.3, 0.2, 0.2])
    k, total, squares = float(len(increments)), float(increments.sum()), float((increments**2).sum())
    span = intervals.log_mean(k, total, squares, alpha=0.05)
    assert span is not None
    shrink = 3.0 / (3.0 + k)
    for end in span:
        moved = increments - end
        lift = moved.sum() ** 2 / k
        value = 0.5 * np.log(shrink) + 0.5 * k * np.log((moved**2).sum() / ((moved**2).sum() - (1.0 - shrink) * lift))
        assert value == pytest.approx(np.log(20.0))


@pytest.mark.parametrize("level", [0.5, 0.99])
@pytest.mark.parametrize("number", [1, 7, 60, 500, 99_999, 400_000])
def test_the_order_statistics_around_a_quantile_are_binomial_quantiles(number: int, level: float) -> None:
    """One request a bucket, so that ends are ranks: each side misses with 2.5 % at most, and with little less."""
    low, high = classical._order(number, level, 0.975), classical._order(number, level, 0.025) + 1.0
    below = stats.binom(number, level)
    assert below.sf(low - 1) >= 0.975 - 1e-9
    assert below.sf(high - 1) <= 0.025 + 1e-9
    assert below.sf(low) < 0.975
    assert below.sf(high - 2) >= 0.025


def test_the_interval_of_a_quantile_is_that_of_the_buckets() -> None:
    bounds = (10.0, 20.0, 40.0, 80.0)
    assert classical.quantile_interval((100, 400, 400, 95, 5), bounds, 0.5) == (10.0, 40.0)
    assert classical.quantile_interval((400, 200, 390, 9, 1), bounds, 0.99) == (20.0, 80.0)
    assert classical.quantile_interval((600, 0, 0, 0, 0), bounds, 0.5) == (0.0, 10.0)
    assert classical.quantile_interval((0, 0, 0, 0, 50), bounds, 0.5) == (80.0, None), "above the last bound there is no end"
    assert classical.quantile_interval((0, 3, 0, 0, 0), bounds, 0.5) == (None, None), "three requests bound no median"
    assert classical.quantile_interval((0, 0, 0, 0, 0), bounds, 0.5) == (None, None)
    assert classical.quantile_interval((0, 0, 365, 3, 0), bounds, 0.99) == (20.0, 80.0), "the normal approximation is one too far"
    assert classical.quantile_interval((0, 10**12, 10**12, 0, 0), bounds, 0.99) == (20.0, 40.0)


def test_the_interval_of_a_quantile_covers_it() -> None:
    dice, bounds = np.random.default_rng(4), np.linspace(0.05, 4.0, 60)
    missed = 0
    for _ in range(400):
        counts = np.bincount(np.searchsorted(bounds, dice.exponential(1.0, 200)), minlength=61)
        low, high = classical.quantile_interval(counts.tolist(), bounds.tolist(), 0.5)
        assert low is not None
        assert high is not None
        missed += not low <= np.log(2.0) <= high
    assert missed / 400 <= 0.05
