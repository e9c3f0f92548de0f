"""Each e-value has a mean of at most 1 under its whole null, by enumeration of all outcomes, not by simulation."""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest

from analyzers import permutation
from analyzers.arrays import Array
from analyzers.legs import events, slow_end, typical
from analyzers.legs.events import BEYOND, RATIOS, log_e

Draw = tuple[float, tuple[int, ...]]


def _binomial(number: int, rate: float) -> Array:
    return np.array([math.comb(number, x) * rate**x * (1.0 - rate) ** (number - x) for x in range(number + 1)])


@pytest.mark.parametrize("ratios", [RATIOS, BEYOND], ids=["no worse", "tolerated"])
@pytest.mark.parametrize(("m", "n"), [(4, 12), (6, 6), (12, 3), (1, 20)])
@pytest.mark.parametrize(("factor", "above"), [(1.0, 0.0), (1.0, 0.02), (0.0, 0.05), (1.0, 0.3), (1.5, 0.0)])
def test_events_at_every_rate_of_the_null(ratios: Array, m: int, n: int, factor: float, above: float) -> None:
    """On the null's edge, and inside it where the canary fails less."""
    a, b = (grid.ravel().astype(float) for grid in np.meshgrid(np.arange(m + 1), np.arange(n + 1), indexing="ij"))
    arms = (a, np.full(len(a), float(m))), (b, np.full(len(b), float(n)))
    values = np.exp(log_e(*arms, ratios, factor=factor, above=above))
    for base in (0.0, 0.001, 0.05, 0.3, 0.6):
        edge = factor * base + above
        for rate in (edge, 0.5 * edge, 0.0):
            if rate <= 1.0:
                chance = np.outer(_binomial(m, rate), _binomial(n, base)).ravel()
                assert (chance @ values <= 1.0 + 1e-12).all(), (base, rate)


@pytest.mark.parametrize(("m", "n", "failures"), [(3, 9, 4), (5, 5, 5), (1, 12, 3), (10, 90, 6), (40, 10, 8)])
def test_events_given_the_failures_of_both_arms(m: int, n: int, failures: int) -> None:
    """The canary's failures are hypergeometric where the arms are alike (exact, without replacement), whatever the rate does."""
    outcomes = np.arange(failures + 1.0)
    chance = np.array([math.comb(m, int(a)) * math.comb(n, failures - int(a)) for a in outcomes]) / math.comb(m + n, failures)
    size = np.full(len(outcomes), 1.0)
    mean = chance @ np.exp(log_e((outcomes, m * size), (failures - outcomes, n * size), RATIOS))
    assert (mean <= 1.0 + 1e-12).all()


def test_rates_that_drift_are_strata() -> None:
    """Two ticks of very different rates and shares, each on the null's edge: the product's mean is that of both."""
    mean = 1.0
    for m, n, base in ((2, 18, 0.02), (8, 8, 0.5)):
        a, b = (grid.ravel().astype(float) for grid in np.meshgrid(np.arange(m + 1), np.arange(n + 1), indexing="ij"))
        arms = (a, np.full(len(a), float(m))), (b, np.full(len(b), float(n)))
        chance = np.outer(_binomial(m, base + 0.1), _binomial(n, base)).ravel()
        mean *= float(chance @ np.exp(log_e(*arms, BEYOND, above=0.1))[:, 0])
    assert mean <= 1.0


def test_a_limit_of_nothing_is_refuted_by_one_failure_and_one_of_everything_by_none() -> None:
    one = np.array([1.0])
    assert log_e((one, 9.0 * one), (one, one), BEYOND, factor=0.0)[0].tolist() == np.log(BEYOND).tolist()
    assert (log_e((9.0 * one, 9.0 * one), (one, one), BEYOND, factor=0.0, above=1.0)[0] <= 0.0).all()


def _draws(pool: tuple[int, ...], drawn: int) -> Iterator[Draw]:
    """Every histogram of ``drawn`` requests out of ``pool``, with its chance."""
    every = math.comb(sum(pool), drawn)
    for counts in itertools.product(*(range(N + 1) for N in pool)):
        if sum(counts) == drawn:
            yield math.prod(math.comb(N, c) for N, c in zip(pool, counts, strict=True)) / every, counts


POOLS = [
    ((3, 4, 2), 3),
    ((0, 6, 5), 5),
    ((1, 1, 9), 2),
    ((20, 30, 15), 30),
    ((40, 60, 20), 25),
    ((5, 9, 6), 18),
    ((40, 60, 20), 105),
]


@pytest.mark.parametrize(("pool", "drawn"), POOLS)
def test_typical_and_slow_end_given_the_pooled_histogram(pool: tuple[int, ...], drawn: int) -> None:
    pooled = np.array([pool], dtype=float)
    ranks = typical.mid_ranks(pooled)
    tilts = np.concatenate([typical.TILTS, typical.BEYOND])
    scores = np.concatenate([typical.scores(ranks, tilts), slow_end.scores(pooled)], axis=1)
    normaliser = permutation.log_normaliser(scores, pooled, np.array([float(drawn)]))[0]
    mean = sum(chance * np.exp((scores[0] * np.array(counts)).sum(1) - normaliser) for chance, counts in _draws(pool, drawn))
    assert (np.asarray(mean) <= 1.0 + 1e-5).all(), "the saddlepoint is at most 5e-6 below the exact normaliser"


GRADED = [(1.0, 1.0, 1.3), (1.0, 1.5, 4.0), (1.0, 1.0, 60.0)]


@pytest.mark.parametrize("graded", GRADED)
@pytest.mark.parametrize(("pool", "drawn"), POOLS)
def test_graded_exceedances_given_the_pooled_histogram(pool: tuple[int, ...], drawn: int, graded: tuple[float, ...]) -> None:
    mean = 0.0
    for chance, counts in _draws(pool, drawn):
        mine = np.array([counts], dtype=float)
        mean += chance * float(np.exp(slow_end.log_beyond(mine, np.array([pool]) - mine, np.array([graded])))[0, 0])
    assert mean <= 1.0 + 1e-12


def _histograms(number: int, shares: tuple[float, ...]) -> Iterator[Draw]:
    """Every histogram of ``number`` independent requests, with its chance."""
    for counts in itertools.product(range(number + 1), repeat=len(shares)):
        if sum(counts) == number:
            ways = math.factorial(number) / math.prod(map(math.factorial, counts))
            yield ways * math.prod(p**c for p, c in zip(shares, counts, strict=True)), counts


@pytest.mark.parametrize("canary", [(0.6, 0.3, 0.1), (0.7, 0.2, 0.1), (0.6, 0.38, 0.02), (0.9, 0.0, 0.1), (1.0, 0.0, 0.0)])
@pytest.mark.parametrize(("m", "n"), [(3, 6), (5, 3)])
def test_graded_exceedances_of_a_canary_no_slower_than_tolerated(canary: tuple[float, ...], m: int, n: int) -> None:
    """The whole null: as slow as the tolerated baseline (.6, .3, .1), faster, and faster in the body with the same slow end."""
    for graded in GRADED:
        mean = 0.0
        for (one, mine), (other, theirs) in itertools.product(_histograms(m, canary), _histograms(n, (0.6, 0.3, 0.1))):
            value = slow_end.log_beyond(np.array([mine], dtype=float), np.array([theirs], dtype=float), np.array([graded]))
            mean += one * other * float(np.exp(value)[0, 0])
        assert mean <= 1.0 + 1e-12


@pytest.mark.parametrize("canary", [(0.6, 0.3, 0.1), (0.75, 0.15, 0.1), (0.6, 0.4, 0.0), (0.9, 0.0, 0.1)])
def test_scores_that_rise_earn_nothing_on_a_canary_that_is_faster_in_the_body(canary: tuple[float, ...]) -> None:
    """Projected scores: the composite null is every canary stochastically no slower than the baseline (.6, .3, .1)."""
    m, n = 3, 6
    means = np.zeros(len(slow_end.STARTS) + len(typical.TILTS))
    for (one, mine), (other, theirs) in itertools.product(_histograms(m, canary), _histograms(n, (0.6, 0.3, 0.1))):
        c, pooled = np.array([mine], dtype=float), np.array([mine], dtype=float) + np.array([theirs])
        scores = slow_end.scores(np.array([[600.0, 300.0, 100.0]]) + pooled)
        assert (np.diff(scores, axis=2) >= 0.0).all()
        both = np.concatenate([scores, typical.scores(typical.mid_ranks(pooled), typical.TILTS)], axis=1)
        means += one * other * np.exp(permutation.log_e(both, pooled, c)[0])
    assert (means <= 1.0 + 1e-9).all()


def test_an_outage_is_a_fifth_of_a_tick_or_more_than_two_stops() -> None:
    """Per release: failures, requests, baseline's failures, length of the tick."""
    cases = {
        (20.0, 100.0, 1.0, 1.0): True,
        (19.0, 50.0, 0.0, 1.0): False,
        (20.0, 101.0, 1.0, 1.0): False,
        (40.0, 100.0, 400.0, 1.0): False,
        (200.0, 1500.0, 9.0, 15.0): False,
        (300.0, 1500.0, 9.0, 15.0): True,
        (220.0, 1500.0, 9.0, 15.0): True,
    }
    mine, asked, theirs, seconds = np.array(list(cases)).T
    found = events.is_outage((mine, asked), (theirs, np.full(len(cases), 1000.0)), seconds=seconds)
    assert found.tolist() == list(cases.values())
