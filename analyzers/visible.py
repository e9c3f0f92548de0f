"""The smallest regression that would have been rolled back by now: what the silence of a watch is worth.

The judge's own e-processes are evaluated at the counts that a canary worse by so much would be expected to have brought (so that
about half of such canaries would have been taken back), over the traffic that there was. Words beside a decision, never part of it.
Rows and limits are one release, as a batch of one.
"""

from typing import Final

import numpy as np

from analyzers import buckets, words
from analyzers.arrays import Array
from analyzers.evidence import LARGEST, START_WEIGHTS
from analyzers.layout import B_ERR, B_REQ, C_REQ, CANARY, ONE_BUCKET, PRECISION, Rows
from analyzers.legs import events, mean, typical
from analyzers.legs.table import ERRORS, LEGS, TYPICAL
from analyzers.terms import Limits
from analyzers.tolerated import Passing

_CANDIDATES: Final = 160
_FACTORS: Final[Array] = np.geomspace(1.005, 16.0, _CANDIDATES)


def _mixed(log_values: Array, prior: Array) -> Array:
    """Logarithms of the banks (candidates,) from those of their alternatives (candidates, alternatives)."""
    mixed: Array = np.log((np.exp(np.minimum(log_values, LARGEST)) * prior).sum(-1))
    return mixed


def _smallest(candidates: Array, limits: Limits, leg: int, worse: Array, beyond: Array) -> float | None:
    """The smallest candidate that its evidence since the start convicts; null for none."""
    weighted = worse + np.log(LEGS[leg].share * START_WEIGHTS[0])
    convicted = np.flatnonzero((weighted >= np.log(limits.boundary[0])) & (beyond >= np.log(limits.beyond[0])))
    return float(candidates[convicted[0]]) if len(convicted) else None


def error_rate(rows: Rows, limits: Limits) -> float | None:
    """The smallest failed share of the canary that would have been rolled back; null if none would."""
    canary, baseline, failed = rows.counts[0, [C_REQ, B_REQ, B_ERR]].tolist()
    base = max(failed, 0.5) / max(baseline, 0.5)  # 1 where it served nothing
    if canary <= 0.0 or base >= 1.0:
        return None
    rates, every = np.geomspace(base, 1.0, _CANDIDATES), np.ones(_CANDIDATES)
    arms = (rates * canary, canary * every), (base * baseline * every, baseline * every)
    beyond = [
        _mixed(events.log_e(*arms, events.BEYOND, factor=factor, above=above[:, None]), events.BEYOND_PRIOR)
        for factor, above in ((0.0, limits.max_rate[0] * every), (1.0, limits.above_baseline[0] * every))
    ]
    worse = _mixed(events.log_e(*arms, events.RATIOS), events.PRIOR)
    return _smallest(rates, limits, ERRORS, worse, np.minimum(*beyond))


def typical_factor(rows: Rows, limits: Limits) -> float | None:
    """The smallest factor of typical latency that would have been rolled back; null if none would.

    By the ranks (their sum is near normal), or by the means where one bucket holds half of the requests.
    """
    by_mean = rows.head[0, ONE_BUCKET] > 0.0 or rows.shown[0, PRECISION] <= 0.0
    allowed = limits.typical * np.exp(2.0 * limits.wander)
    return _smallest(_FACTORS, limits, TYPICAL, *(_by_mean(rows, allowed) if by_mean else _by_rank(rows, limits, allowed)))


def _by_rank(rows: Rows, limits: Limits, allowed: Array) -> tuple[Array, Array]:
    hist = rows.baseline[:, : limits.bounds.shape[1] + 1]
    canary, baseline = float(rows.exposed[0, CANARY].sum()), float(hist.sum())
    counts, edges = (np.repeat(one, _CANDIDATES, axis=0) for one in (hist, buckets.log_edges(limits.bounds)))
    slowed = buckets.slowed(counts, edges, np.log(_FACTORS))
    weight = canary * baseline / (canary + baseline)
    variance = weight * weight / float(rows.shown[0, PRECISION])
    tolerated = Passing(hist, limits.bounds, allowed).slowed(hist)
    found = []
    for against, tilts, prior in ((hist, typical.TILTS, typical.PRIOR), (tolerated, typical.BEYOND, typical.BEYOND_PRIOR)):
        drift = weight * (buckets.slower_probability(slowed, against) - 0.5)
        found.append(_mixed(tilts * drift[:, None] - 0.5 * tilts**2 * variance, prior))
    return found[0], found[1]


def _by_mean(rows: Rows, allowed: Array) -> tuple[Array, Array]:
    found = []
    for which, effect in ((mean.RATIO, np.log(_FACTORS)), (mean.BEYOND, _FACTORS - allowed)):
        number, total, squares = rows.mean[0, which, 0].tolist()
        spread = max(squares / max(number, 1.0) - (total / max(number, 1.0)) ** 2, 0.0)
        ticks = np.full(_CANDIDATES, number)
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
