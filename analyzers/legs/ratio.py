"""Errors and denials: the sequential conditional binomial test (Przyborowski and Wilenski 1940), as a bank of rate ratios.

Given how many requests of a tick failed in both arms together, the canary's share of them is binomial (or less spread) with
the canary's share of the requests. Each alternative multiplies the canary's failure odds by a ratio r; its likelihood ratio is an
exact e-value, also for requests drawn without replacement (Hoeffding 1963, theorem 4) and for every true ratio below 1.
"""

from typing import Final

import numpy as np

from analyzers.layout import Array

RATIOS: Final[Array] = np.geomspace(1.5, 100.0, 20)
_CENTRE, _SPREAD = 8.0, 1.0


def _prior() -> Array:
    weight = np.exp(-0.5 * (np.log(RATIOS / _CENTRE) / _SPREAD) ** 2)
    prior: Array = weight / weight.sum()
    return prior


PRIOR: Final[Array] = _prior()
_LIFT: Final[Array] = RATIOS - 1.0
_LOG_RATIOS: Final[Array] = np.log(RATIOS)


def log_e(canary: Array, baseline: Array, canary_requests: Array, baseline_requests: Array) -> Array:
    """Log e-values (releases, 20) of one tick's failures; 0 where nothing failed or nothing was requested."""
    share = canary_requests / np.maximum(canary_requests + baseline_requests, 1.0)
    drift = np.log1p(share[:, None] * _LIFT)
    gained: Array = canary[:, None] * (_LOG_RATIOS - drift) - baseline[:, None] * drift
    return gained
