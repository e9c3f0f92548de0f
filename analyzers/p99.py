"""p99 inside its tolerance: a certificate from exceedances of one bucket bound.

Both arms exceed the bound whose baseline exceedance is nearest 1 %; how much more often a canary may that is ``tolerance`` times
slower follows from the slope of the survival curve there. Evidence that it exceeds less often than that is conditional binomial.
Interpolating inside the bucket instead would overestimate the tolerance about twofold.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from analyzers.layout import LATENCY_TICKS, Array, Mask, Rows
from analyzers.terms import Limits

RATIOS: Final[Array] = np.geomspace(1.15, 2.0, 6)
WANTED_EXCEEDANCE: Final = 0.01
FEWEST_TICKS: Final = 60.0
FEWEST_REQUESTS: Final = 15_000.0
"""Ticks with latency, or requests of the baseline, before the bound is chosen: earlier the choice itself would follow the noise."""
LARGEST_BOUND: Final = 16.0
_STEPS: Final = 20


@dataclass(slots=True, kw_only=True)
class Exceedance:
    """What the certificate rests on, each (releases,).

    Attributes:
        usable: a bound could be chosen. bound_ms: that bound.
        canary, baseline: requests above it. share: the canary's share of all requests.
        kappa: by how much log exceedance falls when log latency rises.
    """

    usable: Mask
    bound_ms: Array
    canary: Array
    baseline: Array
    share: Array
    kappa: Array


def exceedance(rows: Rows, limits: Limits) -> Exceedance | None:
    """Choose the bound from the baseline's data; null while the bounds are unknown or single."""
    bounds = limits.bounds
    if bounds.shape[1] < 2:
        return None
    hist = rows.hist[:, :, : bounds.shape[1] + 1]
    above = np.cumsum(hist[:, :, ::-1], axis=-1)[:, :, ::-1][:, :, 1:]
    total = np.maximum(hist.sum(-1), 1.0)
    survival = above[:, 1] / total[:, 1:]
    distance = np.abs(np.log(np.maximum(survival, 1e-12) / WANTED_EXCEEDANCE))
    distance[:, 0] = np.inf
    place = distance.argmin(1)
    row = np.arange(len(place))
    here, before = survival[row, place], survival[row, place - 1]
    enough = (rows.head[:, LATENCY_TICKS] >= FEWEST_TICKS) | (total[:, 1] >= FEWEST_REQUESTS)
    usable = enough & (here > 0.0) & (before > here)
    fall = np.log(np.where(usable, before, 2.0) / np.where(usable, here, 1.0))
    kappa = fall / np.log(bounds[row, place] / bounds[row, place - 1])
    return Exceedance(
        usable=usable,
        bound_ms=bounds[row, place],
        canary=above[row, 0, place],
        baseline=above[row, 1, place],
        share=total[:, 0] / total.sum(1),
        kappa=kappa,
    )


def _drift(share: Array, ratio: Array) -> Array:
    return np.log1p(share[:, None] * (ratio - 1.0))


def log_below(seen: Exceedance, ratio: Array) -> Array:
    """Log e-values (releases,) that the canary's exceedance is less than ``ratio`` times the baseline's."""
    lower = ratio[:, None] / RATIOS
    change = _drift(seen.share, lower) - _drift(seen.share, ratio[:, None])
    log_e = -seen.canary[:, None] * np.log(RATIOS) - (seen.canary + seen.baseline)[:, None] * change
    top = log_e.max(1, keepdims=True)
    value: Array = top[:, 0] + np.log(np.exp(log_e - top).mean(1))
    return value


def log_above(seen: Exceedance, ratio: Array) -> Array:
    """Log e-values (releases,) that the canary's exceedance is more than ``ratio`` times the baseline's."""
    higher = ratio[:, None] * RATIOS
    change = _drift(seen.share, higher) - _drift(seen.share, ratio[:, None])
    log_e = seen.canary[:, None] * np.log(RATIOS) - (seen.canary + seen.baseline)[:, None] * change
    top = log_e.max(1, keepdims=True)
    value: Array = top[:, 0] + np.log(np.exp(log_e - top).mean(1))
    return value


def progress(rows: Rows, limits: Limits) -> Array:
    """How much of the evidence needed there is that p99 is inside its tolerance (releases,); from 1 on it is shown."""
    seen = exceedance(rows, limits)
    if seen is None:
        return np.zeros(len(rows.raw))
    kappa = np.where(seen.usable, seen.kappa, 1.0)
    return np.where(seen.usable, log_below(seen, limits.slow_end**kappa) / np.log(limits.safe_boundary), 0.0)


def certified(rows: Rows, limits: Limits) -> Mask:
    """Whether p99 is shown to be inside its tolerance (releases,)."""
    return progress(rows, limits) >= 1.0


def certified_bound(rows: Rows, limits: Limits) -> Array:
    """The smallest factor of p99 (releases,) that is excluded from above; NaN while none below 16 is."""
    seen = exceedance(rows, limits)
    if seen is None:
        return np.full(len(rows.raw), np.nan)
    wanted = np.log(limits.safe_boundary)
    low, high = np.zeros(len(wanted)), np.full(len(wanted), math.log(LARGEST_BOUND))
    kappa = np.where(seen.usable, seen.kappa, 1.0)
    known = seen.usable & (log_below(seen, np.exp(kappa * high)) >= wanted)
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        passed = log_below(seen, np.exp(kappa * middle)) >= wanted
        low, high = np.where(passed, low, middle), np.where(passed, middle, high)
    bound: Array = np.where(known, np.exp(high), np.nan)
    return bound
