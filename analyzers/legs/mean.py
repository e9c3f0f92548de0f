"""The mean latency: anytime t-tests on each tick's means, for what coarse buckets cannot see.

A histogram's sum and count give the mean exactly, whatever its bounds. The test is Student's with a normal prior on the
standardised effect (Lindon, Ham, Tingley and Bojinov 2022; unknown variance, so over-dispersion between independent ticks is
harmless). It is asymptotic, and a martingale in its own filtration only, which is why it has a part only where the median's bucket
holds half of the requests. It starts anew every tenth of the horizon. Two numbers are tested: the log ratio of the means, and how
far the canary's lies beyond what is tolerated, in units of the baseline's.

The logarithm of the smaller arm's mean lies lower: by the delta method the log ratio of alike arms is half its variance times (2 f
- 1) on average, where f is the canary's share. Where that speaks against the canary (f above a half) it is taken off.
"""

from typing import Final

import numpy as np

from analyzers.arrays import Array
from analyzers.evidence import LARGEST, LATE_DISCOUNT, START_WEIGHTS, Standing, lent
from analyzers.intake import Tick
from analyzers.layout import B_LAT, C_LAT, C_SUM, MEAN_STARTS, TICK, Rows
from analyzers.legs.table import LEGS, TYPICAL
from analyzers.look import Look
from analyzers.terms import Limits

PRIOR_TICKS: Final = 3.0
"""phi0: larger favours smaller effects."""
MIN_REQUESTS: Final = 10.0
"""Canary requests that a mean needs to be near normal. Ticks with fewer are merged until there are as many."""
MIN_BASELINE: Final = 30.0
"""The same of the baseline, whose error would speak against the canary."""
SHARE: Final = 0.1
"""Of the evidence that the canary is worse at all; the ranks have the rest."""
RATIO, BEYOND = 0, 1
_STARTS: Final = np.arange(MEAN_STARTS)


def log_t_value(number: Array, total: Array, squares: Array) -> Array:
    """Log e-value of the one-sided anytime t-test for a positive mean; 0 below two observations."""
    safe = np.maximum(number, 1.0)
    shrink = PRIOR_TICKS / (PRIOR_TICKS + safe)
    lift = np.maximum(total, 0.0) ** 2 / safe
    scale = np.maximum(squares, lift)
    rest = scale - (1.0 - shrink) * lift
    grown = np.where(rest > 0.0, scale, 1.0) / np.where(rest > 0.0, rest, 1.0)
    value: Array = np.where(number >= 2.0, 0.5 * np.log(shrink) + 0.5 * safe * np.log(grown), 0.0)
    return np.minimum(value, LARGEST)


def counted(tick: Tick, look: Look) -> Array:
    """Sums in ms of canary and baseline, and the numbers of requests behind them (releases, 4); 0 where a sum is not known."""
    known = tick.timed & np.isfinite(tick.c_sum + tick.b_sum)
    return np.where(known, (tick.c_sum, tick.b_sum, look.canary, look.baseline), 0.0).T


def fold(rows: Rows, limits: Limits, allowed: Array, news: Array) -> Array:
    """Fold what one tick ``counted``; returns how far the canary's mean lies beyond ``allowed`` (releases,), 0 if unknown.

    Which ticks are merged depends on the numbers of requests only, never on their latencies, so that merging favours neither arm.
    Call before the memories and the evidence are folded. The distance is kept in units of the running baseline mean, not as a
    logarithm, whose bias would speak for the canary.
    """
    rows.mean_wait += news
    known = (news[:, 2] > 0.0) & (rows.mean_wait[:, 2:] >= (MIN_REQUESTS, MIN_BASELINE)).all(1)
    if not known.any():
        return np.zeros(len(known))
    sums, numbers = np.where(known, rows.mean_wait.T, 1.0).reshape(2, 2, -1)
    c_mean, b_mean = sums / numbers
    _, total, _, counted = np.where(known, (rows.counts[:, C_SUM:] + news).T, 1.0)
    running = total / np.maximum(counted, 1.0)
    ratio = np.log(c_mean / b_mean)
    beyond = np.where(known, (c_mean - allowed * b_mean) / running, 0.0)
    begun = (rows.head[:, TICK, None] >= _STARTS * limits.horizon[:, None] / MEAN_STARTS) & known[:, None]
    weight = limits.later * limits.horizon / MEAN_STARTS * np.where(rows.grown[:, TYPICAL] >= 0.0, LATE_DISCOUNT, 1.0)
    fresh = begun & (rows.mean[:, BEYOND, :, 0] <= 0.0)
    rows.mean_weight[:] = np.where(fresh, weight[:, None], rows.mean_weight)
    one = np.ones_like(ratio)
    moments = np.array(((one, one), (ratio, beyond), (ratio * ratio, beyond * beyond))).T
    rows.mean += moments[:, :, None] * begun[:, None, :, None]
    room = np.where(known, (limits.typical * b_mean - c_mean) / running, 0.0)
    rows.safe_mean += np.array((known, room, room * room)).T
    rows.mean_wait *= ~known[:, None]
    return beyond


def join(standing: Standing, rows: Rows, by_mean: Array) -> None:
    """Let the means speak for typical latency where ``by_mean`` (releases,) says that the ranks cannot."""
    at = np.flatnonzero(by_mean)
    if not len(at):
        return
    number, total, squares = np.moveaxis(rows.mean[at], -1, 0)
    canary, baseline = rows.counts[at, C_LAT], rows.counts[at, B_LAT]
    lean = np.maximum(canary - baseline, 0.0) / np.maximum(canary + baseline, 1.0)
    total[:, RATIO] -= 0.5 * lean[:, None] * squares[:, RATIO]
    values = np.where(number > 0.0, np.exp(log_t_value(number, total, squares)), 0.0)
    later = np.stack([values[:, RATIO, 1:].mean(1), (values[:, BEYOND, 1:] * rows.mean_weight[at, 1:]).sum(1)], axis=1)
    first = np.where(number[:, :, 0] > 0.0, values[:, :, 0], 1.0)
    log_mean = np.log(np.stack([first, later], axis=-1))
    weights = np.log(LEGS[TYPICAL].share) + np.log(START_WEIGHTS)
    ranks = standing.worse[at, TYPICAL] + np.log(1.0 - SHARE)
    weights = weights + lent(rows)[at, TYPICAL, None]
    standing.worse[at, TYPICAL] = np.logaddexp(ranks, log_mean[:, RATIO] + weights + np.log(SHARE))
    standing.beyond[at, TYPICAL] = log_mean[:, BEYOND]
