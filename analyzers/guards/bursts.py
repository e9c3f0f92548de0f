"""Bursts: errors that come in clumps (retries, one bad connection) look like many failures and are few.

The variance of errors per tick against a Poisson's tells the size of the clumps; the errors' evidence is then cooled by it. The
canary's is taken from successive ticks, since a canary that begins to fail in the middle of a watch is no clump. Where a
tick brings several failures as a rule, the first few ticks cannot tell clumps from chance: ``EARLY`` is assumed. A
single tick's errors are one clump for all we know, so that errors alone convict only when they came in two different ticks. An
outage is exempt (``is_outage``): no clump of retries fails a fifth of a tick's requests, at least twenty, while the baseline
is well.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from analyzers.intake import Tick
from analyzers.layout import B_ERR, B_REQ, BASELINE_RING, C_REQ, CANARY_RING, ERROR_TICKS, SEEN, TEMPERS, Array, Mask, Rows

CONFIDENCE_Z: Final = 2.3263478740
"""Normal quantile of .99: dispersion counts only when chi-squared makes it this sure."""
OUTAGE_RATE: Final = 0.2
OUTAGE_ERRORS: Final = 20.0
OUTAGE_BASELINE: Final = 0.25
"""In an outage the baseline's failed share is at most this part of the canary's."""
TICKS_WITH_ERRORS: Final = 2.0
EARLY: Final = 5.0
EARLY_TICKS: Final = 5.0
"""Ticks up to which ``EARLY`` is assumed."""
USUAL_FAILURES: Final = 1.0
"""Failures that the canary would have in a tick at the baseline's rate, from which on ``EARLY`` is assumed."""
_FREEDOM: Final[Array] = np.arange(1.0, max(BASELINE_RING, CANARY_RING) + 1.0)
_SPREAD = 2.0 / (9.0 * _FREEDOM)
_LIMITS: Final[Array] = np.concatenate([[math.inf], _FREEDOM * (1.0 - _SPREAD + CONFIDENCE_Z * np.sqrt(_SPREAD)) ** 3])
"""The .99 quantiles of chi-squared by degrees of freedom (Wilson and Hilferty 1931: within .8 %), infinite for none."""


def fold(rows: Rows, tick: Tick) -> None:
    """Note one tick's errors. Rings forget the oldest tick."""
    seen = tick.seen
    if not seen.any():
        return
    at = rows.head[:, SEEN].astype(np.intp)
    row = np.flatnonzero(seen)
    for ring, length, errors, requests in (
        (rows.baseline_ring, BASELINE_RING, tick.b_err, tick.b_req),
        (rows.canary_ring, CANARY_RING, tick.c_err, tick.c_req),
    ):
        place = at[row] % length
        ring[row, place, 0] = errors[row]
        ring[row, place, 1] = requests[row]
    rows.head[:, SEEN] += seen
    rows.head[:, ERROR_TICKS] += tick.c_err + tick.c_den > 0.0


def chi_squared_99(freedom: int) -> float:
    """The .99 quantile of chi-squared (Wilson and Hilferty 1931)."""
    spread = 2.0 / (9.0 * freedom)
    return freedom * (1.0 - spread + CONFIDENCE_Z * math.sqrt(spread)) ** 3


def assumed(counts: Array, ticks: Array) -> Array:
    """What is assumed of clumps (releases,) after so many ticks, from the counts since the start (releases, columns).

    A baseline that has not failed yet may fail as often as the rule of three says (Hanley and Lippman-Hand 1983).
    """
    failures = np.where(counts[:, B_ERR] > 0.0, counts[:, B_ERR], 3.0)
    rate = failures / np.maximum(counts[:, B_REQ], 1.0)
    usual = rate * counts[:, C_REQ] / np.maximum(ticks, 1.0)
    return np.where((ticks <= EARLY_TICKS) & (usual >= USUAL_FAILURES), EARLY, 1.0)


def dispersion(ring: Array) -> Array:
    """Variance of errors per tick over a Poisson's (releases,), Fisher's index of dispersion; 1 unless it is surely larger."""
    errors, requests = ring[..., 0], ring[..., 1]
    asked = requests > 0.0
    total = errors.sum(-1)
    rate = np.where(total > 0.0, total / np.maximum(requests.sum(-1), 1.0), 1.0)
    spread = np.where(asked, errors * errors / np.where(asked, requests, 1.0), 0.0).sum(-1) / rate - total
    freedom = np.maximum(asked.sum(-1) - 1, 0)
    counts: Array = np.where(spread > _LIMITS[freedom], spread / np.maximum(freedom, 1), 1.0)
    return np.maximum(counts, 1.0)


def successive_dispersion(ring: Array, newest: npt.NDArray[np.intp]) -> Array:
    """The same from the differences of successive ticks (releases,), which a regression that begins in between does not disturb.

    Args:
        newest: (releases,), the ring's place written last.
    """
    errors, requests = ring[..., 0], ring[..., 1]
    rate = errors.sum(-1) / np.maximum(requests.sum(-1), 1.0)
    expected = rate[:, None] * requests
    known = expected > 0.0
    z = np.where(known, (errors - expected) / np.sqrt(np.where(known, expected, 1.0)), 0.0)
    pairs = known & np.roll(known, -1, axis=1)
    pairs[np.arange(len(newest)), newest] = False
    number = pairs.sum(1)
    mean = np.where(pairs, 0.5 * (np.roll(z, -1, axis=1) - z) ** 2, 0.0).sum(1) / np.maximum(number, 1)
    freedom = (2 * number) // 3  # neighbouring differences share a tick: the mean's variance is 3/n
    surely = mean * freedom > _LIMITS[freedom]
    return np.maximum(np.where(surely, mean, 1.0), 1.0)


def cooling(phi: Array) -> npt.NDArray[np.intp]:
    """The index of the smallest temper at or above ``phi`` (the last one beyond the list)."""
    return np.searchsorted(TEMPERS[:-1], phi - 1e-12)


def is_outage(tick: Tick) -> Mask:
    """Whether this tick is an outage of the canary alone (releases,)."""
    rate = tick.c_err / np.maximum(tick.c_req, 1.0)
    base = tick.b_err / np.maximum(tick.b_req, 1.0)
    return (tick.c_err >= OUTAGE_ERRORS) & (rate >= OUTAGE_RATE) & (base <= OUTAGE_BASELINE * rate)
