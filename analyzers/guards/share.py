"""The canary's share of the traffic against the weight that was configured.

A share that is off by more than the policy's factor (draining, sticky sessions, a route that does not split as written) makes the
comparison one of different requests. It forbids a promotion; a rollback stands, since the tests hold at any share.
"""

from typing import Final

import numpy as np

from analyzers.layout import B_DEN, B_REQ, C_DEN, C_REQ, Array, Mask, Rows
from analyzers.terms import Limits

CERTAIN_Z: Final = 4.0
"""Standard deviations by which the share must be outside: looked at every tick, about 1 in 1000."""


def observed(rows: Rows) -> Array:
    """The canary's share of the requests since the start (releases,), denied ones included; NaN without requests."""
    counts = rows.counts
    canary = counts[:, C_REQ] + counts[:, C_DEN]
    total = canary + counts[:, B_REQ] + counts[:, B_DEN]
    share: Array = np.where(total > 0.0, canary / np.maximum(total, 1.0), np.nan)
    return share


def mismatched(rows: Rows, limits: Limits) -> Mask:
    """Whether the share is surely off by more than the factor (releases,); never where the weight is unknown, 0 or 1."""
    share = observed(rows)
    counts = rows.counts
    total = counts[:, C_REQ] + counts[:, C_DEN] + counts[:, B_REQ] + counts[:, B_DEN]
    split = (limits.share > 0.0) & (limits.share < 1.0)
    low = limits.share / limits.share_factor
    high = np.minimum(limits.share * limits.share_factor, 1.0)
    off = np.maximum(low - share, share - high)
    edge = np.where(share < low, low, high)
    spread = np.sqrt(np.maximum(edge * (1.0 - edge), 0.0) / np.maximum(total, 1.0))
    outside: Mask = split & (off > CERTAIN_Z * spread)
    return outside
