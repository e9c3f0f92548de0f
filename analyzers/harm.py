"""How much worse the canary is, as said beside a decision: estimates and their lower bounds, never a part of it.

Each figure is counted over one period: since the start, or since the evidence of the leg that convicts began to grow. A bound over
a period that the data chose holds for all periods that might have been chosen.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from analyzers import buckets, intervals
from analyzers import layout as col
from analyzers.arrays import Array
from analyzers.layout import Rows
from analyzers.legs.mean import RATIO
from analyzers.legs.table import DENIED, LATENCY, UNANSWERED
from analyzers.p99 import MOST_EXCEEDANCE
from analyzers.promotion import TUNED_REQUESTS, tuned
from analyzers.terms import Limits

LEVEL: Final = 0.95
TAIL_LEVEL: Final = 0.99
APART: Final = 0.99
"""Where more pairs of requests are slower in the canary, the arms hardly overlap, and no shift is told from a larger one."""
TOLD: Final = 0.5
"""Where more would be tolerated to take longer than a bound, its buckets cannot tell what is."""
CLEAR_Z: Final = 2.0
"""Standard errors of an excess that is worth saying."""
_BASELINE: Final = [col.B_ERR, col.B_REQ, col.B_DEN]


class Effects:
    """Each leg's effect since the start (typical latency by the means), NaN while unknown; of all releases when one is asked."""

    def __init__(self, rows: Rows, limits: Limits) -> None:
        self._rows, self._limits = rows, limits

    def of(self, at: int) -> list[float]:
        """The legs' effects of one release."""
        return self._found[at]

    @cached_property
    def _found(self) -> list[list[float]]:
        c_err, b_err, c_req, b_req, c_den, b_den, _, _, c_sum, b_sum, c_lat, b_lat = self._rows.counts.T
        c_una, b_una, *_ = self._rows.answers.T
        with np.errstate(all="ignore"):
            columns = (
                c_err / c_req - b_err / b_req,
                c_den / (c_req + c_den) - b_den / (b_req + b_den),
                c_sum / c_lat / (b_sum / b_lat),
                p99_factor(self._rows.exposed, self._limits) if self._limits.bounds.shape[1] else np.full(len(c_req), np.nan),
                c_una / (c_req + c_una) - b_una / (b_req + b_una),
            )
        found: list[list[float]] = np.stack(columns, axis=-1).tolist()
        return found


def p99_factor(slow: Array, limits: Limits) -> Array:
    """Factor of the 99th percentile (releases,), NaN without latency; ``slow``: (releases, 2 or more, J), canary and baseline."""
    size, edges = limits.bounds.shape[1] + 1, buckets.log_edges(limits.bounds)
    mine, theirs = slow[:, 0, :size], slow[:, 1, :size]
    both = buckets.tail_quantile(np.concatenate([mine, theirs]), np.concatenate([edges, edges]), TAIL_LEVEL)
    return np.where(np.minimum(mine.sum(1), theirs.sum(1)) > 0.0, both[: len(mine)] / both[len(mine) :], np.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Over which a leg's figures are counted, of one release.

    Attributes:
        whole: it is the whole watch.
        counts, answers, ranks, slow: what was seen in it (``layout``); histograms of canary, baseline and tolerated.
        alpha: of a bound that holds for it.
        words, beside: as it is said of the canary, and of the baseline.
        growth: in how many ticks the leg's evidence grew; empty where that is not known.
    """

    whole: bool
    counts: Array
    answers: Array
    ranks: Array
    slow: Array
    alpha: float
    words: str
    beside: str
    growth: str


def period(rows: Rows, limits: Limits, leg: int, *, recent: bool) -> Period:
    """The whole watch, or since the leg's evidence began to grow where that is ``recent``. ``rows`` is a batch of one.

    A baseline that serves nothing any more is remembered: its failures as they were, its latency only over a recent period. Of the
    own periods of denials and of requests without an answer the requests are not kept: they are told over the whole watch.
    """
    _, looks, grew, since = rows.period[0, leg].tolist()
    alone = bool(rows.head[0, col.ALONE] > 0.0)
    recent = recent and looks > 0.0 and leg not in (DENIED, UNANSWERED)
    together = alone and not recent and leg in LATENCY
    counts, answers = (rows.recent if recent else rows.counts)[0].copy(), rows.answers[0].copy()
    if alone:
        counts[_BASELINE] = rows.counts[0, _BASELINE]
        asked, denied = counts[[col.C_REQ, col.B_REQ]], counts[[col.C_DEN, col.B_DEN]]
        counts[col.E_DEN] = (asked[0] + denied[0]) * denied[1] / max(asked[1] + denied[1], 1.0)
        gone = answers[[col.C_UNA, col.B_UNA]]
        answers[col.E_UNA] = (asked[0] + gone[0]) * gone[1] / max(asked[1] + gone[1], 1.0)
    ticks = f"{grew:.0f} of the {looks:.0f} ticks since then" if recent and since else f"{grew:.0f} of the last {looks:.0f} ticks"
    return Period(
        whole=not recent,
        counts=counts,
        answers=answers,
        ranks=rows.recent_ranks[0] if recent else rows.shown[0, [col.SHIFT, col.PRECISION]],
        slow=(rows.recent_slow if recent else rows.exposed)[0, : col.EXPECTED_VARIANCE],
        alpha=(1.0 - LEVEL) / (float(limits.horizon[0]) if recent else 1.0),
        words=f"since second {since:.0f}" if recent and since else "while both served" if together else "since the start",
        beside="while it served" if alone and not together else "in the same seconds",
        growth=("", "; all of the evidence came in one tick", f"; the evidence grew in {ticks}")[min(int(looks), 2)],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Events of a period.

    Attributes:
        requests: the canary's. some: either arm had an event.
        rate, least: of the canary, and its lower bound.
        base: the baseline's in the same seconds, each weighted by the canary's requests; null where it served none.
        span: confidence sequence of the difference, or of the rate where there is no baseline.
    """

    requests: float
    some: bool
    rate: float
    least: float
    base: float | None
    span: tuple[float, float]


def rates(leg: int, over: Period) -> Rates:
    """Errors, denials or requests without an answer, of a period."""
    c_err, b_err, c_req, b_req, c_den, b_den, e_err, e_den, *_ = over.counts.tolist()
    canary, baseline, expected = (c_err, c_req), (b_err, b_req), e_err
    if leg == DENIED:
        canary, baseline, expected = (c_den, c_req + c_den), (b_den, b_req + b_den), e_den
    elif leg == UNANSWERED:
        c_una, b_una, e_una, *_ = over.answers.tolist()
        canary, baseline, expected = (c_una, c_req + c_una), (b_una, b_req + b_una), e_una
    low, high = intervals.rate(*canary, alpha=over.alpha)
    compared, requests = baseline[1] > 0.0, max(canary[1], 1.0)
    return Rates(
        requests=canary[1],
        some=canary[0] + baseline[0] > 0.0,
        rate=canary[0] / requests,
        least=low,
        base=expected / requests if compared else None,
        span=intervals.difference_of_rates(canary, baseline, alpha=over.alpha) if compared else (low, high),
    )


@dataclass(frozen=True, slots=True)
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
    baseline = (rows.history[:, 1] if rows.head[0, col.ALONE] > 0.0 else rows.baseline)[:, :size]
    total, precision = over.ranks.tolist()
    probability = min(1.0, max(0.0, 0.5 + total / precision)) if precision > 0.0 else None
    if size == 1 or probability is None or probability > APART or not buckets.resolves_median(baseline)[0]:
        return Slowness(*_means(rows, over), by_mean=True, probability=probability)
    scale = tuned(12.0 * TUNED_REQUESTS, alpha=0.5 * over.alpha)
    half = intervals.radius(precision, scale=scale, alpha=over.alpha) / precision
    ends = np.clip(np.array([probability, probability - half, probability + half]), 0.0, 1.0)
    edges = np.repeat(buckets.log_edges(limits.bounds), 3, axis=0)
    factor, low, high = buckets.factor_of(ends, np.repeat(baseline, 3, axis=0), edges).tolist()
    bounds = low if low * buckets.LARGEST_FACTOR > 1.01 else None, high if high < 0.99 * buckets.LARGEST_FACTOR else None
    return Slowness(factor, *bounds, by_mean=False, probability=probability)


def _means(rows: Rows, over: Period) -> tuple[float | None, float | None, float | None]:
    """Tick by tick over the whole watch, as soon as that has ends; else of the sums."""
    number, total, squares = rows.mean[0, RATIO, 0].tolist()
    logs = intervals.log_mean(number, total, squares, alpha=over.alpha) if over.whole else None
    if logs is not None:
        return math.exp(total / number), math.exp(logs[0]), math.exp(logs[1])
    c_sum, b_sum, canary, baseline = over.counts[col.C_SUM :].tolist()
    return (c_sum / canary / (b_sum / baseline) if min(canary, baseline, b_sum) > 0.0 else None), None, None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exceedance:
    """Parts of the requests above one bound: the canary's and its least, the baseline's, and that of one as slow as tolerated."""

    bound_ms: float
    canary: float
    least: float
    baseline: float
    tolerated: float


def exceedance(limits: Limits, over: Period) -> Exceedance | None:
    """At the bound of the slow end with the largest excess over what is tolerated, in standard errors, or where none is clear at
    that nearest the baseline's p99; null without latency or bounds.
    """
    size = limits.bounds.shape[1] + 1
    above = np.cumsum(over.slow[:, :size][:, ::-1], axis=1)[:, ::-1]
    number = float(above[0, 0])
    if size == 1 or number <= 0.0:
        return None
    mine, theirs, tolerated = above[:, 1:]
    slowest = theirs <= MOST_EXCEEDANCE * number
    slowest[-1] = True
    excess = np.where(slowest, (mine - tolerated) / np.sqrt(np.maximum(tolerated, 1.0)), -np.inf)
    usual = np.where(slowest, np.abs(np.log(np.maximum(theirs, 1e-9) / number / (1.0 - TAIL_LEVEL))), np.inf)
    at = int(excess.argmax() if excess.max() >= CLEAR_Z else usual.argmin())
    return Exceedance(
        bound_ms=float(limits.bounds[0, at]),
        canary=float(mine[at]) / number,
        least=intervals.rate(float(mine[at]), number, alpha=over.alpha / (size - 1))[0],
        baseline=float(theirs[at]) / number,
        tolerated=float(tolerated[at]) / number,
    )
