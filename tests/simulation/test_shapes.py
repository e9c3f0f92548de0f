"""Shapes against their closed forms."""

import itertools
import math

import numpy as np
import pytest

from daemon.simulation import shapes
from daemon.simulation.world import ISTIO_MS

SIGMA = math.log(6.0) / shapes.Z99
LOG_BOUNDS = np.log(np.array(ISTIO_MS))


def _upper(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def test_a_lognormal_has_the_quantiles_and_the_mean_it_was_asked_for() -> None:
    shape = shapes.lognormal(median_ms=40.0, p99_ms=240.0)
    assert shape.quantile_ms(0.5) == pytest.approx(40.0, rel=1e-3)
    assert shape.quantile_ms(0.99) == pytest.approx(240.0, rel=1e-3)
    assert shape.mean_ms == pytest.approx(40.0 * math.exp(SIGMA**2 / 2), rel=1e-6)


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.2, 3.0])
def test_buckets_of_a_slowed_lognormal_have_their_exact_chances_and_moments(factor: float) -> None:
    shape = shapes.lognormal(median_ms=40.0, p99_ms=240.0)
    chance, mean, variance = shape.buckets(LOG_BOUNDS, np.array(math.log(factor)))
    log_edges = np.concatenate([[-60.0], LOG_BOUNDS, [60.0]])
    z = [(edge - math.log(40.0 * factor)) / SIGMA for edge in log_edges]
    exact = np.array([_upper(low) - _upper(high) for low, high in itertools.pairwise(z)])
    np.testing.assert_allclose(chance, exact, atol=1e-6)
    assert (chance * mean).sum() == pytest.approx(40.0 * factor * math.exp(SIGMA**2 / 2), rel=1e-5)
    square = (40.0 * factor) ** 2 * math.exp(2 * SIGMA**2)
    assert (chance * (variance + mean**2)).sum() == pytest.approx(square, rel=1e-4)
    filled = chance > 1e-4
    assert (mean[filled] >= np.exp(log_edges[:-1])[filled]).all()
    assert (mean[filled] <= np.exp(log_edges[1:])[filled]).all()


def test_a_stretched_tail_leaves_everything_below_p95_and_moves_p99() -> None:
    plain = shapes.lognormal(median_ms=40.0, p99_ms=240.0)
    longer = shapes.lognormal(median_ms=40.0, p99_ms=240.0, tail=1.5)
    for share in (0.1, 0.5, 0.9, 0.949):
        assert longer.quantile_ms(share) == pytest.approx(plain.quantile_ms(share), rel=2e-3)
    assert longer.quantile_ms(0.99) == pytest.approx(360.0, rel=2e-3)
    assert longer.quantile_ms(0.96) > plain.quantile_ms(0.96)


def test_a_mixture_has_two_humps_in_their_proportions() -> None:
    hit = shapes.lognormal(median_ms=5.0, p99_ms=20.0)
    miss = shapes.lognormal(median_ms=500.0, p99_ms=2000.0)
    both = shapes.mixture([(9.0, hit), (1.0, miss)])
    assert both.mean_ms == pytest.approx(0.9 * hit.mean_ms + 0.1 * miss.mean_ms, rel=1e-3)
    chance, _, _ = both.buckets(np.log(np.array([50.0])), np.array(0.0))
    np.testing.assert_allclose(chance, [0.9, 0.1], atol=1e-3)


def test_a_histogram_is_given_back_by_its_own_bounds() -> None:
    bounds, counts = (5.0, 10.0, 25.0, 50.0), (10, 200, 500, 250, 40)
    chance, mean, _ = shapes.histogram(bounds_ms=bounds, counts=counts).buckets(np.log(np.array(bounds)), np.array(0.0))
    np.testing.assert_allclose(chance, np.array(counts) / 1000.0, atol=1e-3)
    assert (mean[1:4] > bounds[:3]).all()
    assert (mean[1:4] < bounds[1:]).all()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: shapes.lognormal(median_ms=40.0, p99_ms=40.0), "median_ms < p99_ms"),
        (lambda: shapes.lognormal(median_ms=40.0, p99_ms=240.0, tail=0.1), "below p95"),
        (lambda: shapes.mixture([]), "positive shares"),
        (lambda: shapes.histogram(bounds_ms=(1.0,), counts=(0, 0)), "not all zero"),
        (lambda: shapes.histogram(bounds_ms=(1.0,), counts=(1,)), "one more"),
    ],
)
def test_impossible_shapes_are_refused_with_the_reason(make: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()  # type: ignore[operator]  # a parametrised callable
