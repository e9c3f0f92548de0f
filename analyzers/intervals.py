"""Confidence sequences for one number at a time, for findings: they cover the truth at every look at once."""

import math
from collections.abc import Callable

from scipy.special import xlog1py, xlogy

from analyzers.legs.mean import PRIOR_TICKS

_STEPS = 60


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _end(excluded: Callable[[float], bool], inside: float, limit: float) -> float:
    """The point between ``inside`` and ``limit`` from which on all is ``excluded``; the limit itself where nothing is."""
    if not excluded(limit):
        return limit
    for _ in range(_STEPS):
        middle = 0.5 * (inside + limit)
        inside, limit = (inside, middle) if excluded(middle) else (middle, limit)
    return limit


def rate(events: float, requests: float, *, alpha: float) -> tuple[float, float]:
    """Confidence sequence of a rate (a fraction): what a Beta(1/2, 1/2) mixture does not exclude at 1/alpha.

    (Robbins 1970; the mixture of Krichevsky and Trofimov 1981.)
    """
    if requests <= 0.0:
        return 0.0, 1.0
    others, wanted = requests - events, math.log(1.0 / alpha)
    mixture = _log_beta(0.5 + events, 0.5 + others) - _log_beta(0.5, 0.5)

    def excluded(p: float) -> bool:
        return bool(mixture - xlogy(events, p) - xlog1py(others, -p) >= wanted)

    return _end(excluded, events / requests, 0.0), _end(excluded, events / requests, 1.0)


def difference_of_rates(canary: tuple[float, float], baseline: tuple[float, float], *, alpha: float) -> tuple[float, float]:
    """Confidence sequence of canary rate - baseline rate; each argument is (events, requests)."""
    c_low, c_high = rate(*canary, alpha=alpha / 2.0)
    b_low, b_high = rate(*baseline, alpha=alpha / 2.0)
    return c_low - b_high, c_high - b_low


def log_mean(number: float, total: float, squares: float, *, alpha: float) -> tuple[float, float] | None:
    """Confidence sequence of the mean of increments of unknown variance (Lindon et al. 2022); null while it is unbounded."""
    if number < 2.0:
        return None
    middle = total / number
    rest = max(squares - number * middle * middle, 0.0)
    shrink = PRIOR_TICKS / (PRIOR_TICKS + number)
    grown = math.exp(2.0 * math.log(1.0 / alpha) / number) * shrink ** (-1.0 / number)
    if grown * shrink >= 1.0:
        return None
    half = math.sqrt(rest * (grown - 1.0) / (number * (1.0 - grown * shrink)))
    return middle - half, middle + half


def radius(variance: float, *, scale: float, alpha: float) -> float:
    """Half-width of the confidence sequence for the drift of a sum of increments whose variances sum to ``variance``.

    The two-sided normal mixture of Robbins 1970; ``scale`` as in ``promotion.tuned``.
    """
    return math.sqrt((variance + scale) * (math.log1p(variance / scale) + 2.0 * math.log(1.0 / alpha)))
