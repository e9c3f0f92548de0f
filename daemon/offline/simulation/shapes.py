"""How latency is distributed, as a table that any histogram, any common factor and any sum can be read from at once.

A shape is three cumulative curves over the logarithm of latency: share, first and second moment. Reading them at the bounds of a
histogram, moved by a factor, gives each bucket's chance and the mean and variance of the requests inside it, so that
a tick's sum of latencies agrees with its counts without a single request being drawn.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from scipy.special import ndtr

from analyzers import buckets
from analyzers.layout import Array

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
    def grid(self) -> Array:
        """(points,), the logarithms of latency at which the curves are known."""
        grid: Array = self.first + self.step * np.arange(len(self.curves), dtype=np.float64)
        return grid

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


def _checked(median_ms: float, p99_ms: float) -> None:
    if not 0.0 < median_ms < p99_ms < math.inf:
        raise ValueError(f"0 < median_ms < p99_ms is needed, got {median_ms} and {p99_ms}")


@lru_cache(maxsize=64)
def lognormal(*, median_ms: float, p99_ms: float) -> Shape:
    """Lognormal latency.

    Raises:
        ValueError: the numbers are not 0 < median < p99; so with the other families.
    """
    _checked(median_ms, p99_ms)
    sigma = math.log(p99_ms / median_ms) / Z99
    log_ms = np.linspace(math.log(median_ms) - _FURTHEST * sigma, math.log(median_ms) + _FURTHEST * sigma, POINTS)
    return _shape(log_ms, ndtr((log_ms - math.log(median_ms)) / sigma))


@lru_cache(maxsize=64)
def pareto(*, median_ms: float, p99_ms: float) -> Shape:
    """Pareto latency: a share (shortest / x)^a of the requests takes longer than x."""
    _checked(median_ms, p99_ms)
    power = math.log(50.0) / math.log(p99_ms / median_ms)
    shortest = math.log(median_ms) - math.log(2.0) / power
    log_ms = np.linspace(shortest, shortest - math.log(_RAREST) / power, POINTS)
    return _shape(log_ms, -np.expm1(-power * (log_ms - shortest)))


@lru_cache(maxsize=64)
def gamma(*, median_ms: float, p99_ms: float) -> Shape:
    """Gamma latency; the power that has this p99 to its median is found by bisection."""
    _checked(median_ms, p99_ms)
    low, high = 0.05, 5000.0
    while high > low * (1.0 + 1e-9):
        power = math.sqrt(low * high)
        unit = _gamma_of(power)
        if unit.quantile_ms(0.99) * median_ms > p99_ms * unit.quantile_ms(0.5):
            low = power
        else:
            high = power
    unit = _gamma_of(math.sqrt(low * high))
    scale = median_ms / unit.quantile_ms(0.5)
    return Shape(first=unit.first + math.log(scale), step=unit.step, curves=unit.curves * np.array([1.0, scale, scale * scale]))


def _gamma_of(power: float) -> Shape:
    """Gamma latency with a scale of 1 ms, by the density x^power e^-x over the logarithm of x."""
    log_ms = np.linspace(
        math.log(power) - max(4.0, 8.0 / math.sqrt(power)) - 30.0 / power, math.log(power + 40.0 + 9.0 * math.sqrt(power)), POINTS
    )
    density = np.exp(power * (log_ms - math.log(power)) - np.exp(log_ms) + power)
    return _shape(log_ms, np.cumsum(density))


FAMILIES: Final[dict[str, Callable[..., Shape]]] = {"lognormal": lognormal, "gamma": gamma, "pareto": pareto}


@lru_cache(maxsize=256)
def stretched(shape: Shape, tail: float) -> Shape:
    """The same with everything above p95 stretched continuously, so that p99 is ``tail`` times as long.

    Raises:
        ValueError: the tail is shortened below p95.
    """
    if tail == 1.0:
        return shape
    p95, p99 = (math.log(shape.quantile_ms(share)) for share in (0.95, 0.99))
    steepness = 1.0 + math.log(tail) / max(p99 - p95, 1e-6)
    if steepness <= 0.0:
        raise ValueError(f"a tail of {tail} would put p99 below p95")
    grid = shape.grid
    log_ms = np.linspace(grid[0], p95 + (grid[-1] - p95) * steepness, POINTS)
    unstretched = np.where(log_ms > p95, p95 + (log_ms - p95) / steepness, log_ms)
    return _shape(log_ms, np.interp(unstretched, grid, shape.curves[:, 0]))


@lru_cache(maxsize=256)
def delayed(shape: Shape, *, from_ms: float, to_ms: float) -> Shape:
    """The same with a wait added, evenly distributed between two times (a wait far shorter than the latencies loses digits).

    The share below x of a sum with an even wait is the mean of the shares below x - wait, and the integral of a cumulative share up
    to x is x times the share less the first moment up to x.
    """
    longest = math.log(math.exp(shape.grid[-1]) + to_ms)
    shortest = math.log(math.exp(shape.first) + from_ms)
    log_ms = np.linspace(shortest, longest, POINTS)
    late, early = (_integral(shape, np.exp(log_ms) - wait) for wait in (from_ms, to_ms))
    return _shape(log_ms, np.maximum.accumulate(np.maximum(late - early, 0.0) / (to_ms - from_ms)))


def _integral(shape: Shape, ms: Array) -> Array:
    """The integral of the cumulative share from 0 up to some times (points,)."""
    log_ms = np.log(np.maximum(ms, 1e-300))
    share, first = (np.interp(log_ms, shape.grid, shape.curves[:, column], left=0.0) for column in (0, 1))
    return np.where(ms > 0.0, ms * share - first, 0.0)


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
        total += share * np.interp(log_ms, shape.grid, shape.curves[:, 0], left=0.0)
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
