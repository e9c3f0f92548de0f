"""Bursts: errors that come in clumps (retries, one bad connection) look like many failures and are few. So do requests without an
answer, where a client that goes takes all of its requests with it.

The variance of errors per tick against a Poisson's tells the size of the clumps; the logarithm of the errors' evidence is then
divided by it. The canary's is taken from successive ticks and without the largest step, since a canary that begins to fail in the
middle of a watch is no clump.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import chdtri

from analyzers.intake import Tick
from analyzers.layout import BASELINE_RING, CANARY_RING, SEEN, Array, Rows

CONFIDENCE: Final = 0.99
"""Dispersion counts only when chi-squared makes it this sure."""
_LIMITS: Final[Array] = np.asarray(chdtri(np.arange(max(BASELINE_RING, CANARY_RING) + 1.0), 1.0 - CONFIDENCE), dtype=np.float64)
"""Quantiles of chi-squared by degrees of freedom."""
_LIMITS[0] = np.inf
_NUMBERS: Final = np.log([3.0, 4.0, 5.0, 6.0, 8.0, 11.0, 15.0, 20.0, 29.0])
_TRIMMED: Final = np.array([0.567, 0.599, 0.632, 0.655, 0.697, 0.738, 0.778, 0.811, 0.849])
"""Expected mean of half of n successive squared differences of normals without the largest step (simulated, 200 000 of each)."""


def fold(rows: Rows, tick: Tick) -> None:
    """Note one tick's errors, and its unanswered requests. Rings forget the oldest tick."""
    row = np.flatnonzero(tick.seen)
    at = rows.head[row, SEEN].astype(np.intp)
    rows.baseline_ring[row, at % BASELINE_RING] = np.array((tick.b_err, tick.b_req)).T[row]
    rows.canary_ring[row, at % CANARY_RING] = np.array((tick.c_err, tick.c_req)).T[row]
    rows.baseline_gone_ring[row, at % BASELINE_RING] = np.array((tick.b_una, tick.b_req + tick.b_una)).T[row]
    rows.canary_gone_ring[row, at % CANARY_RING] = np.array((tick.c_una, tick.c_req + tick.c_una)).T[row]
    rows.head[:, SEEN] += tick.seen


def dispersion(ring: Array) -> Array:
    """Variance of errors per tick over a Poisson's (releases,), Fisher's index of dispersion; 1 unless it is surely larger."""
    errors, requests = ring[..., 0], ring[..., 1]
    total = errors.sum(-1)
    rate = np.where(total > 0.0, total / np.maximum(requests.sum(-1), 1.0), 1.0)
    spread = (errors * errors / np.maximum(requests, 1.0)).sum(-1) / rate - total
    freedom = np.maximum((requests > 0.0).sum(-1) - 1, 0)
    return np.where(spread > _LIMITS[freedom], spread / np.maximum(freedom, 1), 1.0)


def successive_dispersion(ring: Array, newest: npt.NDArray[np.intp]) -> Array:
    """The same from the differences of successive ticks (releases,), half their mean square (von Neumann, Kent, Bellinson and Hart
    1941), which a regression that begins in between does not disturb: the largest step is left out, with the one that goes on
    from it, for a regression can begin in the middle of a tick. ``newest``: (releases,), the ring's place written last.
    """
    errors, requests = ring[..., 0], ring[..., 1]
    rate = errors.sum(-1) / np.maximum(requests.sum(-1), 1.0)
    expected = rate[:, None] * requests
    known = expected > 0.0
    z = np.where(known, (errors - expected) / np.sqrt(np.where(known, expected, 1.0)), 0.0)
    pairs = known & np.roll(known, -1, axis=1)
    pairs[np.arange(len(newest)), newest] = False
    steps = np.where(pairs, np.roll(z, -1, axis=1) - z, 0.0)
    following = np.roll(steps, -1, axis=1)
    goes_on = steps * following > 0.0
    squares = 0.5 * steps**2
    onsets = squares + np.where(goes_on, 0.5 * following**2, 0.0)
    largest = onsets.argmax(1)[:, None]
    left_out = 1 + np.take_along_axis(goes_on, largest, 1)[:, 0]
    number = pairs.sum(1)
    usual = np.interp(np.log(np.maximum(number, 1)), _NUMBERS, _TRIMMED)
    mean = (squares.sum(1) - onsets.max(1)) / np.maximum(number - left_out, 1) / usual
    freedom = np.maximum(2 * (number - left_out) // 3, 0)  # neighbouring differences share a tick: the mean's variance is 3/n
    return np.where(mean * freedom > _LIMITS[freedom], mean, 1.0)


def clumping(rows: Rows) -> tuple[Array, Array]:
    """How many failures come at a time in either arm, as variance over that of independent ones (releases,), and how many
    requests without an answer.
    """
    newest = (rows.head[:, SEEN].astype(np.intp) - 1) % CANARY_RING
    failed = np.maximum(dispersion(rows.baseline_ring), successive_dispersion(rows.canary_ring, newest))
    gone = np.maximum(dispersion(rows.baseline_gone_ring), successive_dispersion(rows.canary_gone_ring, newest))
    return failed, gone
