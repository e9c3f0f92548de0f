"""The normal mixture: an e-process and a confidence sequence for a sum of stratified increments of known variance.

The one-sided mixture, its tuning and the two-sided radius: Robbins 1970; Howard, Ramdas, McAuliffe and Sekhon 2021. Asymptotic
where increments are near normal only (Waudby-Smith et al. 2024).
"""

import math

import numpy as np
from scipy.special import log_ndtr

from analyzers.arrays import Array


def log_one_sided(total: Array, variance: Array, *, scale: Array | float) -> Array:
    """Log e-value for a positive drift of ``total``, a sum of increments whose variances sum to ``variance``.

    Args:
        scale: rho, the inverse of the mixing normal's variance (folded at 0); see ``tuned``.
    """
    spread = variance + scale
    z = total / np.sqrt(spread)
    value: Array = 0.5 * np.log(4.0 * scale / spread) + 0.5 * z * z + log_ndtr(z)
    return value


def tuned(variance: Array, *, alpha: float) -> Array:
    """The ``scale`` that makes the one-sided boundary nearly tightest when the variances sum to ``variance``."""
    log_inverse = math.log(1.0 / (2.0 * alpha))
    return variance / (2.0 * log_inverse + math.log(1.0 + 2.0 * log_inverse))


def radius(variance: Array, *, scale: Array | float, alpha: float) -> Array:
    """Half-width of the two-sided confidence sequence for the drift of the sum, at level 1 - alpha."""
    spread = variance + scale
    width: Array = np.sqrt(spread * (np.log1p(variance / scale) + 2.0 * math.log(1.0 / alpha)))
    return width
