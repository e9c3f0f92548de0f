"""How a release's evidence is laid out in memory: one flat row of float64, the same width for every release.

Call overhead, not arithmetic, is the cost of judging, so that all releases due at a tick are judged as one two-dimensional
array. The row is the whole additive state; copying it is saving it. Its width does not depend on a release's histogram
bounds (they may be learnt late in a watch): histograms are padded to ``MAX_BUCKETS``.
"""

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MAX_BUCKETS = 64
"""Counts per histogram, +Inf included."""

TEMPERS = (1.0, 1.25, 1.6, 2.0, 3.0, 5.0, 8.0)
"""e ** (1 / phi) is an e-value for every phi >= 1 (Jensen); the first copy is the evidence, the rest serve the guards."""

BANK = (("errors", 20), ("denied", 20), ("rank", 14), ("tail", 6))
"""Exact legs and how many alternatives each holds, in the order of the columns of ``w0`` and ``wr``."""

ALTERNATIVES = sum(size for _, size in BANK)
MEAN_STARTS = 10
SCALES = 4
COUNT_COLUMNS = 10
BASELINE_RING = 60
CANARY_RING = 30
BLOCKS = 3
ERROR_BETS = 16

_SHAPES: dict[str, tuple[int, ...]] = {
    "head": (8,),
    "w0": (ALTERNATIVES,),
    "wr": (len(TEMPERS), ALTERNATIVES),
    "mean": (MEAN_STARTS, 3),
    "safe_mean": (3,),
    "mean_wait": (4,),
    "counts": (SCALES, COUNT_COLUMNS),
    "ranks": (SCALES, 2),
    "hist": (SCALES, 2, MAX_BUCKETS),
    "baseline_ring": (BASELINE_RING, 2),
    "canary_ring": (CANARY_RING, 2),
    "blocks": (BLOCKS, 7),
    "exposed": (3, MAX_BUCKETS),
    "error_bets": (ERROR_BETS,),
    "shown": (5,),
    "traffic": (6,),
}


def _offsets() -> tuple[dict[str, tuple[int, int, tuple[int, ...]]], int]:
    places: dict[str, tuple[int, int, tuple[int, ...]]] = {}
    at = 0
    for name, shape in _SHAPES.items():
        size = math.prod(shape)
        places[name] = (at, at + size, shape)
        at += size
    return places, at


_PLACES, WIDTH = _offsets()

# Columns of ``head``.
TICK, STARTED, SEEN, LATENCY_TICKS, ERROR_TICKS, BOUNDS_MARK, GAIN, LATENCY_EVIDENCE = range(8)

# Rows of ``exposed``.
CANARY, EXPECTED, EXPECTED_VARIANCE = range(3)

# Columns of ``shown``: the canary's requests while a baseline was there, and the failures expected among them at the baseline's
# rate of each tick; the ranks' precision, and precision times shift; ticks with latency.
EXPOSED, ERRORS_EXPECTED, PRECISION, SHIFT, TIMED_TICKS = range(5)

# Columns of ``traffic``: the canary's requests, and what the route's weight gives it; the fewest and the most that the policy
# allows, each with its variance.
CAME, GIVEN, FEWEST, FEWEST_VARIANCE, MOST, MOST_VARIANCE = range(6)

# Columns of ``counts``: canary and baseline errors, requests, denials; sums and counts behind the means.
C_ERR, B_ERR, C_REQ, B_REQ, C_DEN, B_DEN, C_SUM, B_SUM, C_LAT, B_LAT = range(COUNT_COLUMNS)


class Rows:
    """Named views into a batch of rows, shape (releases, ``WIDTH``). Writing to a view writes to the batch.

    Attributes:
        head: counters of one number each, see the column names of this module.
        w0: per alternative, the e-process begun at tick 0; its copy at temper phi is its power 1 / phi.
        wr: per temper and alternative, the mixture of those begun later.
        mean: per start of the mean leg, number, sum and sum of squares of log ratios.
        safe_mean: the same three of the mean's distance to its tolerance, for promotion.
        mean_wait: latency not yet enough for a mean: the canary's sum in ms and number, the baseline's sum in ms and number.
        counts, ranks, hist: totals since the start and over three fading memories (``analyzers.memory``).
        baseline_ring, canary_ring: errors and requests of the last ticks, for the guard against bursts.
        blocks: per block length, what the guard of latency dispersion needs.
        exposed: histograms since the start, for promotion: the canary's; the baseline's at the canary's exposure, tick by tick
            (sum of m B / n), and its variance (sum of (m / n)^2 B).
        error_bets: log e-values against "beyond the tolerated error rate", one per alternative, for promotion.
        shown: sums since the start, for promotion; traffic: for the guard of the share. See the column names of this module.
    """

    __slots__ = ("raw", *_SHAPES)

    raw: Array
    head: Array
    w0: Array
    wr: Array
    mean: Array
    safe_mean: Array
    mean_wait: Array
    counts: Array
    ranks: Array
    hist: Array
    baseline_ring: Array
    canary_ring: Array
    blocks: Array
    exposed: Array
    error_bets: Array
    shown: Array
    traffic: Array

    def __init__(self, raw: Array) -> None:
        """Wrap ``raw`` without copying it."""
        self.raw = raw
        size = raw.shape[0]
        for name, (first, last, shape) in _PLACES.items():
            setattr(self, name, raw[:, first:last].reshape(size, *shape))


def blank() -> Array:
    """The row of a release that has seen nothing: every e-process is worth 1."""
    raw = np.zeros((1, WIDTH))
    rows = Rows(raw)
    rows.w0[:] = 1.0
    rows.head[:, GAIN] = 1.0
    rows.head[:, LATENCY_EVIDENCE] = 1.0
    row: Array = raw[0]
    return row
