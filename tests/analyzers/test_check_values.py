"""The reference values of the algorithm (float64, 8 digits), each computed independently of this code."""

import numpy as np
import pytest

from analyzers import permutation
from analyzers.conviction import stand
from analyzers.judge import fold_arrays
from analyzers.layout import Array, Rows, blank
from analyzers.legs import events, slow_end, typical
from analyzers.legs.table import ERRORS, LEGS, SLOW_END, TYPICAL
from analyzers.terms import Limits
from analyzers.tolerated import Passing
from tests.analyzers.streams import terms, tick

CANARY = np.array([[2.0, 5.0, 20.0, 15.0, 6.0, 2.0]])
BASELINE = np.array([[60.0, 140.0, 420.0, 250.0, 60.0, 20.0]])
POOLED = CANARY + BASELINE
BOUNDS = (10.0, 25.0, 50.0, 100.0, 250.0)


def _one(value: float) -> Array:
    return np.array([value])


@pytest.mark.parametrize(
    ("factor", "above", "ratios", "wanted"),
    [
        (1.0, 0.0, [2.0, 10.0, 50.0], [1.68912023, 3.93524683, 1.82907517]),
        (0.0, 0.005, [1.6], [1.26001089]),
        (1.0, 0.0025, [1.6], [1.10436571]),
    ],
    ids=["no worse", "an absolute limit", "so much above the baseline"],
)
def test_one_formula_for_every_null_on_events(factor: float, above: float, ratios: list[float], wanted: list[float]) -> None:
    arms = (_one(3.0), _one(50.0)), (_one(5.0), _one(950.0))
    got = events.log_e(*arms, np.array(ratios), factor=factor, above=above)[0]
    np.testing.assert_allclose(got, wanted, atol=5e-9)


def test_priors() -> None:
    np.testing.assert_allclose(events.PRIOR[[0, 1, 2, -1]], [0.02265, 0.03200, 0.04305, 0.00379], atol=5e-6)
    np.testing.assert_allclose(typical.PRIOR[[0, 1, -1]], [0.03360, 0.05112, 0.01217], atol=5e-6)
    for leg in LEGS:
        for prior in (leg.worse, *leg.beyond):
            assert prior.sum() == pytest.approx(1.0)
    assert sum(leg.share for leg in LEGS if leg.name != "unanswered") == pytest.approx(1.0), "that one is lent by the others"


def test_mid_ranks_and_rank_likelihoods() -> None:
    ranks = typical.mid_ranks(POOLED)
    np.testing.assert_allclose(ranks[0], [-0.469, -0.3655, -0.073, 0.2795, 0.445, 0.489], atol=1e-12)
    assert (ranks * CANARY).sum() == pytest.approx(3.615, abs=1e-12)
    got = permutation.log_e(typical.scores(ranks, np.array([1.0, 3.0])), POOLED, CANARY)[0]
    np.testing.assert_allclose(got, [1.85293032, -4.34604823], atol=5e-9)
    assert permutation.log_normaliser(ranks[:, None, :], POOLED, _one(50.0))[0, 0] == pytest.approx(1.76206968, abs=5e-9)


def test_the_bound_alone_is_used_where_the_saddlepoint_is_not_proven() -> None:
    """With little information (N f (1-f) < 20) the normaliser is Hoeffding's bound, m log mean e^s."""
    ranks = typical.mid_ranks(POOLED)
    few = permutation.log_normaliser(ranks[:, None, :], POOLED, _one(10.0))[0, 0]
    assert few == pytest.approx(10.0 * 1.85240905 / 50.0, abs=1e-9)


def test_above_half_of_the_requests_the_bound_is_that_of_the_others() -> None:
    """The canary's sum is the pool's less the baseline's: at 900 of 1000 the bound for the 100 others is the smaller one."""
    ranks = typical.mid_ranks(POOLED)
    share = POOLED[0] / POOLED.sum()
    drawn = 0.9 * POOLED.sum()
    dual = POOLED.sum() * float(share @ ranks[0]) + (POOLED.sum() - drawn) * np.log(share @ np.exp(-ranks[0]))
    got = permutation.log_normaliser(ranks[:, None, :], POOLED, _one(drawn))[0, 0]
    assert got == pytest.approx(dual, abs=1e-9)
    assert got < drawn * np.log(share @ np.exp(ranks[0]))


def test_scores_and_likelihoods_of_the_slow_end() -> None:
    scores = slow_end.scores(POOLED)
    np.testing.assert_allclose(scores[0, 2], [*[-0.03387183] * 5, 0.90847664], atol=5e-9)
    np.testing.assert_allclose(scores[0, 3], [*[-0.0014406] * 5, 0.06203099], atol=5e-9)
    wanted = [0.22480915, 0.32174518, 0.24818438, 0.05491295, 0.10529115, 0.15113410]
    np.testing.assert_allclose(permutation.log_e(scores, POOLED, CANARY)[0], wanted, atol=5e-9)


MODE, EVEN = 2, 0.13750352
"""The bucket of the mode, and what the reference takes to pass its bound: no more than an even spread. There more may (see
``analyzers.tolerated``); all else is as the reference has it."""


@pytest.fixture
def evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bucket of the mode as in the reference."""
    made = Passing.__init__

    def init(self: Passing, history: Array, bounds: Array, factor: Array) -> None:
        made(self, history, bounds, factor)
        self.share[:, MODE] = EVEN

    monkeypatch.setattr(Passing, "__init__", init)


def test_what_passes_each_bound_where_latency_is_a_tenth_longer() -> None:
    """To what scipy's normal distribution gives; the reference's own is 3e-7 off."""
    passing = Passing(BASELINE, np.array([BOUNDS]), _one(1.1))
    np.testing.assert_allclose(passing.share[0], [0.39132211, 0.31275386, 0.14778512, 0.09393165, 0.1040174], atol=5e-9)
    others = np.arange(len(BOUNDS)) != MODE
    np.testing.assert_allclose(passing.share[0, others], [0.39132186, 0.31275353, 0.0939318, 0.1040174], atol=5e-7)
    assert passing.share[0, MODE] > EVEN
    assert not passing.blind.any()


@pytest.mark.usefixtures("evenly")
def test_the_tolerated_baseline_and_the_evidence_against_it() -> None:
    slowed = Passing(BASELINE, np.array([BOUNDS]), _one(1.1)).slowed(BASELINE)
    wanted = [36.52068841, 119.69381734, 406.03401428, 284.26852955, 77.24190641, 26.24104402]
    np.testing.assert_allclose(slowed[0], wanted, atol=1e-4)
    pooled = CANARY + slowed
    beyond = permutation.log_e(typical.scores(typical.mid_ranks(pooled), typical.BEYOND), pooled, CANARY)[0]
    assert beyond[0] == pytest.approx(0.37841902, abs=2e-7)
    ratios = slow_end.ratios(slowed)
    np.testing.assert_allclose(ratios[0], [1.0, 1.0, 1.0, 1.0, 1.0, 1.29344659], atol=5e-9)
    assert slow_end.log_beyond(CANARY, slowed, ratios)[0, 0] == pytest.approx(0.10326937, abs=5e-9)


@pytest.mark.usefixtures("evenly")
def test_three_ticks_of_the_whole_judge() -> None:
    """The same latency three times, with errors (1,1), (0,2), (2,0); the reference's errors have half of alpha."""
    one = terms(bounds_ms=BOUNDS)
    rows, limits, got = Rows(blank()[None].copy()), Limits.of([one]), []
    for t, (a, b) in enumerate([(1, 1), (0, 2), (2, 0)], start=1):
        seen = tick(float(t), canary=(50 + a, a), baseline=(950 + b, b), c=CANARY, b=BASELINE, sums=(2500.0, 40000.0))
        with np.errstate(all="ignore"):
            fold_arrays(rows, limits, seen, np.array([False]))
            standing = stand(rows, limits)
        standing.worse[:, ERRORS] += np.log(0.5 / LEGS[ERRORS].share)
        got.append([(standing.worse[0, leg], standing.beyond[0, leg]) for leg in (ERRORS, TYPICAL, SLOW_END)])
    first = [
        [(0.460280, 0.311411), (-0.245806, 0.145931), (-1.421031, 0.0)],
        [(-0.296903, -0.056955), (1.358427, 0.478770), (-1.224519, 0.103269)],
        [(2.511400, 0.934514), (3.032188, 0.850717), (-1.019985, 0.206539)],
    ]
    later = [(-3.996703, -2.870613), (-3.854749, -3.408854), (-7.199931, -3.515593)]
    np.testing.assert_allclose(np.array(got)[:, :, :, 0], first, atol=6e-7)
    np.testing.assert_allclose(np.array(got)[2, :, :, 1], later, atol=6e-7)
