"""Which tolerance a histogram's bounds can resolve for this latency: known from an early histogram, before anything is judged.

Counts at a bound are exact, between bounds a quantile's place is a convention. p99 is compared at the bound nearest to it, so that
a change is told for sure once it is as large as the distance of the two. How far that is, is estimated as of a tail that thins out
(lognormal from bound to bound): spread evenly, a p99 of 180 ms would seem to lie right below the bound of 250. Ranks compare whole
histograms: they tell any change while the median's bucket holds little of the mass (``buckets.FIT_SHARE``), and none inside a
bucket that holds nearly all.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy.special import ndtr

from analyzers import buckets, words
from analyzers.layout import Array, Mask, Rows
from analyzers.terms import Limits, Terms

Quantity = Literal["typical", "slow_end"]
LEVELS: Final[dict[Quantity, float]] = {"typical": 0.5, "slow_end": 0.99}
_DEVIATIONS: Final[Array] = np.linspace(-4.25, 4.25, 851)
_BELOW: Final[Array] = ndtr(_DEVIATIONS)
"""A normal distribution, to be read backwards; beyond its ends, where one request in 100 000 lies, nobody is taken to be."""
ENOUGH: Final = 200
"""Latencies of the baseline from which on it is said what the buckets can tell: with fewer, the place of p99 is a guess."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What the buckets can tell of one tolerance (a factor), and in words.

    Attributes:
        quantity: typical (by its median) or slow_end (by its p99).
        lower_ms, upper_ms: the bucket it lies in; 0 below the first bound, null above the last.
        share: part of all requests that lie in that bucket.
        told_apart: the smallest factor that is told apart for sure; 1 where nothing but the traffic limits it, null for none.
        resolved: a change as large as the tolerance is told apart.
        bound_ms: where one more bound would help, to two digits (more some proxies do not keep); null where none is needed.
    """

    quantity: Quantity
    lower_ms: float
    upper_ms: float | None
    share: float
    tolerance: float
    told_apart: float | None
    resolved: bool
    bound_ms: float | None
    sentence: str


def distance(counts: Array, bounds: Array, level: float) -> Array:
    """The factor (releases,), at least 1, by which a quantile must change for a bound to show it for sure.

    That to the nearest bound; the width of the bucket where it holds so much mass that the quantile's place inside is not known;
    infinite below the first bound and above the last.

    Args:
        counts: (releases, J). bounds: (releases, J-1), in ms; at least one.
        level: the share of the requests below the quantile.
    """
    edges, below = buckets.log_edges(bounds), buckets.distribution(counts)
    place = buckets.place_of(below, level)
    row = np.arange(len(place))
    held = below[row, place + 1] - below[row, place]
    inside = _inside(below[row, place], below[row, place + 1], level)
    width = edges[row, place + 1] - edges[row, place]
    nearest = np.where(held < buckets.FIT_SHARE, np.minimum(inside, 1.0 - inside), 1.0) * width
    closed = (place > 0) & (place < bounds.shape[1])
    # Rounded: a bucket from 250 to 500 tells a factor of 2, not of 2.000000000000001.
    return np.where(closed, np.exp(nearest).round(9), np.inf)


def _inside(low: Array, high: Array, level: float) -> Array:
    """How far into its bucket (0 to 1, on a logarithmic scale) a quantile lies, from the shares below the bucket's ends."""
    left, place, right = (np.interp(share, _BELOW, _DEVIATIONS) for share in (low, level, high))
    return np.clip((place - left) / np.maximum(right - left, 1e-300), 0.0, 1.0)


def blind(rows: Rows, limits: Limits) -> tuple[Mask, Mask]:
    """Whether the tolerances of typical latency and the slow end are finer than the buckets (releases,); not without requests."""
    counts = rows.baseline[:, : limits.bounds.shape[1] + 1]
    filled: Mask = counts.sum(1) > 0.0
    if counts.shape[1] == 1:
        none = np.zeros_like(filled)
        return none, none
    typical = filled & ~buckets.resolves_median(counts)
    if typical.any():
        typical &= distance(counts, limits.bounds, LEVELS["typical"]) > limits.typical
    return typical, filled & (distance(counts, limits.bounds, LEVELS["slow_end"]) > limits.slow_end)


def resolutions(bounds_ms: Sequence[float], counts: Sequence[float], *, typical: float, slow_end: float) -> tuple[Resolution, ...]:
    """What the buckets can tell of a policy's tolerances, given an early histogram; empty while there is none.

    Args:
        bounds_ms: finite upper bounds.
        counts: requests per bucket, one more than there are bounds (the last is above all of them).
        typical, slow_end: tolerances as factors of the baseline's latency (1.10 = 10 % slower is accepted).

    Raises:
        ValueError: the number of counts does not fit that of the bounds.
    """
    if len(counts) != len(bounds_ms) + 1:
        raise ValueError(f"{len(bounds_ms)} bounds have {len(bounds_ms) + 1} counts, got {len(counts)}")
    if not bounds_ms or math.fsum(counts) <= 0.0:
        return ()
    bounds, hist = np.array([bounds_ms], dtype=np.float64), np.array([counts], dtype=np.float64)
    return (_resolution("typical", bounds, hist, typical), _resolution("slow_end", bounds, hist, slow_end))


def of_watch(row: Array, terms: Terms) -> tuple[Resolution, ...]:
    """The same of a watch, by the baseline's latencies that its ``row`` remembers; empty while they are fewer than ``ENOUGH``."""
    seen = Rows(row[None]).baseline[0, : len(terms.bounds_ms) + 1].tolist()
    return resolutions(terms.bounds_ms, seen, typical=terms.typical, slow_end=terms.slow_end) if math.fsum(seen) >= ENOUGH else ()


def _resolution(quantity: Quantity, bounds: Array, hist: Array, tolerance: float) -> Resolution:
    level = LEVELS[quantity]
    place = int(buckets.place_of(buckets.distribution(hist), level)[0])
    lower, upper = [0.0, *bounds[0].tolist(), None][place : place + 2]
    share = float(hist[0, place] / hist.sum())
    fits = quantity == "typical" and bool(buckets.resolves_median(hist)[0])
    factor = 1.0 if fits else float(distance(hist, bounds, level)[0])
    told = factor if factor < math.inf else None
    wanted = None if factor <= tolerance else float(f"{_helpful(bounds, hist, place=place, level=level):.1e}")
    name = "p99 lies" if quantity == "slow_end" else f"the median and {words.percent(share)} of all requests lie"
    where = (
        f"above the last bound, {words.milliseconds(lower)}"
        if upper is None
        else f"in {words.milliseconds(lower).removesuffix(' ms')}-{words.milliseconds(upper)}"
    )
    return Resolution(
        quantity=quantity,
        lower_ms=lower,
        upper_ms=upper,
        share=share,
        tolerance=tolerance,
        told_apart=told,
        resolved=wanted is None,
        bound_ms=wanted,
        sentence=f"{name} {where}: {_told(quantity, tolerance, told, wanted)}",
    )


def _helpful(bounds: Array, hist: Array, *, place: int, level: float) -> float:
    """Where a bound would help (ms): at the quantile, or amid its bucket where its place inside is not known."""
    left, right = buckets.log_edges(bounds)[0, place : place + 2].tolist()
    low, high = buckets.distribution(hist)[0, place : place + 2].tolist()
    inside = float(_inside(np.array(low), np.array(high), level)) if high - low < buckets.FIT_SHARE else 0.5
    return math.exp(left + inside * (right - left))


def _told(quantity: Quantity, tolerance: float, told: float | None, bound_ms: float | None) -> str:
    if bound_ms is None:
        return f"{words.slower(tolerance)} can be told"
    instead = "" if told is None else f", {words.slower(math.ceil(20.0 * (told - 1.0) - 1e-9) / 20.0 + 1.0)} can"
    judged = "; the mean judges it" if quantity == "typical" else ""
    advice = f"add a bound near {words.milliseconds(bound_ms)}"
    return f"{words.slower(tolerance)} cannot be told by these buckets{instead}{judged}; {advice}"
