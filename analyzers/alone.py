"""One arm alone: the canary against the baseline as it was, once that serves nothing any more.

After a blue-green switch there is no baseline arm. The tick then gets one from memory: its failed, its denied and
its unanswered share and its latency, as of so many more requests that their own chance does not count, and which no longer grow.
All else is the same table. It is weaker, since the day's load is not told from harm: from then on only K of ``evidence: strict``
convicts. Where the baseline never served a request, failures are held against the absolute limit alone.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from analyzers.arrays import Array, Mask
from analyzers.intake import Tick
from analyzers.layout import ALONE, B_DEN, B_ERR, B_REQ, B_UNA, LONELY, Rows
from analyzers.terms import CERTAIN, STRICT_LATER, Limits

REQUESTS: Final = 500.0
"""Canary requests without one of the baseline's after which it is no chance that there is none."""
REMEMBERED: Final = 1000.0
"""Requests of the remembered baseline for one of the canary's."""


def refer(rows: Rows, tick: Tick) -> tuple[Tick, Tick]:
    """The tick without a lone arm's latency, and the same with the baseline as it is remembered, where that serves nothing."""
    served = tick.b_req + tick.b_den + tick.b_una > 0.0
    rows.head[:, LONELY] = np.where(served, 0.0, rows.head[:, LONELY] + tick.c_req)
    lonely = tick.seen & ~served & (rows.head[:, LONELY] >= REQUESTS)
    both = replace(tick, c=np.where(tick.timed[:, None], tick.c, 0.0)) if tick.lone.any() else tick
    if not lonely.any():
        return both, both
    rows.head[:, ALONE] = np.maximum(rows.head[:, ALONE], lonely)
    asked = rows.counts[:, B_REQ]
    past = rows.counts[:, B_ERR], rows.counts[:, B_DEN], rows.answers[:, B_UNA]
    failed, denied, unanswered = ((column + 0.5) / (asked + 1.0) for column in past)
    known = lonely & (asked > 0.0)
    size = tick.c.shape[1]
    before = rows.history[:, 1, :size]
    total = before.sum(1)
    timed = lonely & tick.lone & (total > 0.0)
    remembered = before * (REMEMBERED * tick.c.sum(1) / np.maximum(total, 1e-9))[:, None]
    return both, replace(
        tick,
        b_req=np.where(known, REMEMBERED * tick.c_req, tick.b_req),
        b_err=np.where(known, REMEMBERED * tick.c_req * failed, tick.b_err),
        b_den=np.where(known, REMEMBERED * tick.c_req * denied, tick.b_den),
        b_una=np.where(known, REMEMBERED * tick.c_req * unanswered, tick.b_una),
        c=np.where((tick.timed | timed)[:, None], tick.c, 0.0),
        b=np.where(timed[:, None], remembered, tick.b),
        timed=tick.timed | timed,
    )


def limited(rows: Rows) -> Mask:
    """Whether there is nothing but the absolute limit to hold the canary's failures against (releases,)."""
    return (rows.head[:, ALONE] > 0.0) & (rows.counts[:, B_REQ] <= 0.0)


def wanted(rows: Rows, limits: Limits) -> tuple[Array, Array]:
    """K, and the logarithm of what later starts weigh beside what they were given (releases,) each."""
    judged = rows.head[:, ALONE] > 0.0
    late = np.minimum(np.log(STRICT_LATER / (limits.horizon * limits.later)), 0.0)
    return np.where(judged, np.maximum(limits.beyond, CERTAIN), limits.beyond), np.where(judged, late, 0.0)
