"""Histograms between their bounds: quantiles, and what a histogram would look like if every request took longer.

Inside a bucket mass is spread evenly over the logarithm of latency; below the first and above the last bound a bucket
is as wide as a factor of two. That is a convention, good for estimates and, where buckets resolve the change, for tolerances.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from analyzers.arrays import Array, Mask

OPEN_FACTOR: Final = 2.0
FIT_SHARE: Final = 0.4
"""A bucket that holds the median and more mass than this cannot resolve a change of the median."""
LARGEST_FACTOR: Final = 64.0
_STEPS: Final = 16


def log_edges(bounds: Array) -> Array:
    """Logarithms of the edges (releases, J+1) of J buckets from their J-1 finite bounds."""
    edges = np.empty((len(bounds), bounds.shape[1] + 2))
    np.log(bounds, out=edges[:, 1:-1])
    edges[:, 0] = edges[:, 1] - math.log(OPEN_FACTOR)
    edges[:, -1] = edges[:, -2] + math.log(OPEN_FACTOR)
    return edges


def distribution(counts: Array) -> Array:
    """Cumulative shares at the edges (releases, J+1)."""
    below = np.zeros((len(counts), counts.shape[1] + 1))
    np.cumsum(counts, axis=-1, out=below[:, 1:])
    below /= np.maximum(below[:, -1:], 1e-300)
    return below


def slowed(counts: Array, edges: Array, log_factor: Array) -> Array:
    """Shares of the buckets (releases, J) if every request had taken ``exp(log_factor)`` times as long."""
    below = distribution(counts)
    wanted = edges[:, 1:-1] - log_factor[:, None]
    place = np.clip((edges[:, None, :] <= wanted[:, :, None]).sum(-1) - 1, 0, counts.shape[1] - 1)
    row = np.arange(len(place))[:, None]
    left, right = edges[row, place], edges[row, place + 1]
    low, high = below[row, place], below[row, place + 1]
    inside = np.clip((wanted - left) / (right - left), 0.0, 1.0)
    cut = low + (high - low) * inside
    ends = np.concatenate([np.zeros((len(counts), 1)), cut, np.ones((len(counts), 1))], axis=1)
    return np.diff(ends, axis=1)


def slower_probability(shares: Array, counts: Array) -> Array:
    """Probability (releases,) that a request from ``shares`` is slower than one from ``counts``, ties half."""
    below = distribution(counts)
    middle = 0.5 * (below[:, :-1] + below[:, 1:])
    probability: Array = (shares * middle).sum(-1)
    return probability


def factor_of(probability: Array, counts: Array, edges: Array) -> Array:
    """The smallest factor (releases,) that makes the histogram slower than itself with ``probability``; between 1/64 and 64."""
    low = np.full(len(counts), -math.log(LARGEST_FACTOR))
    high = -low
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        short = slower_probability(slowed(counts, edges, middle), counts) < probability
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    factor: Array = np.exp(high)
    return factor


def place_of(below: Array, level: Array | float) -> npt.NDArray[np.intp]:
    """The bucket (releases,) in which the cumulative share passes ``level``; the last one of an empty histogram."""
    place: npt.NDArray[np.intp] = np.minimum((below[:, 1:] < np.asarray(level)[..., None]).sum(-1), below.shape[1] - 2)
    return place


def tail_quantile(counts: Array, edges: Array, level: Array | float) -> Array:
    """The latency (releases,) in ms below which a share ``level`` lies, of a tail that thins out: Pareto's law between two bounds.

    Spread evenly, the requests right above a bound would seem to lie far from it, and a few more of them like a large change.
    """
    below = distribution(counts)
    place = place_of(below, level)
    row = np.arange(len(place))
    left, right = edges[row, place], edges[row, place + 1]
    above = 1.0 - np.concatenate([below[row, place], below[row, place + 1]])
    most, least = np.log(np.maximum(above.reshape(2, -1), 0.5 / np.maximum(counts.sum(-1), 1.0)))
    inside = (most - np.log1p(-np.asarray(level))) / np.maximum(most - least, 1e-12)
    latency: Array = np.exp(left + (right - left) * np.minimum(np.maximum(inside, 0.0), 1.0))
    return latency


def resolves_median(counts: Array) -> Mask:
    """Whether the bucket that holds the median is narrow enough in mass for the median to be compared (releases,)."""
    place = place_of(distribution(counts), 0.5)
    total = np.maximum(counts.sum(-1), 1e-300)
    fits: Mask = counts[np.arange(len(place)), place] / total < FIT_SHARE
    return fits
