"""The smallest regression that would have been rolled back by now: what the silence of a watch is worth.

The judge's own e-processes are evaluated at the counts that a canary worse by so much would be expected to have brought (so that
about half of such canaries would have been taken back), over the traffic that there was. Words beside a decision, never part of it.
"""

from typing import Final

import numpy as np

from analyzers import bank, buckets, combine, words
from analyzers.layout import B_ERR, B_REQ, C_REQ, Array, Rows
from analyzers.legs import mean, rank, ratio
from analyzers.promotion import rank_fits
from analyzers.terms import Limits

_FACTORS: Final[Array] = np.geomspace(1.005, 16.0, 160)
_CANDIDATES: Final = 160
_LOG_CAP: Final = 575.0


def _first(candidates: Array, evidence: Array, wanted: float) -> float | None:
    """The smallest candidate whose evidence reaches ``wanted``."""
    reached = np.flatnonzero(evidence >= wanted)
    return float(candidates[reached[0]]) if len(reached) else None


def _wanted(limits: Limits, *, latency: bool) -> float:
    """The evidence that one side must bring when the other side says nothing (is worth 1)."""
    own = combine.LATENCY_WEIGHT if latency else combine.EVENTS_WEIGHT
    other = combine.EVENTS_WEIGHT if latency else combine.LATENCY_WEIGHT
    if limits.split[0] == 0.0:
        own, other = 0.5, 0.5
    else:
        own += combine.BOTH_WEIGHT
    return float((limits.boundary[0] - other) / own)


def error_rate(rows: Rows, limits: Limits) -> float | None:
    """The smallest failed share of the canary, beyond the policy's limits, that would have been rolled back; null if none would.

    Args:
        rows, limits: one release, as a batch of one.
    """
    totals = rows.counts[0, 0]
    canary, baseline = float(totals[C_REQ]), float(totals[B_REQ])
    if canary <= 0.0 or baseline <= 0.0:
        return None
    base = max(float(totals[B_ERR]), 0.5) / baseline
    allowed = max(float(limits.max_rate[0]), base + float(limits.above_baseline[0]))
    if base >= 1.0 or allowed >= 1.0:
        return None
    rates = np.geomspace(base, 1.0, _CANDIDATES)
    every = np.ones(_CANDIDATES)
    log_e = ratio.log_e(rates * canary, base * baseline * every, canary * every, baseline * every)
    evidence = bank.FIRST_WEIGHT * (np.exp(np.minimum(log_e, _LOG_CAP)) * ratio.PRIOR).sum(-1)
    found = _first(rates, evidence, _wanted(limits, latency=False))
    return None if found is None else max(found, allowed)


def typical_factor(rows: Rows, limits: Limits) -> float | None:
    """The smallest factor of typical latency, beyond the policy's, that would have been rolled back; null if none would.

    By the ranks where the buckets resolve the median (their sum is near normal), else by the means.

    Args:
        rows, limits: one release, as a batch of one.
    """
    by_rank = limits.bounds.shape[1] > 0 and bool(rank_fits(rows, limits)[0])
    evidence = _by_rank(rows, limits) if by_rank else _by_mean(rows)
    found = _first(_FACTORS, bank.FIRST_WEIGHT * evidence, _wanted(limits, latency=True))
    return None if found is None else max(found, float(limits.typical[0]))


def _by_rank(rows: Rows, limits: Limits) -> Array:
    hist = rows.hist[0, 0, :, : limits.bounds.shape[1] + 1]
    canary, baseline = float(hist[0].sum()), float(hist[1].sum())
    size = len(_FACTORS)
    counts = np.repeat(hist[1:], size, axis=0)
    edges = np.repeat(buckets.log_edges(limits.bounds), size, axis=0)
    shift = buckets.slower_probability(buckets.slowed(counts, edges, np.log(_FACTORS)), counts) - 0.5
    weight = canary * baseline / (canary + baseline)
    drift, variance = shift * weight, weight * weight / float(rows.ranks[0, 0, 1])
    log_e = rank.TILTS * drift[:, None] - 0.5 * rank.TILTS**2 * variance
    evidence: Array = combine.RANK_WEIGHT * (np.exp(np.minimum(log_e, _LOG_CAP)) * rank.PRIOR).sum(-1)
    return evidence


def _by_mean(rows: Rows) -> Array:
    number, total, squares = (float(value) for value in rows.mean[0, 0])
    spread = max(squares / max(number, 1.0) - (total / max(number, 1.0)) ** 2, 0.0)
    ticks, effect = np.full(len(_FACTORS), number), np.log(_FACTORS)
    log_e = mean.log_t_value(ticks, ticks * effect, ticks * (effect**2 + spread))
    evidence: Array = combine.MEAN_WEIGHT * np.exp(log_e)
    return evidence


def sentence(rows: Rows, limits: Limits) -> str:
    """What would have been rolled back by now, in words."""
    rate, factor = error_rate(rows, limits), typical_factor(rows, limits)
    found = [] if rate is None else [f"an error rate of about {words.percent(rate)}"]
    if factor is not None:
        found.append(f"a typical latency of about {words.times(factor)} the baseline's")
    if not found:
        return "no regression could have been seen by now"
    return f"{' or '.join(found)} would have been seen by now"
