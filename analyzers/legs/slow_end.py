"""The slow end: a bank that stretches the tail, which Mann-Whitney cannot see.

An alternative keeps the survival curve S where it is above u, and below replaces it by u (S/u)^x (a Lehmann alternative, 1953, of
the tail): the slowest requests become more frequent the slower they are. The ratio of the two masses of a bucket dips below 1
before it rises; projected on rising ratios (isotonic regression), a canary that is faster in the body earns nothing for it.

Against what is tolerated the ratios are at least 1 and rise, so that the test is one of graded exceedances: every canary that is
stochastically no slower than the tolerated baseline is inside its null.
"""

from typing import Final

import numpy as np

from analyzers.arrays import Array

STARTS: Final[Array] = np.repeat([0.10, 0.03], 3)
EXPONENTS: Final[Array] = np.tile([0.8, 0.6, 0.4], 2)
PRIOR: Final[Array] = np.full(6, 1.0 / 6.0)
BEYOND_PRIOR: Final[Array] = np.ones(1)
_SMALLEST, _LARGEST = 0.05, 60.0
_FLOOR: Final = 0.3
"""Requests that are taken to lie above any bound of the tolerated baseline."""


def _lifted(above: Array, starts: Array, exponents: Array) -> Array:
    """Survival (releases, alternatives, bounds) of the alternatives, from that of the pool (releases, bounds)."""
    begin = np.log(starts)[:, None]
    stretched = np.exp(begin + exponents[:, None] * (np.log(np.maximum(above, 1e-300))[:, None, :] - begin))
    lifted: Array = np.maximum(above[:, None, :], stretched)
    return lifted


def _masses(survival: Array) -> Array:
    """Shares of the buckets (..., J) from survival at their lower ends (..., J)."""
    mass = survival.copy()
    mass[..., :-1] -= survival[..., 1:]
    return mass


def scores(pooled: Array) -> Array:
    """Scores (releases, 6, J) of the buckets from pooled counts, rising with latency."""
    above = pooled[:, ::-1].cumsum(-1)[:, ::-1]
    above /= np.maximum(above[:, :1], 1e-9)
    lifted = _masses(_lifted(above, STARTS, EXPONENTS))
    share = _masses(above)[:, None, :]
    below = share.cumsum(-1)
    mean = np.where(below > 0.0, lifted.cumsum(-1) / np.maximum(below, 1e-300), np.inf)
    filled = (share > 0.0) & (np.arange(pooled.shape[1]) > mean.argmin(-1)[..., None])
    ratio = np.where(filled, lifted / np.maximum(share, 1e-300), mean.min(-1, keepdims=True))
    return np.log(np.minimum(np.maximum(ratio, _SMALLEST), _LARGEST))


def ratios(tolerated: Array) -> Array:
    """How much more frequent each bucket's requests become (releases, J), at least 1 and rising, from a tolerated histogram."""
    above = np.maximum(tolerated[:, ::-1].cumsum(-1)[:, ::-1], _FLOOR)
    above /= above[:, :1]
    lifted = _masses(_lifted(above, STARTS[:1], EXPONENTS[:1]))[:, 0]
    return np.maximum.accumulate(np.maximum(lifted / np.maximum(_masses(above), 1e-300), 1.0), axis=-1)


def log_beyond(canary: Array, slowed: Array, graded: Array) -> Array:
    """Log e-value (releases, 1) of one tick's canary (releases, J) against the tolerated baseline, at these ``ratios``."""
    mine = canary.sum(-1)
    share = mine / np.maximum(mine + slowed.sum(-1), 1.0)
    drift = np.log1p(share[:, None] * (graded - 1.0))
    value: Array = (canary * (np.log(graded) - drift) - slowed * drift).sum(-1)
    return value[:, None]
