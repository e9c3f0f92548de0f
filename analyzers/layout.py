"""How a release's evidence is laid out in memory: one flat row of float64, the same width for every release.

Call overhead, not arithmetic, is the cost of judging, so that all releases due at a tick are judged as one two-dimensional
array. The row is the whole additive state; copying it is saving it. Its width does not depend on a release's histogram
bounds (they may be learnt late in a watch): histograms are padded to ``MAX_BUCKETS``.
"""

import math
from typing import Annotated, get_type_hints

import numpy as np

from analyzers.arrays import Array, Mask
from analyzers.counts import MAX_BUCKETS
from analyzers.legs.table import LEGS

__all__ = ["MAX_BUCKETS", "WIDTH", "Array", "Mask", "Rows", "blank"]

ALTERNATIVES = sum(len(leg.worse) + sum(map(len, leg.beyond)) for leg in LEGS)
MEAN_STARTS = 10
COUNT_COLUMNS = 12
BASELINE_RING = 60
CANARY_RING = 30
BLOCKS = 3
RATE_BETS = 16
NOT_BEGUN = -1e6
"""Logarithm of what is worth nothing, and finite."""

# Columns of ``head``; the last four: one bucket holds half of the baseline, canary requests since the baseline's last one, whether
# evidence was ever taken without a baseline arm, and what all evidence was worth when the first request went unanswered (0: none
# has yet).
TICK, SEEN, BOUNDS_MARK, ONE_BUCKET, LONELY, ALONE, LENT = range(7)

# Columns of ``period``.
CUSUM, LOOKS, GREW, SINCE = range(4)

# Columns of ``counts`` and ``recent``: canary and baseline errors, requests, denials; errors and denials of the canary had it been
# the baseline; sums and counts behind the means.
C_ERR, B_ERR, C_REQ, B_REQ, C_DEN, B_DEN, E_ERR, E_DEN, C_SUM, B_SUM, C_LAT, B_LAT = range(COUNT_COLUMNS)

# Columns of ``answers``: unanswered requests of canary and baseline, and of the canary had it been the baseline, among so many; and
# requests of both of which it is not told how they ended.
C_UNA, B_UNA, E_UNA, ASKED, C_UNC, B_UNC = range(6)

# Rows of ``exposed`` and, but for the last, of ``recent_slow``.
CANARY, EXPECTED, TOLERATED, EXPECTED_VARIANCE = range(4)

# Columns of ``shown``: the canary's requests while a baseline was there, and the failures expected among them at the baseline's
# rate of each tick; the ranks' precision, and precision times shift; ticks with latency.
EXPOSED, ERRORS_EXPECTED, PRECISION, SHIFT, TIMED_TICKS = range(5)

# Columns of ``traffic``: the canary's requests, and what the route's weight gives it; the fewest and the most that the policy
# allows, each with its variance.
CAME, GIVEN, FEWEST, FEWEST_VARIANCE, MOST, MOST_VARIANCE = range(6)


class Rows:
    """Named views into a batch of rows, shape (releases, ``WIDTH``). Writing to a view writes to the batch.

    A view's shape without the releases is that of its annotation.

    Attributes:
        head: counters of one number each, see the column names of this module.
        logs: logarithms of every alternative's e-process: begun at tick 0, and the sum of those begun later.
        grown: per leg, logarithm of the weighted evidence since tick 0 that the canary is worse at all.
        period: per leg, since when and in how many ticks its evidence against what is tolerated has been growing.
        mean: of the log ratio of the means and of the mean's distance beyond its tolerance, per start: number, sum, sum of squares.
        mean_weight: of the starts of the latter.
        safe_mean: the same three of the mean's distance within its tolerance, for promotion.
        mean_wait: latency not yet enough for a mean: the canary's sum in ms and number, the baseline's sum in ms and number.
        counts: totals since the start.
        recent, recent_ranks: the same and the Mann-Whitney statistic (over its variance, and the inverse of that) over each leg's
            own period.
        baseline: the baseline's histogram since the start. history: both arms', fading.
        recent_slow: the first three of ``exposed`` over the slow end's period.
        baseline_ring, canary_ring: errors and requests of the last ticks, for the guard against bursts.
        baseline_gone_ring, canary_gone_ring: the same of unanswered requests.
        blocks: per block length, what the guard of latency dispersion needs.
        exposed: histograms since the start: the canary's; at its exposure, tick by tick, the baseline's (sum of m B / n) and the
            tolerated one; variance of the baseline's (sum of (m / n)^2 B).
        error_bets: log e-values against "beyond the tolerated error rate", one per alternative, for promotion.
        answer_bets: the same of unanswered requests.
        answers: totals since the start, see the column names of this module.
        shown: sums since the start, for promotion; traffic: for the guard of the share. See the column names of this module.
    """

    raw: Array
    head: Annotated[Array, (7,)]
    logs: Annotated[Array, (2, ALTERNATIVES)]
    grown: Annotated[Array, (len(LEGS),)]
    period: Annotated[Array, (len(LEGS), 4)]
    mean: Annotated[Array, (2, MEAN_STARTS, 3)]
    mean_weight: Annotated[Array, (MEAN_STARTS,)]
    safe_mean: Annotated[Array, (3,)]
    mean_wait: Annotated[Array, (4,)]
    counts: Annotated[Array, (COUNT_COLUMNS,)]
    recent: Annotated[Array, (COUNT_COLUMNS,)]
    recent_ranks: Annotated[Array, (2,)]
    baseline: Annotated[Array, (MAX_BUCKETS,)]
    history: Annotated[Array, (2, MAX_BUCKETS)]
    recent_slow: Annotated[Array, (3, MAX_BUCKETS)]
    baseline_ring: Annotated[Array, (BASELINE_RING, 2)]
    canary_ring: Annotated[Array, (CANARY_RING, 2)]
    baseline_gone_ring: Annotated[Array, (BASELINE_RING, 2)]
    canary_gone_ring: Annotated[Array, (CANARY_RING, 2)]
    blocks: Annotated[Array, (BLOCKS, 7)]
    exposed: Annotated[Array, (4, MAX_BUCKETS)]
    error_bets: Annotated[Array, (RATE_BETS,)]
    answer_bets: Annotated[Array, (RATE_BETS,)]
    answers: Annotated[Array, (6,)]
    shown: Annotated[Array, (5,)]
    traffic: Annotated[Array, (6,)]

    def __init__(self, raw: Array) -> None:
        """Wrap ``raw`` without copying it."""
        self.raw = raw
        for name, place, shape in _PLACES:
            part = raw[:, place]
            setattr(self, name, part if shape is None else part.reshape(len(raw), *shape))


def _places() -> tuple[list[tuple[str, slice, tuple[int, ...] | None]], int]:
    places, at = [], 0
    for name, kind in get_type_hints(Rows, include_extras=True).items():
        for shape in getattr(kind, "__metadata__", ()):
            size = math.prod(shape)
            places.append((name, slice(at, at + size), shape if len(shape) > 1 else None))
            at += size
    return places, at


_PLACES, WIDTH = _places()


def blank() -> Array:
    """The row of a release that has seen nothing: every e-process is worth 1, and none has begun later."""
    rows = Rows(np.zeros((1, WIDTH)))
    rows.logs[:, 1] = NOT_BEGUN
    rows.grown[:] = NOT_BEGUN
    return rows.raw.reshape(WIDTH)
