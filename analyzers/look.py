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
from analyzers.terms import Limits
from analyzers.tolerated import BLIND_SHARE, Passing

Events = tuple[Array, Array]
"""How often something happened, and the requests among which it did, (releases,) each."""


@dataclass(slots=True, kw_only=True)
class Look:
    """What legs are given; (releases,), (releases, J) for histograms.

    Attributes:
        errors, denied: of canary and baseline.
        pooled: both arms' histogram of the tick.
        ranks: pooled mid-ranks of the buckets.
        tails: scores of the slow end (releases, alternatives, J).
        drawn: log e-values of both given the pooled histogram (releases, alternatives): tilts of the ranks, then of the tail.
        typical, slow_end: the tick's tolerated baseline for either tolerance.
        graded: ratios of the graded exceedances; 1 in the first tick, where nothing was known before.
        outage: legs whose evidence in this tick is not capped (releases, legs).
        one_bucket: the median's bucket holds half of the baseline's requests: ranks do not resolve the tolerance.
    """

    tick: Tick
    limits: Limits
    errors: tuple[Events, Events]
    denied: tuple[Events, Events]
    pooled: Array
    ranks: Array
    tails: Array
    drawn: Array
    typical: Array
    slow_end: Array
    graded: Array
    outage: Mask
    one_bucket: Mask


def widened(limits: Limits, tick: Tick, tolerance: Array) -> Array:
    """A tolerance with twice the policy's standard deviation of wandering latency, and with what young pods are given."""
    wide: Array = tolerance * np.exp(2.0 * limits.wander) * tick.settling
    return wide


def look(rows: Rows, limits: Limits, tick: Tick, scattered: Mask) -> Look:
    """Look at a tick whose failures are ``scattered`` over pods, or not. Call before the memories are folded."""
    size = tick.c.shape[1]
    pooled, before = tick.c + tick.b, rows.history[:, :, :size]
    first = ~(before[:, 1].sum(1) > 0.0)
    baseline = np.where(first[:, None], tick.b, before[:, 1])
    slower, slow, graded = tick.b, tick.b, np.ones_like(pooled)
    if limits.bounds.shape[1] and tick.timed.any():
        tolerances = widened(limits, tick, limits.typical), widened(limits, tick, limits.slow_end)
        passing = Passing(baseline, limits.bounds, tolerances[0])
        slower = passing.slowed(tick.b)
        if (tolerances[0] != tolerances[1]).any():
            passing = Passing(baseline, limits.bounds, tolerances[1])
        slow, before_slow = passing.slowed(np.array((tick.b, baseline)), rare=True)
        graded = np.where(first[:, None], 1.0, slow_end.ratios(before_slow))
    total = baseline.sum(1)
    middle = np.minimum((np.cumsum(baseline, axis=1) < 0.5 * total[:, None]).sum(1), size - 1)
    errors = (tick.c_err, tick.c_req), (tick.b_err, tick.b_req)
    denied = (tick.c_den, tick.c_req + tick.c_den), (tick.b_den, tick.b_req + tick.b_den)
    outage = [is_outage(*one, seconds=limits.tick_seconds) for one in (errors, denied)]
    never = np.zeros(len(total), dtype=np.bool_)
    ranks, tails = typical.mid_ranks(pooled), slow_end.scores(before.sum(1) + pooled)
    scores = np.concatenate([typical.scores(ranks, typical.TILTS), tails], axis=1)
    return Look(
        tick=tick,
        limits=limits,
        errors=errors,
        denied=denied,
        pooled=pooled,
        ranks=ranks,
        tails=tails,
        drawn=permutation.log_e(scores, pooled, tick.c),
        typical=slower,
        slow_end=slow,
        graded=graded,
        outage=np.stack([outage[0] | scattered, outage[1], never, never], axis=-1),
        one_bucket=(total > 0.0) & (baseline[np.arange(len(total)), middle] >= BLIND_SHARE * total),
    )
