"""The normaliser of a permutation e-value: how large a sum of scores is when the canary's requests are drawn blindly.

Given the pooled histogram of a tick, under the null the canary's requests are m of the N requests drawn without replacement.
``log_normaliser`` is log E exp(sum of the drawn scores): Hoeffding's bound (1963, theorem 4: drawing with replacement, always at
least as large), the same of the requests that are left (the canary's sum is the pool's less theirs), or a saddlepoint
approximation (after Robinson 1982) where exact convolution has shown it to be accurate, whichever is smallest. Any score that
depends on pooled counts only gives a valid e-value exp(observed sum - normaliser).
"""

import numpy as np

from analyzers.arrays import Array

NEWTON_STEPS = 2
"""A tilt that has not converged makes the result larger, which is safe."""
MIN_INFORMATION = 20.0
"""N f (1-f) from which the saddlepoint is at most .0018 above the exact value, and at most 5e-6 below it; where two buckets hold
all requests of equal arms, at the largest tilts, up to 7e-4 below."""
MAX_FRACTION = 0.8
"""Above this share of canary requests the saddlepoint can fall below the exact value."""
DUAL_FRACTION = 0.5
"""Above this share the bound by the requests that are left is the smaller one."""
SADDLE_MARGIN = 0.04
_LARGEST_TILT = 40.0


def log_normaliser(scores: Array, pooled: Array, drawn: Array) -> Array:
    """log E exp(sum of ``scores`` over ``drawn`` requests drawn from ``pooled``).

    Args:
        scores: (releases, alternatives, J), scores of the buckets.
        pooled: (releases, J), pooled counts of the tick.
        drawn: (releases,), canary requests, between 0 and the pooled total.

    Returns:
        (releases, alternatives); 0 where the pool is empty.
    """
    number = pooled.sum(-1)
    safe = np.maximum(number, 1.0)
    weight = (pooled / safe[:, None])[:, :, None]
    total, drawn, fraction = number[:, None], drawn[:, None], (drawn / safe)[:, None]
    rest, lifted = 1.0 - fraction, np.exp(scores)
    bound = np.log(np.maximum(_weighed(lifted, weight), 1e-300))
    least: Array = drawn * bound
    if (fraction > DUAL_FRACTION).any():
        left = np.log(np.maximum(_weighed(np.exp(-scores), weight), 1e-300))
        dual = total * _weighed(scores, weight) + (total - drawn) * left
        least = np.where(fraction > DUAL_FRACTION, np.minimum(least, dual), least)
    information = total * fraction * rest
    usable = (information >= MIN_INFORMATION) & (fraction <= MAX_FRACTION)
    if not usable.any():
        return least
    k = -rest * bound - fraction * _weighed(scores, weight)
    odds, share, mixed = fraction / np.maximum(rest, 1e-12), np.empty_like(lifted), np.empty_like(lifted)
    for _ in range(NEWTON_STEPS):
        mean, spread = _drawn(lifted, odds * np.exp(k), weight, share, mixed)
        k = np.minimum(np.maximum(k - (mean - fraction) / np.maximum(spread, 1e-300), -_LARGEST_TILT), _LARGEST_TILT)
    _, spread = _drawn(lifted, odds * np.exp(k), weight, share, mixed)
    level = total * (_weighed(np.log(mixed, out=mixed), weight) + np.log1p(-np.minimum(fraction, MAX_FRACTION))) - k * drawn
    saddle = level + 0.5 * np.log(fraction * rest / spread) + SADDLE_MARGIN / information
    return np.where(usable & (saddle < least), saddle, least)


def _drawn(lifted: Array, odds: Array, weight: Array, share: Array, mixed: Array) -> tuple[Array, Array]:
    """Mean and spread of the share drawn from each bucket at these odds (releases, alternatives).

    ``share`` and ``mixed`` (1 + odds of a bucket) are written in place: new arrays of this size would leave the cache.
    """
    np.multiply(lifted, odds[:, :, None], out=share)
    np.add(share, 1.0, out=mixed)
    np.divide(share, mixed, out=share)
    mean = _weighed(share, weight)
    np.multiply(share, share, out=share)
    return mean, mean - _weighed(share, weight)


def _weighed(values: Array, weight: Array) -> Array:
    """Sums over the buckets of ``values`` (releases, alternatives, J) by ``weight`` (releases, J, 1).

    A product of matrices per release: thirty times quicker than multiplying and summing, and the same for any batch.
    """
    sums: Array = np.matmul(values, weight)[:, :, 0]
    return sums


def log_e(scores: Array, pooled: Array, canary: Array) -> Array:
    """Log e-values (releases, alternatives) of the canary's histogram (releases, J) given the pooled one."""
    value: Array = np.matmul(scores, canary[:, :, None])[:, :, 0] - log_normaliser(scores, pooled, canary.sum(1))
    return value
