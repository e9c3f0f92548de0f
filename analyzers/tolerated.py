"""The tolerated baseline: how many requests could lie above each bound if the baseline were as slow as the policy allows.

A canary is convicted only of what this cannot explain, so that it errs towards slow. What lies between two bounds is not known;
what is known of it comes from the counts at the bounds: latency is taken to be lognormal from bound to bound (a straight line of
the normal quantile over the logarithm), with the steeper of the lines on both sides, each made steeper by the root of the count it
rests on. Where the density falls from the bucket before to the one after, no more than an even spread can lie next to the bound;
in the bucket of the mode more can. Where nearly all requests lie in the bucket, or next to it, nothing is known (a blind bound):
all of them may lie right below the bound.
"""

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from analyzers.arrays import Array, Mask
from analyzers.buckets import log_edges

Places = npt.NDArray[np.intp]

BLIND_SHARE: Final = 0.5
"""A bucket with this part of the requests hides where they lie."""
BLIND_PAIR: Final = 0.9
"""The same of two neighbours."""
_LEAST: Final = 0.5
"""Requests: no bound is taken to have fewer above or below it."""


class Passing:
    """Which part of a bucket's requests passes each bound when latency is ``factor`` times as long; all (releases, J-1).

    Attributes:
        place: the bucket in which a request lies that just reaches the bound.
        share: the part of that bucket's requests that passes, at most.
        rare: the same with half a request more above the bound, as by Jeffreys' prior: where few lie above, their number is itself
            a matter of chance, and the slow end is judged by just these.
        blind: nothing is known of it.
    """

    __slots__ = ("blind", "place", "rare", "share")

    def __init__(self, history: Array, bounds: Array, factor: Array) -> None:
        """From the baseline's histogram (releases, J) so far, finite bounds (releases, J-1) and a factor (releases,)."""
        size, total = len(history), np.maximum(history.sum(1, keepdims=True), 2.0 * _LEAST)
        self.place, width, next_width, steps, widths = _geometry(bounds.tobytes(), factor.tobytes(), size)
        row = np.arange(size)[:, None]
        upper, after = self.place + 1, self.place + 2
        above = np.zeros((size, history.shape[1] + 1))
        np.cumsum(history[:, ::-1], axis=1, out=above[:, 1:])
        above = above[:, ::-1]
        here, beyond, before = (above[row, at] for at in (upper, after, self.place))
        share, next_share = (before - here) / total, (here - beyond) / total
        below = np.maximum(total - before, 0.0)
        counts = (
            here,
            here + _LEAST,
            total - np.maximum(below - np.sqrt(below), _LEAST),
            np.maximum(beyond - np.sqrt(beyond), _LEAST),
        )
        shares = np.minimum(np.maximum(np.array(counts), _LEAST), np.maximum(total - _LEAST, _LEAST)) / total
        at = ndtri(shares)
        steepness = np.maximum((at[2] - at[0]) / width, (at[0] - at[3]) / next_width)
        passing = ndtr(at[:2] + steepness * steps) - np.array(counts[:2]) / total
        densities = history / total / widths
        density, next_density = densities[row, self.place], densities[row, upper]
        falling = (density >= next_density) & (self.place > 0) & (densities[row, np.maximum(self.place - 1, 0)] >= density)
        even = share * np.minimum(steps / width, 1.0)
        passing = np.where(falling, np.minimum(passing, even), passing) / np.maximum(share, 1e-300)
        passing = np.minimum(np.maximum(passing, 0.0), 1.0)
        self.blind: Mask = (
            (share >= BLIND_SHARE) | (share + next_share >= BLIND_PAIR) | ((density < next_density) & (next_share >= BLIND_SHARE))
        )
        self.share: Array = np.where(self.blind, 1.0, passing[0])
        self.rare: Array = np.maximum(self.share, passing[1])

    def slowed(self, counts: Array, *, rare: bool = False) -> Array:
        """Histograms (..., releases, J) with their requests moved up so; ``rare``: by that share."""
        row = np.arange(counts.shape[-2])[:, None]
        above = np.zeros((*counts.shape[:-1], counts.shape[-1] + 1))
        counts[..., ::-1].cumsum(-1, out=above[..., :-1][..., ::-1])
        passed = above[..., row, self.place + 1] + (self.rare if rare else self.share) * counts[..., row, self.place]
        np.minimum.accumulate(passed, axis=-1, out=above[..., 1:-1])
        slower: Array = above[..., :-1] - above[..., 1:]
        return slower


@lru_cache(maxsize=64)
def _geometry(bounds: bytes, factor: bytes, size: int) -> tuple[Places, Array, Array, Array, Array]:
    """Where the bounds lie once requests take longer: the same at nearly every tick of a watch.

    Returns:
        (releases, J-1) each: the bucket of the point that just reaches the bound, its logarithmic width and that of the next one,
        and how far the point lies below the bucket's end; and the widths of all buckets (releases, J).
    """
    edges = log_edges(np.frombuffer(bounds).reshape(size, -1))
    point = edges[:, 1:-1] - np.log(np.frombuffer(factor))[:, None]
    place = (edges[:, None, 1:-1] < point[:, :, None]).sum(-1)
    row, widths = np.arange(size)[:, None], edges[:, 1:] - edges[:, :-1]
    return place, widths[row, place], widths[row, place + 1], edges[row, place + 1] - point, widths
