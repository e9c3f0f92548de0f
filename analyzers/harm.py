"""How much worse the canary is, as said beside a decision: estimates and their lower bounds, never a part of it.

Each figure is counted over one period: since the start, or since the evidence of the leg that convicts began to grow. A bound over
a period that the data chose holds for all periods that might have been chosen.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from analyzers import buckets, intervals, normal
from analyzers import layout as col
from analyzers.arrays import Array
from analyzers.layout import Rows
from analyzers.legs.mean import PRIOR_TICKS, RATIO
from analyzers.legs.table import ERRORS
from analyzers.terms import Limits

LEVEL: Final = 0.95
TUNED_REQUESTS: Final = 1000.0
"""Canary requests at which the bounds on typical latency are tightest."""
TAIL_LEVEL: Final = 0.99
CLEAR_Z: Final = 2.0
"""Standard errors of an excess that is worth saying."""


class Effects:
    """Each leg's effect since the start, NaN while unknown, computed for a whole batch when one is asked for: for metrics.

    Typical latency by the means.
    """

    __slots__ = ("_found", "_limits", "_rows")

    def __init__(self, rows: Rows, limits: Limits) -> None:
        self._rows, self._limits = rows, limits
        self._found: list[list[float]] = []

    def of(self, at: int) -> list[float]:
        """The legs' effects of one release."""
        if not self._found:
            with np.errstate(all="ignore"):
                self._found = self._now().tolist()
        return self._found[at]

    def _now(self) -> Array:
        counts = self._rows.counts
        c_req, b_req = counts[:, col.C_REQ], counts[:, col.B_REQ]
        unknown = np.full(len(counts), np.nan)
        columns = (
            counts[:, col.C_ERR] / c_req - counts[:, col.B_ERR] / b_req,
            counts[:, col.C_DEN] / (c_req + counts[:, col.C_DEN]) - counts[:, col.B_DEN] / (b_req + counts[:, col.B_DEN]),
            counts[:, col.C_SUM] / counts[:, col.C_LAT] / (counts[:, col.B_SUM] / counts[:, col.B_LAT]),
            p99_factor(self._rows, self._limits) if self._limits.bounds.shape[1] else unknown,
        )
        return np.stack(columns, axis=-1)


def p99_factor(rows: Rows, limits: Limits) -> Array:
    """Factor of the 99th percentile since the start (releases,), the baseline's at the canary's exposure; NaN without latency."""
    size, edges = len(rows.raw), buckets.log_edges(limits.bounds)
    hist = rows.exposed[:, col.CANARY : col.EXPECTED + 1, : limits.bounds.shape[1] + 1]
    both = buckets.tail_quantile(np.concatenate([hist[:, 0], hist[:, 1]]), np.concatenate([edges, edges]), TAIL_LEVEL)
    factor: Array = np.where(hist.sum(-1).min(-1) > 0.0, both[:size] / both[size:], np.nan)
    return factor


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Over which a leg's figures are counted. ``rows`` is a batch of one.

    Attributes:
        since: seconds at which it begins; null for the start of the watch.
        counts, ranks: what was seen in it. alpha: of a one-sided bound that holds for it.
        began, grew, looks: since when (s) the leg's evidence has been growing, and in how many of how many ticks.
    """

    since: float | None
    counts: Array
    ranks: Array
    alpha: float
    began: float
    grew: int
    looks: int

    @property
    def words(self) -> str:
        """As it is said."""
        return "since the start" if self.since is None else f"since {self.since:.0f} s"

    @property
    def growth(self) -> str:
        """Since when and in how many ticks."""
        if self.looks < 2:
            return "all of the evidence came in one tick"
        return f"the evidence grew since {self.began:.0f} s, in {self.grew} of {self.looks} ticks"


def period(rows: Rows, limits: Limits, leg: int, *, later: bool) -> Period:
    """Over what a leg's figures are counted: since the start, or for a conviction by a ``later`` start since it began to grow."""
    _, since, looks, grew = rows.period[0, leg].tolist()
    recent = (later or rows.head[0, col.ALONE] > 0.0) and looks > 0.0
    return Period(
        since=since if recent else None,
        counts=rows.recent[0] if recent else rows.counts[0],
        ranks=rows.recent_ranks[0] if recent else rows.shown[0, [col.SHIFT, col.PRECISION]],
        alpha=(1.0 - LEVEL) / (float(limits.horizon[0]) if recent else 1.0),
        began=since,
        grew=int(grew),
        looks=int(looks),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Events of a period: the canary's and its requests, and how many there would have been at the baseline's rate, tick by tick.

    ``least``: lower bound of the canary's rate.
    """

    events: float
    requests: float
    expected: float
    base_events: float
    base_requests: float
    least: float

    @property
    def rate(self) -> float:
        """The canary's."""
        return self.events / max(self.requests, 1.0)

    @property
    def base(self) -> float:
        """The baseline's in the same seconds, each weighted by the canary's requests."""
        return self.expected / max(self.requests, 1.0)


def rates(leg: int, over: Period) -> Rates:
    """Errors or denials of a period."""
    counts = over.counts
    mine, theirs, expected = (col.C_ERR, col.B_ERR, col.E_ERR) if leg == ERRORS else (col.C_DEN, col.B_DEN, col.E_DEN)
    denied = (0.0, 0.0) if leg == ERRORS else (float(counts[col.C_DEN]), float(counts[col.B_DEN]))
    requests = float(counts[col.C_REQ]) + denied[0]
    return Rates(
        events=float(counts[mine]),
        requests=requests,
        expected=float(counts[expected]),
        base_events=float(counts[theirs]),
        base_requests=float(counts[col.B_REQ]) + denied[1],
        least=intervals.rate(float(counts[mine]), requests, alpha=over.alpha)[0],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Slowness:
    """Typical latency of a period: its factor, with bounds where there are any; null while nothing is known of it.

    ``by_mean``: of the means, since the buckets do not resolve the median. ``probability``: that a canary request is slower.
    """

    factor: float | None
    low: float | None
    high: float | None
    by_mean: bool
    probability: float | None


def slowness(rows: Rows, limits: Limits, over: Period) -> Slowness:
    """By the shift that explains the ranks where the buckets resolve the median, else by the means."""
    size = limits.bounds.shape[1] + 1
    baseline = rows.baseline[:, :size]
    total, precision = over.ranks.tolist()
    probability = min(1.0, max(0.0, 0.5 + total / precision)) if precision > 0.0 else None
    if size == 1 or probability is None or not buckets.resolves_median(baseline)[0]:
        factor, low, high = _means(rows, over)
        return Slowness(factor=factor, low=low, high=high, by_mean=True, probability=probability)
    scale = normal.tuned(np.array([12.0 * TUNED_REQUESTS]), alpha=0.5 * over.alpha)
    half = float(normal.radius(np.array([precision]), scale=scale, alpha=over.alpha)[0]) / precision
    ends = np.clip(np.array([probability, probability - half, probability + half]), 0.0, 1.0)
    edges = np.repeat(buckets.log_edges(limits.bounds), 3, axis=0)
    factor, low, high = buckets.factor_of(ends, np.repeat(baseline, 3, axis=0), edges).tolist()
    return Slowness(factor=factor, low=low, high=high, by_mean=False, probability=probability)


def _means(rows: Rows, over: Period) -> tuple[float | None, float | None, float | None]:
    c_sum, b_sum, canary, baseline = (float(over.counts[column]) for column in (col.C_SUM, col.B_SUM, col.C_LAT, col.B_LAT))
    if canary <= 0.0 or baseline <= 0.0 or b_sum <= 0.0:
        return None, None, None
    factor = c_sum / canary / (b_sum / baseline)
    if over.since is not None:
        return factor, None, None
    number, total, squares = rows.mean[0, RATIO, 0].tolist()
    logs = intervals.log_mean(number, total, squares, alpha=over.alpha, prior=PRIOR_TICKS)
    return (factor, None, None) if logs is None else (factor, float(np.exp(logs[0])), float(np.exp(logs[1])))


@dataclass(frozen=True, slots=True, kw_only=True)
class Exceedance:
    """Parts of the requests above one bound: the canary's and its least, the baseline's, and that of one as slow as tolerated."""

    bound_ms: float
    canary: float
    least: float
    baseline: float
    tolerated: float


def exceedance(rows: Rows, limits: Limits, over: Period) -> Exceedance | None:
    """At the bound with the largest excess over what is tolerated, in standard errors, or where none is clear at that nearest the
    baseline's p99; null without latency or bounds.
    """
    size = limits.bounds.shape[1] + 1
    if size == 1:
        return None
    recent = rows.recent_slow[0, :, :size]
    whole = np.concatenate([rows.exposed[0, col.CANARY : col.EXPECTED + 1, :size], rows.tolerated[:, :size]])
    seen = recent if over.since is not None else whole
    above = np.cumsum(seen[:, ::-1], axis=1)[:, ::-1]
    number = float(above[0, 0])
    if number <= 0.0:
        return None
    mine, theirs, tolerated = above[:, 1:]
    excess = (mine - tolerated) / np.sqrt(np.maximum(tolerated, 1.0))
    usual = np.abs(np.log(np.maximum(theirs, 1e-9) / number / (1.0 - TAIL_LEVEL)))
    at = int(excess.argmax() if excess.max() >= CLEAR_Z else usual.argmin())
    return Exceedance(
        bound_ms=float(limits.bounds[0, at]),
        canary=float(mine[at]) / number,
        least=intervals.rate(float(mine[at]), number, alpha=over.alpha / (size - 1))[0],
        baseline=float(theirs[at]) / number,
        tolerated=float(tolerated[at]) / number,
    )
