"""The slow end: a bank that stretches the tail, which Mann-Whitney cannot see.

An alternative keeps the pooled survival curve S where it is above u, and below replaces it by u (S/u)^x (a Lehmann alternative,
1953, of the tail): the slowest requests become more frequent the slower they are. Scores depend on pooled counts only, so that the
permutation e-value stays exact.
"""

from typing import Final

import numpy as np

from analyzers.layout import Array

STARTS: Final[Array] = np.repeat([0.10, 0.03], 3)
EXPONENTS: Final[Array] = np.tile([0.8, 0.6, 0.4], 2)
PRIOR: Final[Array] = np.full(6, 1.0 / 6.0)
_SMALLEST, _LARGEST = 0.05, 60.0


def scores(pooled_so_far: Array) -> Array:
    """Scores (releases, 6, J) of the buckets from the pooled counts since the start, this tick included."""
    total = np.maximum(pooled_so_far.sum(-1, keepdims=True), 1.0)
    above = np.cumsum(pooled_so_far[:, ::-1], axis=-1)[:, ::-1] / total
    share = pooled_so_far / total
    log_above = np.log(np.maximum(above, 1e-300))[:, None, :]
    begin = STARTS[None, :, None]
    power = EXPONENTS[None, :, None]
    stretched = begin * np.exp(power * (log_above - np.log(begin)))
    lifted = np.where(above[:, None, :] >= begin, above[:, None, :], stretched)
    mass = lifted.copy()
    mass[:, :, :-1] -= lifted[:, :, 1:]
    filled = share > 0.0
    ratio = mass / np.where(filled, share, 1.0)[:, None, :]
    scored: Array = np.where(filled[:, None, :], np.log(np.clip(ratio, _SMALLEST, _LARGEST)), 0.0)
    return scored
