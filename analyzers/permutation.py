"""The normaliser of a permutation e-value: how large a sum of scores is when the canary's requests are drawn blindly.

Given the pooled histogram of a tick, under the null the canary's requests are m of the N requests drawn without
replacement. ``log_normaliser`` is log E exp(sum of the drawn scores): Hoeffding's bound (drawing with replacement, always at
least as large), or a saddlepoint approximation where exact convolution has shown it to be accurate, whichever is smaller. Any
score that depends on pooled counts only gives a valid e-value exp(observed sum - normaliser).
"""

import numpy as np

from analyzers.layout import Array

NEWTON_STEPS = 2
"""A tilt that has not converged only makes the result larger, which is safe."""
MIN_INFORMATION = 20.0
"""N f (1-f) from which the saddlepoint is within 5e-6 below and .0018 above the exact value."""
MAX_FRACTION = 0.8
"""Above this share of canary requests the saddlepoint can fall below the exact value."""
SADDLE_MARGIN = 0.04


def log_normaliser(scores: Array, pooled: Array, drawn: Array) -> Array:
    """log E exp(sum of ``scores`` over ``drawn`` requests drawn from ``pooled``).

    Args:
        scores: (releases, alternatives, J), scores of the buckets.
        pooled: (releases, J), pooled counts of the tick.
        drawn: (releases,), canary requests, between 0 and the pooled total.

    Returns:
        (releases, alternatives); 0 where the pool is empty.
    """
    total = pooled.sum(-1)
    safe = np.maximum(total, 1.0)
    fraction = (drawn / safe)[:, None]
    weight = (pooled / safe[:, None])[:, None, :]
    lifted = np.exp(scores)
    bound = np.log(np.maximum((weight * lifted).sum(-1), 1e-300))
    information = (total * fraction[:, 0] * (1.0 - fraction[:, 0]))[:, None]
    usable = (information >= MIN_INFORMATION) & (fraction <= MAX_FRACTION) & (fraction > 0.0)
    hoeffding: Array = np.where(total[:, None] > 0.0, drawn[:, None] * bound, 0.0)
    if not usable.any():
        return hoeffding
    k = -(1.0 - fraction) * bound - fraction * (weight * scores).sum(-1)
    rest = (1.0 - fraction)[:, :, None]
    for _ in range(NEWTON_STEPS):
        odds = lifted * (fraction * np.exp(k))[:, :, None]
        share = odds / (rest + odds)
        weighted = weight * share
        mean = weighted.sum(-1)
        spread = mean - (weighted * share).sum(-1)
        k = k - (mean - fraction) / np.maximum(spread, 1e-300)
        np.clip(k, -40.0, 40.0, out=k)
    odds = lifted * (fraction * np.exp(k))[:, :, None]
    mixed = rest + odds
    share = odds / mixed
    spread = (weight * share * (1.0 - share)).sum(-1)
    level = total[:, None] * (weight * np.log(mixed)).sum(-1) - k * drawn[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        saddle = level + 0.5 * np.log(fraction * (1.0 - fraction) / spread) + SADDLE_MARGIN / information
    best: Array = np.where(usable & (saddle < hoeffding), saddle, hoeffding)
    return best
