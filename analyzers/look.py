"""One tick of a batch beside what was known before it: all that a leg looks at.

Scores and the tolerated baseline come from the ticks *before*, fading over about 33 ticks, so that they follow a drift and are
known before the tick is drawn; in the first tick they come from the tick itself.
"""

import numpy as np

from analyzers import permutation
from analyzers.arrays import Array, Mask
from analyzers.intake import Tick
from analyzers.layout import LENT, Rows
from analyzers.legs import slow_end, typical
from analyzers.legs.events import is_outage
from analyzers.legs.table import DENIED, ERRORS, LEGS
from analyzers.terms import Limits
from analyzers.tolerated import BLIND_SHARE, Passing

Events = tuple[Array, Array]
"""How often something happened, and the requests among which it did, (releases,) each."""


class Look:
    """What legs are given; (releases,), (releases, J) for histograms.

    Attributes:
        canary, baseline: requests with a latency.
        errors, denied, unanswered: of canary and baseline. Requests of the baseline of which it is not told how they ended are
            taken for failed: what is not known convicts nobody.
        asked: a request had gone unanswered before this tick (releases,).
        outage: legs whose evidence in this tick is not capped (releases, legs).
        allowed: the tolerated factor on typical latency: with twice the policy's standard deviation of wandering latency, and with
            what young pods are given.
        typical, slow_end: the tick's tolerated baseline for either tolerance.
        graded: ratios of the graded exceedances; 1 in the first tick, where nothing was known before.
        one_bucket: one bucket holds half of the baseline's requests: ranks do not resolve the tolerance.
        pooled: both arms' histogram of the tick. ranks: its mid-ranks.
        tails: scores of the slow end (releases, alternatives, J).
        drawn: log e-values of both given the pooled histogram (releases, alternatives): tilts of the ranks, then of the tail.
    """

    def __init__(self, rows: Rows, limits: Limits, tick: Tick, scattered: Mask) -> None:
        """Look at a tick whose failures are ``scattered`` over pods, or not. Call before the memories are folded."""
        self.tick, self.limits = tick, limits
        self.canary: Array = tick.c.sum(1)
        self.baseline: Array = tick.b.sum(1)
        self.errors: tuple[Events, Events] = (tick.c_err, tick.c_req), (tick.b_err + tick.b_unc, tick.b_req)
        self.denied: tuple[Events, Events] = (tick.c_den, tick.c_req + tick.c_den), (tick.b_den, tick.b_req + tick.b_den)
        self.unanswered: tuple[Events, Events] = (tick.c_una, tick.c_req + tick.c_una), (tick.b_una, tick.b_req + tick.b_una)
        self.asked: Mask = rows.head[:, LENT] > 0.0
        self.outage: Mask = np.zeros((len(rows.raw), len(LEGS)), dtype=np.bool_)
        self.outage[:, ERRORS] = is_outage(*self.errors, seconds=limits.tick_seconds) | scattered
        self.outage[:, DENIED] = is_outage(*self.denied, seconds=limits.tick_seconds)
        before = rows.history[:, :, : tick.c.shape[1]]
        known = before[:, 1].any(1, keepdims=True)
        usual = np.where(known, before[:, 1], tick.b)
        allowed = np.array((limits.typical, limits.slow_end)) * (np.exp(2.0 * limits.wander) * tick.settling)
        self.allowed: Array = allowed[0]
        self.typical, self.slow_end, graded = _tolerated(limits, tick, usual, allowed)
        self.graded: Array = np.where(known, graded, 1.0)
        self.one_bucket: Mask = usual.max(1) >= np.maximum(BLIND_SHARE * usual.sum(1), 1e-300)
        self.pooled: Array = tick.c + tick.b
        self.ranks = typical.mid_ranks(self.pooled)
        self.tails = slow_end.scores(before.sum(1) + self.pooled)
        scores = np.concatenate([typical.scores(self.ranks, typical.TILTS), self.tails], axis=1)
        self.drawn = permutation.log_e(scores, self.pooled, tick.c)


def _tolerated(limits: Limits, tick: Tick, usual: Array, allowed: Array) -> tuple[Array, Array, Array]:
    """The tick's tolerated baselines for both tolerances, and the ratios of the graded exceedances."""
    if not (limits.bounds.shape[1] and tick.timed.any()):
        return tick.b, tick.b, np.ones_like(tick.b)
    passing = Passing(usual, limits.bounds, allowed[0])
    slower = passing.slowed(tick.b)
    if (allowed[0] != allowed[1]).any():
        passing = Passing(usual, limits.bounds, allowed[1])
    slow, usual_slow = passing.slowed(np.array((tick.b, usual)), rare=True)
    return slower, slow, slow_end.ratios(usual_slow)
