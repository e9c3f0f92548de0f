"""Shapes against their closed forms."""

import itertools
import math

import numpy as np
import pytest
from scipy import optimize, stats

from daemon.offline.simulation import shapes
from daemon.offline.simulation.world import ISTIO_MS

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
    longer = shapes.stretched(plain, 1.5)
    for share in (0.1, 0.5, 0.9, 0.949):
        assert longer.quantile_ms(share) == pytest.approx(plain.quantile_ms(share), rel=2e-3)
    assert longer.quantile_ms(0.99) == pytest.approx(360.0, rel=2e-3)
    assert longer.quantile_ms(0.96) > plain.quantile_ms(0.96)


@pytest.mark.parametrize("ratio", [1.1, 3.0, 20.0, 80.0])
def test_a_gamma_has_the_quantiles_that_were_asked_for_and_its_own_shape_between(ratio: float) -> None:
    shape = shapes.gamma(median_ms=30.0, p99_ms=30.0 * ratio)
    power = optimize.brentq(lambda a: stats.gamma.ppf(0.99, a) / stats.gamma.ppf(0.5, a) - ratio, 0.01, 5000.0)
    exact = stats.gamma(power, scale=30.0 / stats.gamma.ppf(0.5, power))
    for share in (0.1, 0.5, 0.9, 0.99, 0.999):
        assert shape.quantile_ms(share) == pytest.approx(float(exact.ppf(share)), rel=2e-3)
    assert shape.mean_ms == pytest.approx(float(exact.mean()), rel=1e-3)


def test_a_pareto_has_the_quantiles_that_were_asked_for() -> None:
    shape = shapes.pareto(median_ms=30.0, p99_ms=300.0)
    power = math.log(50.0) / math.log(10.0)
    for share in (0.0001, 0.5, 0.9, 0.99, 0.9999):
        assert shape.quantile_ms(share) == pytest.approx(30.0 * (2.0 * (1.0 - share)) ** (-1.0 / power), rel=3e-3)


@pytest.mark.parametrize(("from_ms", "to_ms"), [(0.0, 500.0), (500.0, 1500.0), (0.0, 50.0)])
def test_a_wait_is_added_as_drawing_both_would(from_ms: float, to_ms: float) -> None:
    plain = shapes.lognormal(median_ms=40.0, p99_ms=240.0)
    rng = np.random.default_rng(1)
    drawn = 40.0 * np.exp(SIGMA * rng.standard_normal(400_000)) + rng.uniform(from_ms, to_ms, 400_000)
    chance, mean, _ = shapes.delayed(plain, from_ms=from_ms, to_ms=to_ms).buckets(LOG_BOUNDS, np.array(0.0))
    place = np.searchsorted(np.array(ISTIO_MS), drawn)
    seen = np.bincount(place, minlength=len(ISTIO_MS) + 1) / len(drawn)
    np.testing.assert_allclose(chance, seen, atol=4e-3)
    assert (chance * mean).sum() == pytest.approx(drawn.mean(), rel=3e-3)


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
        (lambda: shapes.gamma(median_ms=0.0, p99_ms=40.0), "median_ms < p99_ms"),
        (lambda: shapes.pareto(median_ms=50.0, p99_ms=40.0), "median_ms < p99_ms"),
        (lambda: shapes.stretched(shapes.lognormal(median_ms=40.0, p99_ms=240.0), 0.1), "below p95"),
        (lambda: shapes.mixture([]), "positive shares"),
        (lambda: shapes.histogram(bounds_ms=(1.0,), counts=(0, 0)), "not all zero"),
        (lambda: shapes.histogram(bounds_ms=(1.0,), counts=(1,)), "one more"),
    ],
)
def test_impossible_shapes_are_refused_with_the_reason(make: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()  # type: ignore[operator]  # a parametrised callable
