"""Between the bounds: quantiles and slowed histograms."""

import numpy as np
import pytest
from scipy import stats

from analyzers import buckets, intervals, promotion
from tests.analyzers.streams import ISTIO_MS

BOUNDS = np.array([ISTIO_MS])
EDGES = buckets.log_edges(BOUNDS)


def _lognormal(median: float, p99: float) -> np.ndarray:
    spread = np.log(p99 / median) / 2.3263
    below = np.concatenate([[0.0], stats.norm.cdf((np.log(BOUNDS[0]) - np.log(median)) / spread), [1.0]])
    shares: np.ndarray = np.diff(below)[None] * 1e6
    return shares


def test_slowing_moves_a_whole_bucket_by_the_factor() -> None:
    bounds = np.array([[10.0, 20.0, 40.0, 80.0]])
    counts = np.array([[0.0, 100.0, 0.0, 0.0, 0.0]])
    edges = buckets.log_edges(bounds)
    np.testing.assert_allclose(buckets.slowed(counts, edges, np.log([2.0])), [[0.0, 0.0, 1.0, 0.0, 0.0]], atol=1e-12)
    np.testing.assert_allclose(buckets.slowed(counts, edges, np.log([1.0])), [[0.0, 1.0, 0.0, 0.0, 0.0]], atol=1e-12)
    half = buckets.slowed(counts, edges, np.log([np.sqrt(2.0)]))
    np.testing.assert_allclose(half, [[0.0, 0.5, 0.5, 0.0, 0.0]], atol=1e-12)


def test_the_slowed_probability_of_a_broad_lognormal_is_the_reference() -> None:
    """x1.10 on a lognormal of median 40 ms and p99 240 ms on these bounds: .5297 (exactly: .5324)."""
    counts = _lognormal(40.0, 240.0)
    got = buckets.slower_probability(buckets.slowed(counts, EDGES, np.log([1.1])), counts)
    assert got[0] == pytest.approx(0.5297, abs=2e-4)


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.05, 1.3, 3.0])
def test_the_factor_is_found_again(factor: float) -> None:
    counts = _lognormal(40.0, 240.0)
    probability = buckets.slower_probability(buckets.slowed(counts, EDGES, np.log([factor])), counts)
    assert buckets.factor_of(probability, counts, EDGES)[0] == pytest.approx(factor, rel=2e-3)


def test_quantiles_are_within_their_buckets() -> None:
    counts = _lognormal(40.0, 240.0)
    assert buckets.tail_quantile(counts, EDGES, 0.99)[0] == pytest.approx(240.0, rel=0.1)
    assert buckets.resolves_median(counts).tolist() == [True]
    assert buckets.resolves_median(_lognormal(370.0, 430.0)).tolist() == [False]


def test_the_normal_mixtures_reference_values() -> None:
    """One-sided mixture at s=10, v=100 tuned for v=100 and alpha .05: log value and boundary."""
    scale = promotion.tuned(np.array([100.0]), alpha=0.05)
    assert promotion.log_one_sided(np.array([10.0]), np.array([100.0]), scale=scale)[0] == pytest.approx(-0.06502391, abs=1e-6)
    at = promotion.log_one_sided(np.array([27.66071]), np.array([100.0]), scale=scale)[0]
    assert at == pytest.approx(np.log(20.0), abs=1e-5)


def test_the_two_sided_radius_is_the_references_boundary() -> None:
    scale = 12.60056
    assert intervals.radius(100.0, scale=scale, alpha=0.05) == pytest.approx(30.35209, abs=1e-4)
