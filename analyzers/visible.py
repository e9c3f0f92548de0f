"""The smallest regression that would have been rolled back by now: what the silence of a watch is worth.

The judge's own e-processes are evaluated at the counts that a canary worse by so much would be expected to have brought (so that
about half of such canaries would have been taken back), over the traffic that there was. Words beside a decision, never part of it.
"""

from typing import Final

import numpy as np

from analyzers import buckets, words
from analyzers.arrays import Array, Mask
from analyzers.evidence import START_WEIGHTS
from analyzers.layout import B_ERR, B_REQ, C_REQ, CANARY, ONE_BUCKET, PRECISION, Rows
from analyzers.legs import events, mean, typical
from analyzers.legs.table import ERRORS, LEGS, TYPICAL
from analyzers.terms import Limits
from analyzers.tolerated import Passing

_FACTORS: Final[Array] = np.geomspace(1.005, 16.0, 160)
_CANDIDATES: Final = 160
_LOG_CAP: Final = 575.0


def _mixed(log_values: Array, prior: Array) -> Array:
    """Logarithms of the banks (candidates,) from those of their alternatives (candidates, alternatives)."""
    mixed: Array = np.log((np.exp(np.minimum(log_values, _LOG_CAP)) * prior).sum(-1))
    return mixed


def _convicted(limits: Limits, leg: int, worse: Array, beyond: Array) -> Mask:
    """Whether evidence since the start (candidates,) convicts."""
    weighted = worse + np.log(LEGS[leg].share * START_WEIGHTS[0])
    convicted: Mask = (weighted >= np.log(limits.boundary[0])) & (beyond >= np.log(limits.beyond[0]))
    return convicted


def _first(candidates: Array, convicted: Mask) -> float | None:
    """The smallest candidate that is convicted."""
    found = np.flatnonzero(convicted)
    return float(candidates[found[0]]) if len(found) else None


def error_rate(rows: Rows, limits: Limits) -> float | None:
    """The smallest failed share of the canary that would have been rolled back; null if none would.

    Args:
        rows, limits: one release, as a batch of one.
    """
    totals = rows.counts[0]
    canary, baseline = float(totals[C_REQ]), float(totals[B_REQ])
    if canary <= 0.0 or baseline <= 0.0:
        return None
    base = max(float(totals[B_ERR]), 0.5) / baseline
    if base >= 1.0:
        return None
    rates, every = np.geomspace(base, 1.0, _CANDIDATES), np.ones(_CANDIDATES)
    arms = (rates * canary, canary * every), (base * baseline * every, baseline * every)
    beyond = [
        _mixed(events.log_e(*arms, events.BEYOND, factor=factor, above=above[:, None]), events.BEYOND_PRIOR)
        for factor, above in ((0.0, limits.max_rate[0] * every), (1.0, limits.above_baseline[0] * every))
    ]
    worse = _mixed(events.log_e(*arms, events.RATIOS), events.PRIOR)
    return _first(rates, _convicted(limits, ERRORS, worse, np.minimum(*beyond)))


def typical_factor(rows: Rows, limits: Limits) -> float | None:
    """The smallest factor of typical latency that would have been rolled back; null if none would.

    By the ranks (their sum is near normal), or by the means where one bucket holds half of the requests.

    Args:
        rows, limits: one release, as a batch of one.
    """
    if rows.head[0, ONE_BUCKET] > 0.0 or rows.shown[0, PRECISION] <= 0.0:
        worse, beyond = _by_mean(rows, limits)
    else:
        worse, beyond = _by_rank(rows, limits)
    return _first(_FACTORS, _convicted(limits, TYPICAL, worse, beyond))


def _tolerance(limits: Limits) -> Array:
    tolerance: Array = limits.typical * np.exp(2.0 * limits.wander)
    return tolerance


def _by_rank(rows: Rows, limits: Limits) -> tuple[Array, Array]:
    hist = rows.baseline[:, : limits.bounds.shape[1] + 1]
    canary, baseline = float(rows.exposed[0, CANARY].sum()), float(hist.sum())
    counts = np.repeat(hist, len(_FACTORS), axis=0)
    edges = np.repeat(buckets.log_edges(limits.bounds), len(_FACTORS), axis=0)
    slowed = buckets.slowed(counts, edges, np.log(_FACTORS))
    weight = canary * baseline / (canary + baseline)
    variance = weight * weight / float(rows.shown[0, PRECISION])
    tolerated = Passing(hist, limits.bounds, _tolerance(limits)).slowed(hist)
    found = []
    for against, tilts, prior in (
        (counts, typical.TILTS, typical.PRIOR),
        (np.repeat(tolerated, len(_FACTORS), axis=0), typical.BEYOND, typical.BEYOND_PRIOR),
    ):
        drift = weight * (buckets.slower_probability(slowed, against) - 0.5)
        found.append(_mixed(tilts * drift[:, None] - 0.5 * tilts**2 * variance, prior))
    return found[0], found[1]


def _by_mean(rows: Rows, limits: Limits) -> tuple[Array, Array]:
    found = []
    tolerance = float(_tolerance(limits)[0])
    for which, effect in ((mean.RATIO, np.log(_FACTORS)), (mean.BEYOND, _FACTORS - tolerance)):
        number, total, squares = (float(value) for value in rows.mean[0, which, 0])
        spread = max(squares / max(number, 1.0) - (total / max(number, 1.0)) ** 2, 0.0)
        ticks = np.full(len(_FACTORS), number)
        found.append(mean.log_t_value(ticks, ticks * effect, ticks * (effect**2 + spread)))
    return found[0] + np.log(mean.SHARE), found[1]


def sentence(rows: Rows, limits: Limits) -> str:
    """What would have been rolled back by now, in words."""
    rate, factor = error_rate(rows, limits), typical_factor(rows, limits)
    found = [] if rate is None else [f"an error rate of about {words.percent(rate)}"]
    found += [] if factor is None else [f"a typical latency of about {words.times(factor)} the baseline's"]
    if not found:
        return "no regression could have been taken back by now"
    return f"from the start, {' or '.join(found)} would have been taken back by now in about half of such watches"
