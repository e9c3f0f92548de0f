"""What was seen so far: totals since the start and over each leg's own period, for certificates and sentences, and the fading
histograms from which the next tick's scores are made. Evidence never comes from totals.
"""

from typing import Final

import numpy as np

from analyzers.arrays import Array, Mask
from analyzers.intake import Tick
from analyzers.layout import BOUNDS_MARK, EXPECTED_VARIANCE, Rows
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
        for histograms in (rows.baseline, rows.history, rows.recent_slow, rows.exposed):
            histograms[changed] = 0.0
        rows.head[changed, BOUNDS_MARK] = limits.bounds_mark[changed]


def fold(rows: Rows, look: Look, tick: Tick, news: Array, ended: Mask) -> tuple[Array, Array]:
    """Fold one tick. A remembered baseline is compared with (``look``), but not remembered again (``tick``).

    Args:
        news: sums of latency (``mean.counted``).
        ended: (releases, legs), periods that begin anew after it.

    Returns:
        The tick's Mann-Whitney statistic, as a shift of the probability from a half, and its precision; 0 where unknown.
    """
    seen, size = look.tick, tick.c.shape[1]
    counted = tick.c_err, tick.b_err, tick.c_req, tick.b_req, tick.c_den, tick.b_den
    new = np.concatenate([np.array((*counted, _expected(*look.errors), _expected(*look.denied))).T, news], axis=1)
    rows.counts += new
    rows.recent += new
    rows.recent *= ~ended[:, _OWNER]
    share = (look.canary / np.maximum(look.baseline, 1.0))[:, None]
    slow = np.array((seen.c, share * seen.b, share * look.slow_end, share * share * seen.b)).transpose(1, 0, 2)
    rows.recent_slow[:, :, :size] += slow[:, :EXPECTED_VARIANCE]
    rows.recent_slow *= ~ended[:, SLOW_END, None, None]
    rows.exposed[:, :, :size] += slow * tick.timed[:, None, None]
    rows.baseline[:, :size] += tick.b
    rows.history[:, :, :size] *= np.where(tick.timed, KEEP, 1.0)[:, None, None]
    rows.history[:, 0, :size] += tick.c
    rows.history[:, 1, :size] += tick.b
    return _fold_ranks(rows, look, ended[:, TYPICAL])


def fold_answers(rows: Rows, look: Look, tick: Tick) -> None:
    """Fold one tick's requests without an answer. Call when its bets are placed, which go by the ticks before."""
    expected, asked = _expected(*look.unanswered), tick.c_req + tick.c_una
    rows.answers += np.array((tick.c_una, tick.b_una, expected, asked, tick.c_unc, tick.b_unc)).T


def _expected(canary: Events, baseline: Events) -> Array:
    """So many events would have been the canary's at the baseline's rate of the tick (releases,)."""
    return canary[1] * baseline[0] / np.maximum(baseline[1], 1.0)


def _fold_ranks(rows: Rows, look: Look, ended: Mask) -> tuple[Array, Array]:
    """Ticks are strata, weighted by their precision (van Elteren 1960)."""
    canary, baseline = look.canary, look.baseline
    precision = typical.precision(look.pooled, canary, baseline)
    score = (look.ranks * look.tick.c).sum(1)
    shift = np.where(precision > 0.0, score * (canary + baseline) / np.maximum(canary * baseline, 1.0), 0.0)
    rows.recent_ranks += np.array((precision * shift, precision)).T
    rows.recent_ranks *= ~ended[:, None]
    return shift, precision
