"""One tick of a batch beside what was known before it: all that a leg looks at.

Scores and the tolerated baseline come from the ticks *before*, fading over about 33 ticks, so that they follow a drift and are
known before the tick is drawn; in the first tick they come from the tick itself.
"""

from dataclasses import dataclass

import numpy as np

from analyzers import permutation
from analyzers.arrays import Array, Mask
from analyzers.intake import Tick
from analyzers.layout import Rows
from analyzers.legs import slow_end, typical
from analyzers.legs.events import is_outage
from analyzers.legs.table import DENIED, ERRORS, LEGS
from analyzers.terms import Limits
from analyzers.tolerated import BLIND_SHARE, Passing

Events = tuple[Array, Array]
"""How often something happened, and the requests among which it did, (releases,) each."""


@dataclass(slots=True, kw_only=True)
class Look:
    """What legs are given; (releases,), (releases, J) for histograms.

    Attributes:
        canary, baseline: requests with a latency.
        errors, denied: of canary and baseline.
        pooled: both arms' histogram of the tick.
        ranks: pooled mid-ranks of the buckets.
        tails: scores of the slow end (releases, alternatives, J).
        drawn: log e-values of both given the pooled histogram (releases, alternatives): tilts of the ranks, then of the tail.
        allowed: the tolerated factor on typical latency: with twice the policy's standard deviation of wandering latency, and with
            what young pods are given.
        typical, slow_end: the tick's tolerated baseline for either tolerance.
        graded: ratios of the graded exceedances; 1 in the first tick, where nothing was known before.
        outage: legs whose evidence in this tick is not capped (releases, legs).
        one_bucket: the median's bucket holds half of the baseline's requests: ranks do not resolve the tolerance.
    """

    tick: Tick
    limits: Limits
    canary: Array
    baseline: Array
    errors: tuple[Events, Events]
    denied: tuple[Events, Events]
    pooled: Array
    ranks: Array
    tails: Array
    drawn: Array
    allowed: Array
    typical: Array
    slow_end: Array
    graded: Array
    outage: Mask
    one_bucket: Mask


def look(rows: Rows, limits: Limits, tick: Tick, scattered: Mask) -> Look:
    """Look at a tick whose failures are ``scattered`` over pods, or not. Call before the memories are folded."""
    pooled, before = tick.c + tick.b, rows.history[:, :, : tick.c.shape[1]]
    baseline = np.where(before[:, 1].any(1, keepdims=True), before[:, 1], tick.b)
    allowed = np.array((limits.typical, limits.slow_end)) * (np.exp(2.0 * limits.wander) * tick.settling)
    slower, slow, graded = _tolerated(limits, tick, before[:, 1], baseline, allowed)
    errors = (tick.c_err, tick.c_req), (tick.b_err, tick.b_req)
    denied = (tick.c_den, tick.c_req + tick.c_den), (tick.b_den, tick.b_req + tick.b_den)
    outage = np.zeros((len(pooled), len(LEGS)), dtype=np.bool_)
    outage[:, ERRORS] = is_outage(*errors, seconds=limits.tick_seconds) | scattered
    outage[:, DENIED] = is_outage(*denied, seconds=limits.tick_seconds)
    ranks, tails = typical.mid_ranks(pooled), slow_end.scores(before.sum(1) + pooled)
    scores = np.concatenate([typical.scores(ranks, typical.TILTS), tails], axis=1)
    return Look(
        tick=tick,
        limits=limits,
        canary=tick.c.sum(1),
        baseline=tick.b.sum(1),
        errors=errors,
        denied=denied,
        pooled=pooled,
        ranks=ranks,
        tails=tails,
        drawn=permutation.log_e(scores, pooled, tick.c),
        allowed=allowed[0],
        typical=slower,
        slow_end=slow,
        graded=graded,
        outage=outage,
        one_bucket=(baseline.max(1) >= np.maximum(BLIND_SHARE * baseline.sum(1), 1e-300)),
    )


def _tolerated(limits: Limits, tick: Tick, before: Array, baseline: Array, allowed: Array) -> tuple[Array, Array, Array]:
    """The tick's tolerated baselines for both tolerances, and the ratios of the graded exceedances."""
    if not (limits.bounds.shape[1] and tick.timed.any()):
        return tick.b, tick.b, np.ones_like(tick.b)
    passing = Passing(baseline, limits.bounds, allowed[0])
    slower = passing.slowed(tick.b)
    if (allowed[0] != allowed[1]).any():
        passing = Passing(baseline, limits.bounds, allowed[1])
    slow, before_slow = passing.slowed(np.array((tick.b, baseline)), rare=True)
    return slower, slow, np.where(before.any(1, keepdims=True), slow_end.ratios(before_slow), 1.0)
