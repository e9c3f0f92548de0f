"""The normal mixture: an e-process and a confidence sequence for a sum of stratified increments of known variance.

The one-sided mixture, its tuning and the two-sided radius: Robbins 1970; Howard, Ramdas, McAuliffe and Sekhon 2021. Asymptotic
where increments are near normal only (Waudby-Smith et al. 2024).

numpy has no normal distribution and scipy's takes half a second to import, so the one function needed is written out.
"""

import math
from typing import Final

import numpy as np

from analyzers.layout import Array

_ERFC: Final = (
    -1.26551223,
    1.00002368,
    0.37409196,
    0.09678418,
    -0.18628806,
    0.27886807,
    -1.13520398,
    1.48851587,
    -0.82215223,
    0.17087277,
)
"""Chebyshev fit of the complementary error function, relative error below 1.2e-7 everywhere (Numerical Recipes, 6.2)."""


def log_cdf(z: Array) -> Array:
    """Logarithm of the standard normal distribution function."""
    x = np.abs(z) / math.sqrt(2.0)
    t = 1.0 / (1.0 + 0.5 * x)
    series = np.polynomial.polynomial.polyval(t, np.array(_ERFC))
    log_upper = np.log(0.5 * t) - x * x + series
    result: Array = np.where(z < 0.0, log_upper, np.log1p(-np.exp(log_upper)))
    return result


def log_one_sided(total: Array, variance: Array, *, scale: Array | float) -> Array:
    """Log e-value for a positive drift of ``total``, a sum of increments whose variances sum to ``variance``.

    Args:
        scale: rho, the inverse of the mixing normal's variance (folded at 0); see ``tuned``.
    """
    spread = variance + scale
    z = total / np.sqrt(spread)
    value: Array = 0.5 * np.log(4.0 * scale / spread) + 0.5 * z * z + log_cdf(z)
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
