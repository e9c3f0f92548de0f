"""The mean latency: an anytime t-test on the log ratio of each tick's means, for what coarse buckets cannot see.

A histogram's sum and count give the mean exactly, whatever its bounds. The test is Student's with a normal prior on the
standardised effect (Lindon, Ham, Tingley and Bojinov 2022; unknown variance, so over-dispersion between independent ticks is
harmless). It is asymptotic, and a martingale in its own filtration only, which is why it weighs little. It starts anew every tenth
of the horizon.

The logarithm of the smaller arm's mean lies lower: by the delta method the log ratio of alike arms is half its variance times
(2 f - 1) on average, where f is the canary's share. Where that speaks against the canary (f above a half) it is taken off.
"""

from typing import Final

import numpy as np

from analyzers.intake import Tick
from analyzers.layout import B_LAT, B_SUM, C_LAT, MEAN_STARTS, STARTED, Array, Rows
from analyzers.terms import Limits

PRIOR_TICKS: Final = 3.0
"""phi0: larger favours smaller effects."""
MIN_REQUESTS: Final = 10.0
"""Canary requests that a mean needs to be near normal. Ticks with fewer are merged until there are as many."""
MIN_BASELINE: Final = 30.0
"""The same of the baseline, whose error would speak against the canary."""
WEIGHTS: Final[Array] = np.array([0.8, *([0.2 / (MEAN_STARTS - 1)] * (MEAN_STARTS - 1))])
_LARGEST_LOG: Final = 575.0


def log_t_value(number: Array, total: Array, squares: Array) -> Array:
    """Log e-value of the one-sided anytime t-test for a positive mean; 0 below two observations."""
    safe = np.maximum(number, 1.0)
    shrink = PRIOR_TICKS / (PRIOR_TICKS + safe)
    lift = np.maximum(total, 0.0) ** 2 / safe
    scale = np.maximum(squares, lift)
    rest = scale - (1.0 - shrink) * lift
    grown = np.where(rest > 0.0, scale, 1.0) / np.where(rest > 0.0, rest, 1.0)
    value: Array = np.where(number >= 2.0, 0.5 * np.log(shrink) + 0.5 * safe * np.log(grown), 0.0)
    return np.minimum(value, _LARGEST_LOG)


def fold(rows: Rows, limits: Limits, tick: Tick) -> Array:
    """Fold one tick's means and return the evidence (releases,).

    Which ticks are merged depends on the numbers of requests only, never on their latencies, so that merging favours neither arm.
    Call after the memories (the running baseline mean) and before the bank (which counts the tick as started). The distance to the
    tolerance is kept in units of the running baseline mean, not as a logarithm, whose bias would promote at the tolerance.
    """
    usable = tick.timed & np.isfinite(tick.c_sum) & np.isfinite(tick.b_sum)
    news = np.stack([tick.c_sum, tick.c.sum(1), tick.b_sum, tick.b.sum(1)], axis=-1)
    rows.mean_wait += np.where(usable[:, None], news, 0.0)
    c_sum, canary, b_sum, baseline = rows.mean_wait.T
    known = usable & (canary >= MIN_REQUESTS) & (baseline >= MIN_BASELINE)
    if known.any():
        c_mean = np.where(known, c_sum, 1.0) / np.where(known, canary, 1.0)
        b_mean = np.where(known, b_sum, 1.0) / np.where(known, baseline, 1.0)
        ratio = np.log(c_mean / b_mean)
        begun = rows.head[:, STARTED, None] * MEAN_STARTS >= np.arange(MEAN_STARTS) * limits.horizon[:, None]
        counted = (begun & known[:, None]).astype(np.float64)
        for column, values in enumerate((known, ratio, ratio * ratio)):
            rows.mean[:, :, column] += counted * values[:, None]
        running = rows.counts[:, 0, B_SUM] / np.maximum(rows.counts[:, 0, B_LAT], 1.0)
        room = (limits.typical * b_mean - c_mean) / np.where(known, running, 1.0)
        for column, values in enumerate((known, room * known, room * room * known)):
            rows.safe_mean[:, column] += values
        rows.mean_wait[known] = 0.0
    number, total, squares = rows.mean[:, :, 0], rows.mean[:, :, 1], rows.mean[:, :, 2]
    canary, baseline = rows.counts[:, 0, C_LAT], rows.counts[:, 0, B_LAT]
    if (canary > baseline).any():
        lean = np.maximum(canary - baseline, 0.0) / np.maximum(canary + baseline, 1.0)
        total = total - 0.5 * lean[:, None] * squares
    evidence: Array = (np.exp(log_t_value(number, total, squares)) * WEIGHTS).sum(-1)
    return evidence
