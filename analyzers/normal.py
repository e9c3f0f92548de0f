"""The normal mixture: an e-process and a confidence sequence for a sum of stratified increments of known variance.

The one-sided mixture, its tuning and the two-sided radius: Robbins 1970; Howard, Ramdas, McAuliffe and Sekhon 2021. Asymptotic
where increments are near normal only (Waudby-Smith et al. 2024).

numpy has no normal distribution and scipy's takes half a second to import, so the one function needed is written out.
"""

import math
from typing import Final

import numpy as np

from analyzers.arrays import Array

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

_FURTHEST: Final = 9
_PER_UNIT: Final = 128
"""The table of the distribution function: standard deviations to either side, points per standard deviation."""
# Numerator and denominator of Wichura's rational functions by degree: middle, tail, far tail.
_AS241: Final[Array] = np.array(
    [
        [
            [3.3871328727963666080e0, 1.42343711074968357734e0, 6.65790464350110377720e0],
            [1.3314166789178437745e2, 4.63033784615654529590e0, 5.46378491116411436990e0],
            [1.9715909503065514427e3, 5.76949722146069140550e0, 1.78482653991729133580e0],
            [1.3731693765509461125e4, 3.64784832476320460504e0, 2.96560571828504891230e-1],
            [4.5921953931549871457e4, 1.27045825245236838258e0, 2.65321895265761230930e-2],
            [6.7265770927008700853e4, 2.41780725177450611770e-1, 1.24266094738807843860e-3],
            [3.3430575583588128105e4, 2.27238449892691845833e-2, 2.71155556874348757815e-5],
            [2.5090809287301226727e3, 7.74545014278341407640e-4, 2.01033439929228813265e-7],
        ],
        [
            [1.0, 1.0, 1.0],
            [4.2313330701600911252e1, 2.05319162663775882187e0, 5.99832206555887937690e-1],
            [6.8718700749205790830e2, 1.67638483018380384940e0, 1.36929880922735805310e-1],
            [5.3941960214247511077e3, 6.89767334985100004550e-1, 1.48753612908506148525e-2],
            [2.1213794301586595867e4, 1.48103976427480074590e-1, 7.86869131145613259100e-4],
            [3.9307895800092710610e4, 1.51986665636164571966e-2, 1.84631831751005468180e-5],
            [2.8729085735721942674e4, 5.47593808499534494600e-4, 1.42151175831644588870e-7],
            [5.2264952788528545610e3, 1.05075007164441684324e-9, 2.04426310338993978564e-15],
        ],
    ]
)


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


def _hermite_table() -> tuple[Array, Array]:
    grid = np.arange(-_FURTHEST * _PER_UNIT, _FURTHEST * _PER_UNIT + 1) / _PER_UNIT
    below = np.array([0.5 * math.erfc(-z / math.sqrt(2.0)) for z in grid.tolist()])
    return below, np.exp(-0.5 * grid * grid) / (math.sqrt(2.0 * math.pi) * _PER_UNIT)


_BELOW, _RISE = _hermite_table()


def cdf(z: Array) -> Array:
    """The standard normal distribution function, to 1e-13: cubic between exact values and exact slopes."""
    place = np.minimum(np.maximum(z * _PER_UNIT + _FURTHEST * _PER_UNIT, 0.0), 2.0 * _FURTHEST * _PER_UNIT - 1e-6)
    left = place.astype(np.intp)
    t = place - left
    low, rise, after = _BELOW[left], _RISE[left], _RISE[left + 1]
    step = _BELOW[left + 1] - low
    value: Array = low + t * (rise + t * (3.0 * step - 2.0 * rise - after + t * (rise + after - 2.0 * step)))
    return value


def quantile(share: Array) -> Array:
    """The standard normal quantile of shares above 0 and below 1, to 1e-15 of itself (Wichura 1988, algorithm AS 241)."""
    centred = share - 0.5
    tail = np.minimum(share, 1.0 - share)
    depth = np.sqrt(-np.log(tail))
    out = _rational(depth - 1.6, 1)
    if (depth > 5.0).any():
        out = np.where(depth > 5.0, _rational(depth - 5.0, 2), out)
    middle = centred * _rational(0.180625 - centred * centred, 0)
    value: Array = np.where(np.abs(centred) <= 0.425, middle, np.copysign(out, centred))
    return value


def _rational(at: Array, region: int) -> Array:
    """One of Wichura's rational functions, by Horner's rule."""
    above, below = (np.full_like(at, start) for start in _AS241[:, 7, region])
    for degree in range(6, -1, -1):
        for sums, coefficient in ((above, _AS241[0, degree, region]), (below, _AS241[1, degree, region])):
            np.multiply(sums, at, out=sums)
            np.add(sums, coefficient, out=sums)
    ratio: Array = above / below
    return ratio
