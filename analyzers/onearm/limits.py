"""The shares that are tolerated of a canary alone, fixed for the whole watch, from its policy and from what the baseline was.

Failures, and requests without an answer, have the policy's absolute limits; where the baseline itself was beyond one, its own
share and the points that are tolerated above it. Of latency it is the share of requests above a bound of the buckets: one near the
median, and one or two of the slow end. What may pass a bound is what would of the baseline if it were as slow as is tolerated
(``analyzers.tolerated``).

The baseline is a sample: each of its shares is taken at the upper end of a confidence sequence (``analyzers.intervals``), so that
one that looked better than it is takes nobody back. The chance that an end is passed is a part of alpha.
"""

import math
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from analyzers import intervals
from analyzers.arrays import Array
from analyzers.layout import B_ERR, B_REQ, B_UNA, Rows
from analyzers.legs.table import ERRORS, SLOW_END, TYPICAL, UNANSWERED
from analyzers.reference import Reference
from analyzers.terms import Terms
from analyzers.tolerated import Passing

SPENT: Final = 0.25
"""Part of alpha for the chance that a share of the baseline's is above its upper end, of all limits together."""
MOST: Final = 5
WEIGHTS: Final = {ERRORS: 0.3, UNANSWERED: 0.1, TYPICAL: 0.15, SLOW_END: 0.1}
"""Parts of alpha, by leg; the slow end has its part twice, for each of its bounds. With what is spent they are 1."""
_MIDDLE: Final = (0.2, 0.8)
"""Shares above a bound that tells of the median."""
_SLOW, _SLOWEST = 0.1, 0.01


class Limit(NamedTuple):
    """A share of the canary's requests that is tolerated.

    ``leg`` is whose it is, by its place among the legs; ``bound`` the place of the bound that slow requests are above, null for
    failures and requests without an answer. ``was`` is the baseline's own share, null where none of its requests were seen;
    ``share`` the most that is tolerated.
    """

    leg: int
    bound: int | None
    was: float | None
    share: float


def seen_in(row: Array, bounds_ms: tuple[float, ...]) -> Reference:
    """The baseline as the state of a judged release has it: its counts since the start, its latency of the last ticks."""
    rows = Rows(row[None])
    latency = tuple(rows.history[0, 1, : len(bounds_ms) + 1].tolist()) if bounds_ms else ()
    is_timed = math.fsum(latency) > 0.0
    return Reference(
        requests=float(rows.counts[0, B_REQ]),
        errors=float(rows.counts[0, B_ERR]),
        unanswered=float(rows.answers[0, B_UNA]),
        bounds_ms=bounds_ms if is_timed else (),
        latency=latency if is_timed else (),
    )


@lru_cache(maxsize=1024)
def limits(terms: Terms) -> tuple[Limit, ...]:
    """What is tolerated of a canary under these terms; latency only where the baseline's buckets were the same."""
    then = terms.after or Reference()
    alpha = SPENT / terms.boundary / MOST
    asked = then.requests + then.unanswered
    found = [
        _of_events(ERRORS, then.errors, then.requests, (terms.max_rate, terms.above_baseline), alpha=alpha),
        _of_events(UNANSWERED, then.unanswered, asked, (terms.unanswered_rate, terms.unanswered_above), alpha=alpha),
    ]
    if then.latency and then.bounds_ms == terms.bounds_ms:
        found += _of_latency(terms, then, alpha=alpha)
    return tuple(found)


def _of_events(leg: int, events: float, requests: float, tolerance: tuple[float, float], *, alpha: float) -> Limit:
    absolute, above = tolerance
    if requests <= 0.0:
        return Limit(leg, None, None, absolute)
    was = events / requests
    if was + above <= absolute:
        return Limit(leg, None, was, absolute)
    return Limit(leg, None, was, min(intervals.rate(events, requests, alpha=alpha)[1] + above, 1.0))


def _of_latency(terms: Terms, then: Reference, *, alpha: float) -> list[Limit]:
    history, bounds = np.array([then.latency]), np.array([terms.bounds_ms])
    number, usual = math.fsum(then.latency), _above(history[0])
    found = []
    for leg, places, tolerance in ((TYPICAL, _middle(usual), terms.typical), (SLOW_END, _slow(usual), terms.slow_end)):
        factor = np.array([tolerance * math.exp(2.0 * terms.wander)])
        slowed = _above(Passing(history, bounds, factor).slowed(history, rare=leg == SLOW_END)[0])
        for at in places:
            upper = intervals.rate(float(slowed[at]) * number, number, alpha=alpha)[1]
            found.append(Limit(leg, at, float(usual[at]), upper))
    return found


def _above(counts: Array) -> Array:
    """Shares above each finite bound (J-1,)."""
    above: Array = counts[::-1].cumsum()[::-1][1:] / counts.sum()
    return np.clip(above, 0.0, 1.0)


def _middle(usual: Array) -> list[int]:
    """The bound nearest the median, where it is near."""
    at = int(np.abs(usual - 0.5).argmin())
    return [at] if _MIDDLE[0] <= usual[at] <= _MIDDLE[1] else []


def _slow(usual: Array) -> list[int]:
    """The first bound that no more than a tenth of the requests are above, and the one whose share is nearest a hundredth."""
    there = np.flatnonzero(usual <= _SLOW)
    if not len(there):
        return []
    distance = np.abs(np.log(np.maximum(usual[there], 1e-9) / _SLOWEST))
    return sorted({int(there[0]), int(there[distance.argmin()])})
