"""What was seen so far, at four lengths of memory, for estimates of harm (never for evidence).

Since the start, and fading with a mean age of 2, 8 and 32 ticks: a regression that begins late would drown in totals. An estimate
uses the memory in which the harm stands out most from chance (``clearest``).
"""

from typing import Final

import numpy as np

from analyzers.intake import Tick
from analyzers.layout import (
    B_DEN,
    B_ERR,
    B_LAT,
    B_REQ,
    B_SUM,
    BOUNDS_MARK,
    C_DEN,
    C_ERR,
    C_LAT,
    C_REQ,
    C_SUM,
    COUNT_COLUMNS,
    LATENCY_TICKS,
    Array,
    Rows,
)
from analyzers.legs import rank
from analyzers.terms import Limits

KEEP: Final[Array] = np.array([1.0, 0.5, 0.875, 0.96875])
_HANDICAP: Final[Array] = np.array([0.0, 2.0, 2.0, 2.0])
"""Standard deviations by which a fading memory must stand out more than the totals to be believed."""
STAND_OUT: Final[Array] = np.sqrt(np.array([1.0, 1.5, 1.875, 1.96875]))
"""A fading sum varies less than its size says: by 1/(1 + keep)."""


def fold(rows: Rows, limits: Limits, tick: Tick) -> Array:
    """Fold one tick into the memories; returns the pooled histogram (releases, J) since the start, this tick included."""
    size = tick.c.shape[1]
    mark = rows.head[:, BOUNDS_MARK]
    changed = (mark != limits.bounds_mark) & (tick.timed | ((mark != 0.0) & (limits.bounds_mark != 0.0)))
    if changed.any():
        rows.hist[changed] = 0.0
        rows.exposed[changed] = 0.0
        rows.head[changed, BOUNDS_MARK] = limits.bounds_mark[changed]
    canary, baseline = tick.c.sum(1), tick.b.sum(1)
    known = np.isfinite(tick.c_sum) & np.isfinite(tick.b_sum) & tick.timed
    new = np.empty((len(known), COUNT_COLUMNS))
    for column, values in (
        (C_ERR, tick.c_err),
        (B_ERR, tick.b_err),
        (C_REQ, tick.c_req),
        (B_REQ, tick.b_req),
        (C_DEN, tick.c_den),
        (B_DEN, tick.b_den),
        (C_SUM, np.where(known, tick.c_sum, 0.0)),
        (B_SUM, np.where(known, tick.b_sum, 0.0)),
        (C_LAT, canary * known),
        (B_LAT, baseline * known),
    ):
        new[:, column] = values
    fading = np.where(tick.seen[:, None], KEEP, 1.0)
    rows.counts *= fading[:, :, None]
    rows.counts += new[:, None, :]
    fading = np.where(tick.timed[:, None], KEEP, 1.0)
    rows.hist[..., :size] *= fading[:, :, None, None]
    rows.hist[:, :, 0, :size] += tick.c[:, None, :]
    rows.hist[:, :, 1, :size] += tick.b[:, None, :]
    rows.head[:, LATENCY_TICKS] += tick.timed
    pooled: Array = rows.hist[:, 0, :, :size].sum(1)
    return pooled


def fold_ranks(rows: Rows, tick: Tick, *, score: Array, pooled: Array) -> tuple[Array, Array]:
    """Fold the tick's Mann-Whitney statistic; returns (shift, variance) of the tick, 0 if unknown.

    Ticks are strata, weighted by their precision (van Elteren 1960).

    Args:
        score: (releases,), sum of the canary's pooled mid-ranks.
        pooled: (releases, J), the tick's pooled histogram.
    """
    canary, baseline = tick.c.sum(1), tick.b.sum(1)
    variance = rank.null_variance(pooled, canary, baseline)
    usable = variance > 0.0
    precision = np.where(usable, 1.0 / np.where(usable, variance, 1.0), 0.0)
    shift = np.where(usable, score * (canary + baseline) / np.maximum(canary * baseline, 1.0), 0.0)
    rows.ranks *= np.where(tick.timed[:, None], KEEP, 1.0)[:, :, None]
    rows.ranks[:, :, 0] += (precision * shift)[:, None]
    rows.ranks[:, :, 1] += precision[:, None]
    return shift, variance


def error_deviation(counts: Array, columns: tuple[int, int] = (C_ERR, B_ERR)) -> Array:
    """How many standard deviations the canary's failures stand above its share of them, per memory (releases, scales)."""
    canary, baseline = counts[:, :, columns[0]], counts[:, :, columns[1]]
    share = counts[:, :, C_REQ] / np.maximum(counts[:, :, C_REQ] + counts[:, :, B_REQ], 1e-9)
    total = canary + baseline
    deviation = (canary - total * share) / np.sqrt(np.maximum(total * share * (1.0 - share), 1e-9))
    return deviation * STAND_OUT


def rank_deviation(ranks: Array) -> Array:
    """The same for the Mann-Whitney statistic (releases, scales)."""
    deviation: Array = ranks[:, :, 0] / np.sqrt(np.maximum(ranks[:, :, 1], 1e-9)) * STAND_OUT
    return deviation


def lengths(ticks: Array) -> Array:
    """So many ticks (releases, scales) say as much as a memory does of a watch of ``ticks`` ticks (releases,)."""
    kept = KEEP ** ticks[:, None]
    size = np.where(KEEP < 1.0, (1.0 - kept) / np.where(KEEP < 1.0, 1.0 - KEEP, 1.0), ticks[:, None])
    effective: Array = size * STAND_OUT**2
    return effective


def clearest(values: Array, deviation: Array) -> Array:
    """Of ``values`` (releases, scales, ...), those of the scale with the largest deviation (releases, ...).

    A fading memory must beat the totals clearly: the largest of several deviations is large by chance alone.
    """
    chosen: Array = values[np.arange(len(values)), (deviation - _HANDICAP).argmax(-1)]
    return chosen
