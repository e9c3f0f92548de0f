"""Confidence sequences for one number at a time, for findings: they cover the truth at every look at once."""

import math
from collections.abc import Callable

_STEPS = 60


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _crossing(inside: Callable[[float], bool], start: float, end: float) -> float:
    """The point between ``start`` (inside) and ``end`` where ``inside`` ends."""
    if inside(end):
        return end
    for _ in range(_STEPS):
        middle = 0.5 * (start + end)
        if inside(middle):
            start = middle
        else:
            end = middle
    return end


def rate(events: float, requests: float, *, alpha: float) -> tuple[float, float]:
    """Confidence sequence of a rate (a fraction): what a Beta(1/2, 1/2) mixture does not exclude at 1/alpha.

    (Robbins 1970; the mixture of Krichevsky and Trofimov 1981.)
    """
    if requests <= 0.0:
        return 0.0, 1.0
    mixture = _log_beta(0.5 + events, 0.5 + requests - events) - _log_beta(0.5, 0.5)
    wanted = math.log(1.0 / alpha)

    def inside(p: float) -> bool:
        hit = events * math.log(p) if p > 0.0 else (-math.inf if events > 0.0 else 0.0)
        missed = requests - events
        miss = missed * math.log1p(-p) if p < 1.0 else (-math.inf if missed > 0.0 else 0.0)
        return mixture - hit - miss < wanted

    middle = events / requests
    return _crossing(inside, middle, 0.0), _crossing(inside, middle, 1.0)


def difference_of_rates(canary: tuple[float, float], baseline: tuple[float, float], *, alpha: float) -> tuple[float, float]:
    """Confidence sequence of canary rate - baseline rate; each argument is (events, requests)."""
    c_low, c_high = rate(*canary, alpha=alpha / 2.0)
    b_low, b_high = rate(*baseline, alpha=alpha / 2.0)
    return c_low - b_high, c_high - b_low


def log_mean(number: float, total: float, squares: float, *, alpha: float, prior: float) -> tuple[float, float] | None:
    """Confidence sequence of the mean of increments of unknown variance (Lindon et al. 2022); null while it is unbounded."""
    if number < 2.0:
        return None
    middle = total / number
    rest = max(squares - number * middle * middle, 0.0)
    shrink = prior / (prior + number)
    grown = math.exp(2.0 * math.log(1.0 / alpha) / number) * shrink ** (-1.0 / number)
    if grown * shrink >= 1.0:
        return None
    half = math.sqrt(rest * (grown - 1.0) / (number * (1.0 - grown * shrink)))
    return middle - half, middle + half
