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
        share: the part that passes, at most, of the bucket in which a request lies that just reaches the bound.
        rare: the same with half a request more above the bound, as by Jeffreys' prior: where few lie above, their number is itself
            a matter of chance, and the slow end is judged by just these.
        blind: nothing is known of it.
    """

    __slots__ = ("_ends", "_places", "blind", "rare", "share")

    def __init__(self, history: Array, bounds: Array, factor: Array) -> None:
        """From the baseline's histogram (releases, J) so far, finite bounds (releases, J-1) and a factor (releases,)."""
        size, total = len(history), np.maximum(history.sum(1, keepdims=True), 2.0 * _LEAST)
        self._ends, self._places, width, next_width, steps, widths = _geometry(bounds.tobytes(), factor.tobytes(), size)
        before, here, beyond = _above(history).take(self._ends)
        share, next_share = (before - here) / total, (here - beyond) / total
        fewest = np.array((np.maximum(total - before, 0.0), beyond))
        fewest -= np.sqrt(fewest)
        counts = np.array((here, here + _LEAST, total - fewest[0], fewest[1]))
        at = ndtri(np.minimum(np.maximum(counts, _LEAST), total - _LEAST) / total)
        steepness = np.maximum((at[2] - at[0]) / width, (at[0] - at[3]) / next_width)
        passing = ndtr(at[:2] + steepness * steps) - counts[:2] / total
        density, next_density, last_density = (history / widths).take(self._places)
        rising = density < next_density
        falling = ~rising & (self._places[0] > self._places[2]) & (last_density >= density)
        passing = np.where(falling, np.minimum(passing, share * np.minimum(steps / width, 1.0)), passing)
        passing = np.minimum(np.maximum(passing / np.maximum(share, 1e-300), 0.0), 1.0)
        fullest = np.where(rising, np.maximum(share, next_share), share)
        self.blind: Mask = (fullest >= BLIND_SHARE) | (share + next_share >= BLIND_PAIR)
        self.share: Array = np.where(self.blind, 1.0, passing[0])
        self.rare: Array = np.maximum(self.share, passing[1])

    def slowed(self, counts: Array, *, rare: bool = False) -> Array:
        """Histograms (..., releases, J) with their requests moved up so; ``rare``: by that share."""
        above, flat = _above(counts), (*counts.shape[:-2], -1)
        there = counts.reshape(flat).take(self._places[0], -1)
        passed = above.reshape(flat).take(self._ends[1], -1) + (self.rare if rare else self.share) * there
        np.minimum.accumulate(passed, axis=-1, out=above[..., 1:-1])
        return above[..., :-1] - above[..., 1:]


def _above(counts: Array) -> Array:
    """How many requests lie at or above the lower end of each bucket (..., J+1), none above the last."""
    above = np.zeros((*counts.shape[:-1], counts.shape[-1] + 1))
    counts[..., ::-1].cumsum(-1, out=above[..., -2::-1])
    return above


@lru_cache(maxsize=64)
def _geometry(bounds: bytes, factor: bytes, size: int) -> tuple[Places, Places, Array, Array, Array, Array]:
    """Where the bounds lie once requests take longer: the same at nearly every tick of a watch.

    Returns:
        Places in flat histograms (3, releases, J-1): of the two ends of the bucket with the point that just reaches the bound and
        of the next one's, and of that bucket, the next and the one before (itself where there is none); (releases, J-1) each: its
        logarithmic width and that of the next one, and how far the point lies below its end; widths of all buckets (releases, J).
    """
    edges = log_edges(np.frombuffer(bounds).reshape(size, -1))
    point = edges[:, 1:-1] - np.log(np.frombuffer(factor))[:, None]
    place = (edges[:, None, 1:-1] < point[:, :, None]).sum(-1)
    row, widths = np.arange(size)[:, None], edges[:, 1:] - edges[:, :-1]
    ends = np.array((place, place + 1, place + 2)) + row * edges.shape[1]
    places = np.array((place, place + 1, np.maximum(place - 1, 0))) + row * widths.shape[1]
    return ends, places, widths[row, place], widths[row, place + 1], edges[row, place + 1] - point, widths
