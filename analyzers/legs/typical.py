"""Typical latency: the sequential Mann-Whitney test on histogram buckets, as a bank of tilts.

The statistic of a tick is the sum of the canary's pooled mid-ranks, exactly Mann-Whitney's with ties half; an alternative tilts the
drawing of the canary's requests towards high ranks. Only the order of buckets is used, so that drift shared by both arms is
harmless: each tick is its own stratum. Against what is tolerated the same statistic is taken with the tolerated baseline.
"""

from typing import Final

import numpy as np

from analyzers.arrays import Array
from analyzers.legs.events import bell

TILTS: Final[Array] = np.geomspace(0.25, 5.0, 14)
PRIOR: Final[Array] = bell(TILTS, centre=0.9, spread=0.8)
BEYOND: Final[Array] = np.array([0.35, 1.5])
BEYOND_PRIOR: Final[Array] = np.array([0.75, 0.25])


def mid_ranks(pooled: Array) -> Array:
    """Pooled mid-ranks of the buckets as fractions, centred at 0; shape as ``pooled``, 0 where the pool is empty."""
    total = np.maximum(pooled.sum(-1, keepdims=True), 1.0)
    share = pooled / total
    ranks: Array = share.cumsum(-1) - 0.5 * share - 0.5
    return ranks


def scores(ranks: Array, tilts: Array) -> Array:
    """Scores (releases, tilts, J) of the buckets from their mid-ranks."""
    return tilts[:, None] * ranks[:, None, :]


def precision(pooled: Array, canary: Array, baseline: Array) -> Array:
    """Inverse of the variance (releases,), under the null, of the probability that a canary request is slower; ties corrected, 0
    where it cannot vary. ``pooled``: histograms (releases, J).
    """
    total = np.maximum(canary + baseline, 2.0)
    share = pooled / total[:, None]
    varying = total + 1.0 - (total**2 * (share * share * share).sum(-1) - 1.0) / (total - 1.0)
    usable = (canary > 0.0) & (baseline > 0.0) & (varying > 1e-9 * total)
    return np.where(usable, 12.0 * canary * baseline / np.where(usable, varying, 1.0), 0.0)
