"""The reference values of the algorithm (float64, 8 digits), each computed independently of this code."""

import numpy as np
import pytest

from analyzers.judge import fold, start
from analyzers.layout import GAIN, Array, Rows
from analyzers.legs import rank, ratio, tail
from analyzers.permutation import log_normaliser
from tests.analyzers.streams import latency, sample, terms

CANARY = np.array([[2.0, 5.0, 20.0, 15.0, 6.0, 2.0]])
BASELINE = np.array([[60.0, 140.0, 420.0, 250.0, 60.0, 20.0]])
POOLED = CANARY + BASELINE


def _log_e(scores: Array) -> Array:
    value: Array = ((scores * CANARY[:, None, :]).sum(-1) - log_normaliser(scores, POOLED, CANARY.sum(1)))[0]
    return value


def test_ratio_likelihoods(monkeypatch: pytest.MonkeyPatch) -> None:
    ratios = np.array([2.0, 10.0, 50.0])
    monkeypatch.setattr(ratio, "_LIFT", ratios - 1.0)
    monkeypatch.setattr(ratio, "_LOG_RATIOS", np.log(ratios))
    got = ratio.log_e(np.array([3.0]), np.array([5.0]), np.array([50.0]), np.array([950.0]))[0]
    np.testing.assert_allclose(got, [1.68912023, 3.93524683, 1.82907517], atol=5e-9)


def test_priors() -> None:
    np.testing.assert_allclose(ratio.PRIOR[[0, 1, 2, -1]], [0.02265, 0.03200, 0.04305, 0.00379], atol=5e-6)
    np.testing.assert_allclose(rank.PRIOR[[0, 1, -1]], [0.03360, 0.05112, 0.01217], atol=5e-6)


def test_mid_ranks_and_rank_likelihoods() -> None:
    ranks = rank.mid_ranks(POOLED)
    np.testing.assert_allclose(ranks[0], [-0.469, -0.3655, -0.073, 0.2795, 0.445, 0.489], atol=1e-12)
    assert (ranks * CANARY).sum() == pytest.approx(3.615, abs=1e-12)
    got = _log_e(np.array([1.0, 3.0])[None, :, None] * ranks[:, None, :])
    np.testing.assert_allclose(got, [1.85293032, -4.34604823], atol=5e-9)
    assert log_normaliser(ranks[:, None, :], POOLED, CANARY.sum(1))[0, 0] == pytest.approx(1.76206968, abs=5e-9)


def test_the_bound_alone_is_used_where_the_saddlepoint_is_not_proven() -> None:
    """With little information (N f (1-f) < 20) the normaliser is Hoeffding's bound, m log mean e^s."""
    ranks = rank.mid_ranks(POOLED)
    few = log_normaliser(ranks[:, None, :], POOLED, np.array([10.0]))[0, 0]
    assert few == pytest.approx(10.0 * 1.85240905 / 50.0, abs=1e-9)


def test_tail_scores_and_likelihoods() -> None:
    scores = tail.scores(POOLED)
    np.testing.assert_allclose(scores[0, 2], [0.0, 0.0, 0.0, -0.02683, -0.48975, 0.90848], atol=5e-6)
    np.testing.assert_allclose(_log_e(scores), [-0.04309, -0.42694, -1.45569, -0.00531, -0.02204, -0.05084], atol=5e-6)


def test_whole_judge_legs() -> None:
    """Three ticks of the same latency with errors (1,1), (0,2), (2,0); requests = successes + errors."""
    one = terms(bounds_ms=(1.0, 2.0, 4.0, 8.0, 16.0), split=True)
    state, legs = start(one), []
    times = (latency([int(count) for count in CANARY[0]]), latency([int(count) for count in BASELINE[0]]))
    for t, (a, b) in enumerate([(1, 1), (0, 2), (2, 0)], start=1):
        tick = sample(float(t), canary=(50 + a, a), baseline=(950 + b, b), slow=times)
        ((state, ruling),) = fold([one], [state], [tick])
        legs.append([ruling.legs[name].e_value for name in ("errors", "rank", "tail")])
    np.testing.assert_allclose(
        legs,
        [
            [3.37100859, 3.33023488, 0.83544971],
            [1.68648687, 15.77452212, 0.76596389],
            [60.59661815, 83.25299835, 0.72583832],
        ],
        atol=5e-9,
    )


def test_whole_judge_without_the_mean() -> None:
    """The combined evidence and the multiplier, with sums unknown so that the mean leg stays at 1."""
    one = terms(bounds_ms=(1.0, 2.0, 4.0, 8.0, 16.0), split=True)
    state, whole, gain = start(one), [], []
    times = (latency([int(count) for count in CANARY[0]], 0.0), latency([int(count) for count in BASELINE[0]], 0.0))
    for t, (a, b) in enumerate([(1, 1), (0, 2), (2, 0)], start=1):
        tick = sample(float(t), canary=(50 + a, a), baseline=(950 + b, b), slow=times)
        ((state, ruling),) = fold([one], [state], [tick])
        whole.append(ruling.evidence)
        gain.append(Rows(state.row[None]).head[0, GAIN])
    np.testing.assert_allclose(gain, [1.00144716, 1.11001043, 1.17227690], atol=5e-9)
    np.testing.assert_allclose(whole, [5.52713156, 13.00590515, 1822.953], rtol=1e-7)
