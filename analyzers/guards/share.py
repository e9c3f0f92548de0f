"""The canary's share of the traffic against the route's weight at each tick.

A share that is off by more than the policy's factor (requests that are never answered, draining, sticky sessions, a route that
does not split as written) makes the comparison one of different requests. It forbids a promotion; a rollback stands, since
the tests hold at any share.

The factor is one of the odds, so that it means the same at every weight: a canary that loses 30 % of its requests has .7 times the
odds, whether 5 or 50 % are its own. What is expected is summed tick by tick, since weights are stepped while load drifts.
"""

from typing import Final

import numpy as np

from analyzers.intake import Tick
from analyzers.layout import CAME, FEWEST, FEWEST_VARIANCE, GIVEN, MOST, MOST_VARIANCE, Array, Mask, Rows
from analyzers.terms import Limits

CERTAIN_Z: Final = 4.0
"""Standard deviations by which the share must be outside: looked at every tick, about 1 in 1000."""


def fold(rows: Rows, limits: Limits, tick: Tick) -> None:
    """Note one tick, where the weight was known and neither 0 nor 1. Denied requests count, and those that are known to have got no
    answer: the route has split them too.
    """
    canary, baseline = tick.c_req + tick.c_den + tick.c_una, tick.b_req + tick.b_den + tick.b_una
    split = tick.seen & (tick.weight > 0.0) & (tick.weight < 1.0)
    if not split.any():
        return
    weight = np.where(split, tick.weight, 0.5)
    odds = weight / (1.0 - weight)
    edges = np.array((odds / limits.share_factor, odds * limits.share_factor))
    fewest, most = (canary + baseline) * edges / (1.0 + edges)
    fewest_variance, most_variance = (fewest, most) / (1.0 + edges)
    new = np.array((canary, baseline * odds, fewest, fewest_variance, most, most_variance)).T
    rows.traffic += np.where(split[:, None], new, 0.0)


def answered(rows: Rows) -> Array:
    """The part of the requests (releases,) given to the canary by the route's weight that it has answered; NaN while unknown."""
    came, given = rows.traffic[:, CAME], rows.traffic[:, GIVEN]
    return came / np.where(given > 0.0, given, np.nan)


def mismatched(rows: Rows) -> Mask:
    """Whether the share is surely off by more than the factor (releases,); never where no weight was known."""
    came, traffic = rows.traffic[:, CAME], rows.traffic
    few = traffic[:, FEWEST] - came > CERTAIN_Z * np.sqrt(traffic[:, FEWEST_VARIANCE])
    many = came - traffic[:, MOST] > CERTAIN_Z * np.sqrt(traffic[:, MOST_VARIANCE])
    return few | many


def said(part: float) -> str:
    """What is wrong with the share of a canary that has answered this part of the requests given to it."""
    why = "lost, or sticky sessions" if part < 1.0 else "sticky sessions, or retries"
    return f"answers {100.0 * part:.0f} % of the requests that its weight gives it; {why}: set share_factor"
