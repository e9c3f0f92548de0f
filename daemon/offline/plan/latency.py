"""The distribution behind an observed histogram, smooth enough that a part of it can be made slower.

Between two bounds latency is taken to be lognormal, as far as the shares at the bounds say: a straight line from bound to bound
of the normal quantile over the logarithm of latency, continued at both ends. Spreading a bucket's requests evenly instead
would put a p95 that lies inside a wide bucket far from where it is, and every regression of the tail with it.
"""

import math
from functools import lru_cache
from itertools import pairwise
from statistics import NormalDist

import msgspec
import numpy as np
from scipy.special import ndtr

from analyzers.layout import Array
from daemon.offline.simulation import shapes
from daemon.offline.simulation.shapes import Shape

_POINTS = 2048
_FURTHEST = 6.0
"""Standard deviations beyond which the ends are cut: one request in 10^9."""
_WIDEST = 12.0
"""Logarithms by which an end may lie beyond its bound: where two shares hardly differ, a line through them leads anywhere."""


class Histogram(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Observed latencies: finite upper bounds in ms, and one count more than bounds (the last is above all of them)."""

    bounds_ms: tuple[float, ...]
    counts: tuple[float, ...]

    @property
    def shape(self) -> Shape:
        """The distribution behind it. Raises ``ValueError`` when it is none."""
        return _smooth(self)


def stretched(histogram: Histogram, tail: float) -> Shape:
    """The distribution behind a histogram with everything above p95 stretched, so that p99 is ``tail`` times as long."""
    return shapes.stretched(histogram.shape, tail)


@lru_cache(maxsize=64)
def _smooth(histogram: Histogram) -> Shape:
    plain = shapes.histogram(bounds_ms=histogram.bounds_ms, counts=histogram.counts)
    below = np.cumsum(histogram.counts)[:-1] / math.fsum(histogram.counts)
    known = [
        (math.log(bound), NormalDist().inv_cdf(float(share)))
        for bound, share in zip(histogram.bounds_ms, below, strict=True)
        if 0.0 < share < 1.0
    ]
    slopes = [(after[1] - before[1]) / (after[0] - before[0]) for before, after in pairwise(known)]
    rising = [slope for slope in slopes if slope > 0.0]
    if not rising:
        # One bucket holds nearly everything: nothing is known of how it is spread inside.
        return plain
    first = known[0][0] - min((_FURTHEST + known[0][1]) / rising[0], _WIDEST)
    last = known[-1][0] + min((_FURTHEST - known[-1][1]) / rising[-1], _WIDEST)
    log_ms = np.linspace(first, last, _POINTS)
    at, z = np.array([first, *(x for x, _ in known), last]), np.array([-_FURTHEST, *(z for _, z in known), _FURTHEST])
    return _shape(log_ms, ndtr(np.interp(log_ms, at, z)))


def _shape(log_ms: Array, below: Array) -> Shape:
    """A shape from cumulative shares at fine steps."""
    counts = np.diff(np.concatenate([[0.0], np.maximum.accumulate(below), [1.0]]))
    return shapes.histogram(bounds_ms=np.exp(log_ms).tolist(), counts=np.maximum(counts, 0.0).tolist())
