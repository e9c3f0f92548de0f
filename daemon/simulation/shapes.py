"""How latency is distributed, as a table that any histogram, any common factor and any sum can be read from at once.

A shape is three cumulative curves over the logarithm of latency: share, first and second moment. Reading them at the bounds of a
histogram, moved by a factor, gives each bucket's chance and the mean and variance of the requests inside it, so that
a tick's sum of latencies agrees with its counts without a single request being drawn.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from analyzers import buckets, normal
from analyzers.layout import Array

Z95: Final = 1.6448536270
Z99: Final = 2.3263478740
POINTS: Final = 8192
_FURTHEST: Final = 7.5
"""Standard deviations beyond which a lognormal ends: one request in 10^13."""
_RAREST: Final = 1e-12
"""A bucket with a smaller chance is empty: its moments would be rounding errors."""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A distribution of latency.

    Attributes:
        first: logarithm of the smallest latency in ms. step: of the grid, in logarithms.
        curves: (points, 3), cumulative share, mean part (ms) and square part (ms^2) up to each grid point.
    """

    first: float
    step: float
    curves: Array

    @property
    def mean_ms(self) -> float:
        """Mean latency."""
        return float(self.curves[-1, 1])

    def quantile_ms(self, share: float) -> float:
        """The latency that this share of the requests does not exceed."""
        at = float(np.interp(share, self.curves[:, 0], np.arange(len(self.curves))))
        return math.exp(self.first + at * self.step)

    def buckets(self, log_bounds: Array, log_factor: Array) -> tuple[Array, Array, Array]:
        """Chance, mean (ms) and variance (ms^2) of the latencies in each bucket when all are longer by a factor.

        Args:
            log_bounds: (J-1,), logarithms of the finite upper bounds in ms.
            log_factor: (...), logarithm of the factor.

        Returns:
            Three arrays (..., J); mean and variance of an empty bucket are 0.
        """
        place = np.clip((log_bounds - log_factor[..., None] - self.first) / self.step, 0.0, len(self.curves) - 1.0)
        left = np.minimum(place.astype(np.intp), len(self.curves) - 2)
        below = self.curves[left]
        inner = below + (place - left)[..., None] * (self.curves[left + 1] - below)
        ends = (*log_factor.shape, 1, 3)
        whole = np.concatenate([np.zeros(ends), inner, np.broadcast_to(self.curves[-1], ends)], axis=-2)
        chance, first, second = np.moveaxis(np.maximum(np.diff(whole, axis=-2), 0.0), -1, 0)
        filled = chance > _RAREST
        chance = np.where(filled, chance, 0.0)
        safe = np.where(filled, chance, 1.0)
        mean = np.where(filled, first / safe, 0.0)
        variance = np.where(filled, np.maximum(second / safe - mean * mean, 0.0), 0.0)
        factor = np.exp(log_factor)[..., None]
        return chance / chance.sum(-1, keepdims=True), mean * factor, variance * factor * factor


def _shape(log_ms: Array, share: Array) -> Shape:
    """From the cumulative shares (points,) on an even grid of logarithms; moments by the middles of the steps."""
    step = float(log_ms[1] - log_ms[0])
    part = np.diff(share, prepend=0.0)
    middle = np.exp(log_ms - 0.5 * step)
    curves = np.stack([share, np.cumsum(part * middle), np.cumsum(part * middle * middle)], axis=-1)
    return Shape(first=float(log_ms[0]), step=step, curves=curves / share[-1])


@lru_cache(maxsize=64)
def lognormal(*, median_ms: float, p99_ms: float, tail: float = 1.0) -> Shape:
    """Lognormal latency; ``tail`` stretches what is above p95 continuously, so that p99 is that factor longer.

    Raises:
        ValueError: the numbers are not 0 < median < p99, or the tail is shortened below p95.
    """
    if not 0.0 < median_ms < p99_ms < math.inf:
        raise ValueError(f"0 < median_ms < p99_ms is needed, got {median_ms} and {p99_ms}")
    sigma = math.log(p99_ms / median_ms) / Z99
    log_median, log_p95 = math.log(median_ms), math.log(median_ms) + Z95 * sigma
    steepness = 1.0 + math.log(tail) / ((Z99 - Z95) * sigma)
    if steepness <= 0.0:
        raise ValueError(f"a tail of {tail} would put p99 below p95")
    last = log_p95 + (_FURTHEST - Z95) * sigma * steepness
    log_ms = np.linspace(log_median - _FURTHEST * sigma, last, POINTS)
    unstretched = np.where(log_ms > log_p95, log_p95 + (log_ms - log_p95) / steepness, log_ms)
    return _shape(log_ms, np.exp(normal.log_cdf((unstretched - log_median) / sigma)))


def mixture(parts: Sequence[tuple[float, Shape]]) -> Shape:
    """Requests of several kinds (a cache's hits and misses): shares, which need not add up to 1, with their shapes.

    Raises:
        ValueError: no part, or a share that is not positive.
    """
    if not parts or any(share <= 0.0 for share, _ in parts):
        raise ValueError("a mixture needs parts with positive shares")
    first = min(shape.first for _, shape in parts)
    last = max(shape.first + shape.step * (len(shape.curves) - 1) for _, shape in parts)
    log_ms = np.linspace(first, last, POINTS)
    total = np.zeros(POINTS)
    for share, shape in parts:
        grid = shape.first + shape.step * np.arange(len(shape.curves))
        total += share * np.interp(log_ms, grid, shape.curves[:, 0], left=0.0)
    return _shape(log_ms, total)


def histogram(*, bounds_ms: Sequence[float], counts: Sequence[float]) -> Shape:
    """The shape behind an observed histogram, mass spread evenly over the logarithm inside each bucket.

    Raises:
        ValueError: the counts are not one more than the bounds, negative, or all zero.
    """
    seen = np.asarray(counts, dtype=np.float64)
    if len(seen) != len(bounds_ms) + 1 or len(bounds_ms) == 0 or (seen < 0.0).any() or seen.sum() <= 0.0:
        raise ValueError(f"a histogram of {len(bounds_ms)} bounds needs as many counts and one more, none negative, not all zero")
    edges = buckets.log_edges(np.array([bounds_ms], dtype=np.float64))[0]
    shares = buckets.distribution(seen[None, :])[0]
    log_ms = np.linspace(edges[0], edges[-1], POINTS)
    return _shape(log_ms, np.interp(log_ms, edges, shares))
