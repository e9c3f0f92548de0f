"""The slow end inside its tolerance: a certificate from exceedances of one bucket bound.

Both arms exceed the bound whose baseline exceedance is nearest 1 %; how much more often a canary may that is ``tolerance`` times
slower follows from the slope of the survival curve there. Evidence that it exceeds less often than that is conditional binomial.
Interpolating inside the bucket instead would overestimate the tolerance about twofold.

The baseline's exceedances are those expected of the canary's requests, tick by tick (sum of m B / n); together with their variance
(sum of (m / n)^2 B) they are as good as a Poisson count at a fixed share. At a share that does not change this is exact.
"""

import math
from typing import Final, NamedTuple

import numpy as np

from analyzers import buckets, words
from analyzers.layout import CANARY, EXPECTED, EXPECTED_VARIANCE, TIMED_TICKS, Array, Mask, Rows
from analyzers.promotion import log_mean_exp
from analyzers.terms import Limits
from analyzers.tolerated import BLIND_SHARE

RATIOS: Final[Array] = np.geomspace(1.15, 2.0, 6)
WANTED_EXCEEDANCE: Final = 0.01
LEAST_EXCEEDANCE: Final = 0.001
MOST_EXCEEDANCE: Final = 0.12
"""A bound that fewer or more of the baseline's requests exceed tells nothing of its slow end."""
NEARLY_ALL: Final = 0.9
FEWEST_TICKS: Final = 60.0
FEWEST_REQUESTS: Final = 15_000.0
"""Ticks with latency, or requests of the baseline, before the bound is chosen: earlier the choice itself would follow the noise."""
LARGEST_BOUND: Final = 16.0
_PLACES: Final[Array] = np.arange(16.0)[::-1]
"""Factors tried side by side, by how many steps they lie below the largest; each of five passes looks between two of them."""
_PASSES: Final = 5


class Exceedance(NamedTuple):
    """What the certificate rests on, each (releases,).

    Attributes:
        enough: there are so many requests that a bound may be chosen. usable: one could be.
        canary, baseline: requests above it, the baseline's as a count at a fixed share (the canary's of all).
        kappa: by how much log exceedance falls when log latency rises; 1 where no bound is usable.
    """

    enough: Mask
    usable: Mask
    canary: Array
    baseline: Array
    share: Array
    kappa: Array


def exceedance(rows: Rows, limits: Limits) -> Exceedance:
    """Choose the bound from the baseline's data; none is usable while the bounds are unknown or single."""
    bounds, none = limits.bounds, np.zeros(len(rows.raw))
    if bounds.shape[1] < 2:
        return Exceedance(none > 0.0, none > 0.0, none, none, none, none + 1.0)
    canary, baseline, variance = rows.exposed[:, (CANARY, EXPECTED, EXPECTED_VARIANCE), : bounds.shape[1] + 1].transpose(1, 0, 2)
    total, squares = np.maximum(baseline.sum(-1), 1e-300), np.maximum(variance.sum(-1), 1e-300)
    above = _above(baseline)
    survival = above / total[:, None]
    place = 1 + np.abs(np.log(np.maximum(survival[:, 1:], 1e-12) / WANTED_EXCEEDANCE)).argmin(1)
    row = np.arange(len(place))
    here, before = survival[row, place], survival[row, place - 1]
    enough = (rows.shown[:, TIMED_TICKS] >= FEWEST_TICKS) | (total**2 / squares >= FEWEST_REQUESTS)
    usable = enough & (here >= LEAST_EXCEEDANCE) & (here <= MOST_EXCEEDANCE) & (before > here) & (before - here < BLIND_SHARE)
    fall = np.log(np.where(usable, before, 2.0) / np.where(usable, here, 1.0))
    expected = np.where(usable, above[row, place], 1.0)
    scale = np.where(usable, _above(variance)[row, place], 1.0) / expected
    kappa = np.where(usable, fall / np.log(bounds[row, place] / bounds[row, place - 1]), 1.0)
    return Exceedance(enough, usable, _above(canary)[row, place], expected / scale, scale / (1.0 + scale), kappa)


def _above(counts: Array) -> Array:
    """How many lie above each bound (releases, J-1)."""
    return counts[:, ::-1].cumsum(-1)[:, ::-1][:, 1:]


def log_below(seen: Exceedance, ratios: Array) -> Array:
    """Log e-values (releases, ratios) that the canary's exceedance is less than each of ``ratios`` times the baseline's."""
    share, canary, baseline = seen.share[:, None, None], seen.canary[:, None, None], seen.baseline[:, None, None]
    most = ratios[..., None]
    change = np.log1p(share * (most / RATIOS - 1.0)) - np.log1p(share * (most - 1.0))
    return log_mean_exp(-canary * np.log(RATIOS) - (canary + baseline) * change)


def progress(rows: Rows, limits: Limits) -> Array:
    """How much of the evidence needed there is that the slow end is inside its tolerance (releases,); from 1 on it is shown."""
    seen = exceedance(rows, limits)
    tolerated = (limits.slow_end**seen.kappa)[:, None]
    return np.where(seen.usable, log_below(seen, tolerated)[:, 0] / np.log(limits.safe_boundary), 0.0)


def certified_bound(rows: Rows, limits: Limits) -> Array:
    """The smallest factor of the slow end (releases,) that is excluded from above; NaN while none below 16 is."""
    return _certified(exceedance(rows, limits), limits)


def _certified(seen: Exceedance, limits: Limits) -> Array:
    at, width = np.arange(len(seen.kappa)), math.log(LARGEST_BOUND)
    high, known = np.full(len(at), width), seen.usable
    for _ in range(_PASSES):
        width /= len(_PLACES)
        factors = high[:, None] - width * _PLACES
        excluded = log_below(seen, np.exp(seen.kappa[:, None] * factors)) >= np.log(limits.safe_boundary)[:, None]
        known = known & excluded[:, -1]
        high = factors[at, excluded.argmax(-1)]
    return np.where(known, np.exp(high), np.nan)


def told(rows: Rows, limits: Limits) -> list[str]:
    """What is known of the slow end of each release, or why it is not."""
    seen = exceedance(rows, limits)
    factors = _certified(seen, limits)
    return [_told(rows, limits, at, factor=factor, seen=seen) for at, factor in enumerate(factors.tolist())]


def _told(rows: Rows, limits: Limits, at: int, *, factor: float, seen: Exceedance) -> str:
    if not math.isnan(factor):
        return f"the slow end is at most {words.times(math.ceil(100.0 * factor - 1e-9) / 100.0)} the baseline's"
    if not rows.exposed[at, EXPECTED].any():
        return "the slow end was not measured"
    if limits.bounds.shape[1] < 2:
        return "p99 could not be told: there is a single latency bound"
    if seen.usable[at] or not seen.enough[at]:
        return f"the slow end could not be told on {words.count(float(rows.exposed[at, CANARY].sum()))} latencies of the canary"
    return f"p99 could not be told: {_where(rows, limits, at)}"


def _where(rows: Rows, limits: Limits, at: int) -> str:
    """In which bucket the baseline's p99 lies, and how many of its requests with it."""
    bounds, counts = limits.bounds[at], rows.exposed[[at], EXPECTED, : limits.bounds.shape[1] + 1]
    place = int(buckets.place_of(buckets.distribution(counts), 1.0 - WANTED_EXCEEDANCE)[0])
    share = float(counts[0, place] / counts.sum())
    lower, upper = [0.0, *bounds.tolist(), math.inf][place : place + 2]
    many = f"all{f' but {words.percent(1.0 - share)}' if share < 1.0 else ''}" if share > NEARLY_ALL else words.percent(share)
    if math.isinf(upper):
        return f"{many} of the requests take longer than {words.milliseconds(lower)}"
    return f"{many} of the requests lie between {words.milliseconds(lower).removesuffix(' ms')} and {words.milliseconds(upper)}"
