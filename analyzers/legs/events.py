"""Errors and denials: the canary's rate of events against the baseline's, one formula for every null.

The null is rate_c <= rho rate_b + d: rho 1 and d 0 is "no worse" (the sequential conditional binomial test of Przyborowski and
Wilenski 1940), rho 1 and d > 0 what the policy tolerates above the baseline, rho 0 and d > 0 a limit that needs no baseline. With
s = m rho / (m rho + n), D = log(1 + s (r - 1)) and a = r e^-D, an alternative r has log e = A (log r - D) - B D - m d (a - 1).
Proof: E a^A b^B <= exp(m p_c (a - 1) + n p_b (b - 1)) for b = e^-D, and m rho (a - 1) + n (b - 1) = 0, so that the mean is at most
1 for every rate of the baseline, also one that drifts.
"""

from typing import Final

import numpy as np

from analyzers.arrays import Array, Mask

RATIOS: Final[Array] = np.geomspace(1.5, 100.0, 20)
BEYOND: Final[Array] = np.array([1.6, 8.0])
"""Ratios against what is tolerated; the larger one is for little traffic."""
BEYOND_PRIOR: Final[Array] = np.array([0.75, 0.25])

OUTAGE_EVENTS: Final = 20.0
OUTAGE_RATE: Final = 0.2
OUTAGE_BASELINE: Final = 0.25
"""In an outage the baseline's failed share is at most this part of the canary's."""
STOPS_SECONDS: Final = 2.0
"""Two stops of a second could fail as many requests as come in so many seconds."""


def bell(values: Array, *, centre: float, spread: float) -> Array:
    """Prior weights of alternatives: normal over their logarithm."""
    weight = np.exp(-0.5 * (np.log(values / centre) / spread) ** 2)
    prior: Array = weight / weight.sum()
    return prior


PRIOR: Final[Array] = bell(RATIOS, centre=8.0, spread=1.0)


def log_e(
    canary: tuple[Array, Array],
    baseline: tuple[Array, Array],
    ratios: Array,
    *,
    factor: Array | float = 1.0,
    above: Array | float = 0.0,
) -> Array:
    """Log e-values (releases, ratios) of one tick; 0 where nothing happened or nothing was requested.

    Args:
        canary, baseline: events and the requests among which they were, (releases,) each.
        factor, above: rho and d of the null, one or (releases, ratios).
    """
    mine, asked, theirs, base_asked = (column[:, None] for column in (*canary, *baseline))
    exposed = asked * factor
    drift = np.log1p(exposed / np.maximum(exposed + base_asked, 1.0) * (ratios - 1.0))
    change = np.log(ratios) - drift
    gained: Array = mine * change - theirs * drift - asked * above * np.expm1(change)
    return gained


def is_outage(canary: tuple[Array, Array], baseline: tuple[Array, Array], *, seconds: Array) -> Mask:
    """Whether a tick of so many seconds is too bad to be a clump of failures (releases,): it need not wait for a second one.

    A fifth of the requests while the baseline is well, or more failures above the baseline's than two stops explain.
    """
    (mine, asked), (theirs, base_asked) = canary, baseline
    many: Mask = mine >= OUTAGE_EVENTS
    if not many.any():  # nearly always
        return many
    rate, base = mine / np.maximum(asked, 1.0), theirs / np.maximum(base_asked, 1.0)
    clear = (rate >= OUTAGE_RATE) & (base <= OUTAGE_BASELINE * rate)
    return many & (clear | (mine - asked * base >= STOPS_SECONDS * asked / seconds))
