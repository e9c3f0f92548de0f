"""What was seen so far: totals since the start and over each leg's own period, for certificates and sentences, and the fading
histograms from which the next tick's scores are made. Evidence never comes from totals.
"""

from typing import Final

import numpy as np

from analyzers.arrays import Array, Mask
from analyzers.intake import Tick
from analyzers.layout import BOUNDS_MARK, C_SUM, Rows
from analyzers.legs import typical
from analyzers.legs.table import DENIED, ERRORS, SLOW_END, TYPICAL
from analyzers.look import Events, Look
from analyzers.terms import Limits

KEEP: Final = 0.97
"""Of the fading histograms, a tick: about 33 ticks."""
# The period whose totals each column of ``recent`` holds: those of errors, denials, typical latency.
_OWNER: Final = np.array([ERRORS] * 2 + [ERRORS] * 2 + [DENIED] * 2 + [ERRORS, DENIED] + [TYPICAL] * 4)


def begin(rows: Rows, limits: Limits, tick: Tick) -> None:
    """Forget the histograms of releases whose bounds have changed. Call before the tick is looked at."""
    mark = rows.head[:, BOUNDS_MARK]
    changed = (mark != limits.bounds_mark) & (tick.timed | ((mark != 0.0) & (limits.bounds_mark != 0.0)))
    if changed.any():
        for histograms in (rows.baseline, rows.history, rows.tolerated, rows.recent_slow, rows.exposed):
            histograms[changed] = 0.0
        rows.head[changed, BOUNDS_MARK] = limits.bounds_mark[changed]


def fold(rows: Rows, look: Look, tick: Tick, ended: Mask) -> tuple[Array, Array]:
    """Fold one tick. A remembered baseline is compared with (``look``), but not remembered again (``tick``).

    Args:
        ended: (releases, legs), periods that begin anew after it.

    Returns:
        The tick's Mann-Whitney statistic, as a shift of the probability from a half, and its precision; 0 where unknown.
    """
    seen, size = look.tick, tick.c.shape[1]
    new = _counted(look, tick)
    rows.counts += new
    rows.recent += new
    rows.recent *= ~ended[:, _OWNER]
    canary, baseline = seen.c.sum(1), seen.b.sum(1)
    share = np.where(seen.timed, canary / np.maximum(baseline, 1.0), 0.0)[:, None]
    slow = np.empty((len(seen.c), 3, size))
    slow[:, 0], slow[:, 1], slow[:, 2] = seen.c, share * seen.b, share * look.slow_end
    rows.recent_slow[:, :, :size] += slow
    rows.recent_slow *= ~ended[:, SLOW_END, None, None]
    rows.tolerated[:, :size] += slow[:, 2] * tick.timed[:, None]
    rows.baseline[:, :size] += tick.b
    rows.history[:, :, :size] *= np.where(tick.timed, KEEP, 1.0)[:, None, None]
    rows.history[:, 0, :size] += tick.c
    rows.history[:, 1, :size] += tick.b
    return _fold_ranks(rows, look, canary, baseline, ended[:, TYPICAL])


def _counted(look: Look, tick: Tick) -> Array:
    """What a tick adds to ``counts`` (releases, columns)."""
    (_, failed), (_, denied) = look.errors, look.denied
    known = np.isfinite(tick.c_sum) & np.isfinite(tick.b_sum) & tick.timed
    columns = (
        *(tick.c_err, tick.b_err, tick.c_req, tick.b_req, tick.c_den, tick.b_den),
        _expected(failed, look.errors[0][1]),
        _expected(denied, look.denied[0][1]),
        *(tick.c_sum, tick.b_sum, tick.c.sum(1), tick.b.sum(1)),
    )
    counted = np.array(columns).T
    counted[~known, C_SUM:] = 0.0
    return counted


def _expected(baseline: Events, asked: Array) -> Array:
    """So many events would have been the canary's at the baseline's rate of the tick."""
    events, requests = baseline
    asked_of = np.where(requests > 0.0, asked, 0.0)
    return asked_of * events / np.maximum(requests, 1.0)


def _fold_ranks(rows: Rows, look: Look, canary: Array, baseline: Array, ended: Mask) -> tuple[Array, Array]:
    """Ticks are strata, weighted by their precision (van Elteren 1960)."""
    precision = typical.precision(look.pooled, canary, baseline)
    score = (look.ranks * look.tick.c).sum(1)
    shift = np.where(precision > 0.0, score * (canary + baseline) / np.maximum(canary * baseline, 1.0), 0.0)
    rows.recent_ranks += np.array((precision * shift, precision)).T
    rows.recent_ranks *= ~ended[:, None]
    return shift, precision
