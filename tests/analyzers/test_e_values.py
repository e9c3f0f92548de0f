"""Each exact leg's e-value has a mean of at most 1 under its null, by enumeration of all outcomes, not by simulation."""

import itertools
import math

import numpy as np
import pytest

from analyzers import multiplier
from analyzers.legs import rank, ratio, slo, tail
from analyzers.permutation import log_normaliser


@pytest.mark.parametrize(("m", "n", "failures"), [(3, 9, 4), (5, 5, 5), (1, 12, 3), (10, 90, 6), (40, 10, 8)])
def test_ratio_given_the_failures_of_both_arms(m: int, n: int, failures: int) -> None:
    """The canary's failures are hypergeometric under the null (exact, without replacement)."""
    outcomes = np.arange(failures + 1.0)
    chance = np.array([math.comb(m, int(a)) * math.comb(n, failures - int(a)) for a in outcomes]) / math.comb(m + n, failures)
    size = np.full(len(outcomes), 1.0)
    mean = chance @ np.exp(ratio.log_e(outcomes, failures - outcomes, m * size, n * size))
    assert (mean <= 1.0 + 1e-12).all()


def _draws(pool: tuple[int, ...], drawn: int) -> list[tuple[float, tuple[int, ...]]]:
    """Every histogram of ``drawn`` requests out of ``pool``, with its chance."""
    every = math.comb(sum(pool), drawn)
    return [
        (math.prod(math.comb(N, c) for N, c in zip(pool, counts, strict=True)) / every, counts)
        for counts in itertools.product(*(range(N + 1) for N in pool))
        if sum(counts) == drawn
    ]


@pytest.mark.parametrize(
    ("pool", "drawn"), [((3, 4, 2), 3), ((0, 6, 5), 5), ((1, 1, 9), 2), ((20, 30, 15), 30), ((40, 60, 20), 25)]
)
def test_rank_and_tail_given_the_pooled_histogram(pool: tuple[int, ...], drawn: int) -> None:
    pooled = np.array([pool], dtype=float)
    scores = np.concatenate([rank.TILTS[:, None] * rank.mid_ranks(pooled)[:, None, :], tail.scores(pooled)], axis=1)
    normaliser = log_normaliser(scores, pooled, np.array([float(drawn)]))[0]
    mean = sum(chance * np.exp((scores[0] * np.array(counts)).sum(1) - normaliser) for chance, counts in _draws(pool, drawn))
    assert (np.asarray(mean) <= 1.0 + 1e-5).all(), "the saddlepoint is at most 5e-6 below the exact normaliser"


@pytest.mark.parametrize("limit", [0.01, 0.2])
def test_slo_at_its_limit(limit: float) -> None:
    errors, size = np.arange(13.0), np.full(13, 12.0)
    chance = np.array([math.comb(12, int(x)) * limit**x * (1.0 - limit) ** (12 - x) for x in errors])
    mean = chance @ slo.evidence(errors, size, np.full(13, limit))
    assert mean <= 1.0 + 1e-12


def test_slo_without_a_limit_says_nothing() -> None:
    assert slo.evidence(np.array([5.0, 5.0]), np.array([10.0, 10.0]), np.array([0.0, 1.0])).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(("m", "n", "failures"), [(50, 950, 3), (5, 7, 4), (500, 500, 24), (2, 3, 4)])
def test_the_multipliers_chances_are_hypergeometric(m: int, n: int, failures: int) -> None:
    got = multiplier.chances(np.array([failures]), np.array([float(m)]), np.array([float(n)]))[0]
    exact = [math.comb(m, a) * math.comb(n, failures - a) / math.comb(m + n, failures) for a in range(failures + 1)]
    np.testing.assert_allclose(got[: failures + 1], exact, rtol=1e-9)
    assert got[failures + 1 :].sum() == 0.0


def test_the_multiplier_spends_exactly_what_is_beyond_the_boundary() -> None:
    chance = np.array([[0.9, 0.09, 0.01]])
    evidence = np.array([[0.8, 20.0, 5000.0]])
    factor = multiplier.largest_factor(chance, evidence, np.array([4.0]), np.array([100.0]))
    assert (chance * np.minimum(100.0, factor * evidence)).sum() == pytest.approx(4.0)
    assert multiplier.largest_factor(chance, evidence, np.array([1e-6]), np.array([100.0])) == 1.0
    assert multiplier.largest_factor(chance, 0.0 * evidence, np.array([1.0]), np.array([100.0])) == 1.0
