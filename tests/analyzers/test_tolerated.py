"""How much of the baseline could lie above each bound if it were as slow as tolerated: never less than the truth."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from analyzers.arrays import Array
from analyzers.tolerated import Passing

BOUNDS = np.array([[1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0]])
SHAPES: dict[str, Callable[[Array], Array]] = {
    "lognormal": lambda x: stats.lognorm.cdf(x, 0.77, scale=40.0),
    "two humps": lambda x: 0.6 * stats.lognorm.cdf(x, 0.6, scale=10.0) + 0.4 * stats.lognorm.cdf(x, 0.57, scale=160.0),
    "a gamma with its mode right below a bound": lambda x: (
        0.85 * stats.gamma.cdf(x, 5.856, scale=8.14) + 0.15 * stats.lognorm.cdf(x, 0.6, scale=200.0)
    ),
    "Weibull": lambda x: stats.weibull_min.cdf(x, 1.3, scale=40.0),
    "Pareto": lambda x: np.where(x > 10.0, 1.0 - (np.maximum(x, 10.0) / 10.0) ** -1.5, 0.0),
}


def _counts(name: str, requests: float = 31_600.0, factor: float = 1.0) -> Array:
    below = SHAPES[name](BOUNDS[0] / factor)
    counts: Array = np.diff(np.concatenate([[0.0], below, [1.0]]))[None] * requests
    return counts


def _above(counts: Array) -> Array:
    above: Array = counts[:, ::-1].cumsum(1)[:, ::-1][0, 1:] / counts.sum()
    return above


@pytest.mark.parametrize("factor", [1.05, 1.1, 1.3, 3.0])
@pytest.mark.parametrize("name", SHAPES)
def test_no_bound_is_passed_by_fewer_than_would_if_latency_were_so_much_longer(name: str, factor: float) -> None:
    """Within 3 %, and within the chance of the requests that lie above; where nothing is known, by all that could."""
    counts, truth = _counts(name), _above(_counts(name, factor=factor))
    passing = Passing(counts, BOUNDS, np.array([factor]))
    got = _above(passing.slowed(counts))
    slack = np.sqrt(truth / 31_600.0)
    if factor <= 1.1:
        assert (got >= 0.97 * truth - slack)[truth > 1e-3].all()
    assert (got >= _above(counts) - 1e-12).all(), "slower is slower at every bound"
    assert passing.slowed(counts).sum() == pytest.approx(counts.sum())


def test_where_one_bucket_holds_nearly_all_they_may_all_lie_right_below_its_bound() -> None:
    narrow = np.array([[0.0, 0.0, 1000.0, 10.0]])
    passing = Passing(narrow, np.array([[10.0, 250.0, 500.0]]), np.array([1.01]))
    assert passing.blind[0].tolist() == [False, True, True]
    assert passing.slowed(narrow)[0].tolist() == [0.0, 0.0, 0.0, 1010.0]
    pair = Passing(np.array([[0.0, 450.0, 460.0, 90.0]]), np.array([[10.0, 250.0, 500.0]]), np.array([1.01]))
    assert pair.blind[0].tolist() == [False, True, False]


def test_without_requests_nothing_is_known_and_nothing_fails() -> None:
    nothing = np.zeros((1, 4))
    passing = Passing(nothing, np.array([[10.0, 250.0, 500.0]]), np.array([1.1]))
    assert np.isfinite(passing.share).all()
    assert passing.slowed(nothing)[0].tolist() == [0.0] * 4


def test_where_few_requests_lie_above_a_bound_the_slow_end_is_given_the_chance_of_their_number() -> None:
    """Of 33 ticks of 950 requests eight take longer than 500 ms, by chance fewer or more: on average no fewer pass than would."""
    bounds, spread = np.array([[50.0, 100.0, 250.0, 500.0]]), np.log(300.0 / 107.0) / 2.3263
    below, slowed = (stats.norm.cdf(np.log(bounds[0] / median) / spread) for median in (107.0, 1.1 * 107.0))
    chances = np.diff(np.concatenate([[0.0], below, [1.0]]))
    histories = np.random.default_rng(8).multinomial(31_350, chances, size=2000).astype(np.float64)
    passing = Passing(histories, np.repeat(bounds, 2000, axis=0), np.full(2000, 1.1))
    beyond = {rare: passing.slowed(np.tile(chances, (2000, 1)), rare=rare)[:, -1] for rare in (False, True)}
    assert beyond[True].mean() >= 1.0 - slowed[-1]
    assert beyond[True].mean() > beyond[False].mean()
    assert (beyond[True] >= beyond[False]).all()
    assert (beyond[True] < 1.0 - slowed[-1]).mean() < (beyond[False] < 1.0 - slowed[-1]).mean() - 0.05
