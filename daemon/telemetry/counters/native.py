"""Prometheus' native histograms on bounds that stay: one sample shows only the buckets that hold something, and its own resolution.

A bound is used only where no bucket that holds something lies across it, so that no bucket is ever torn apart and each cumulative
count is exact. Exponential histograms (of whole numbers or not) get a grid of quarter powers of two, of which a coarser one has
some: so pods of different resolution are compared on what all of them have. Histograms with bounds of somebody's choice
(NHCB) get all the bounds that were met of their metric: what one pod has not met yet is empty there, which is a count too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from daemon.errors import InvalidInput
from daemon.telemetry.counters.histograms import MAX_BOUNDS
from daemon.telemetry.counters.snapshot import Histogram, whole

_SAME: Final = 1e-9
_A_DOUBLING: Final = 4
"""Bounds of the grid: with 63 of them it goes from 1 ms to 46 s."""
_FINEST, _COARSEST = 8, -4
_MOST_CUSTOM: Final = 512


class Bucket(NamedTuple):
    """So many observations above ``lower`` and up to ``upper``, in the metric's own unit."""

    lower: float
    upper: float
    number: float


@dataclass(frozen=True, slots=True)
class CustomBounds:
    """The bounds that were met of one metric, in its own unit."""

    met: set[float] = field(default_factory=set)

    def meet(self, buckets: Sequence[Bucket]) -> None:
        """Learn those of one histogram."""
        if len(self.met) < _MOST_CUSTOM:
            self.met.update(bound for one in buckets for bound in one[:2] if math.isfinite(bound) and bound > 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeHistogram:
    """One sample.

    Attributes:
        buckets: those that hold something, from the lowest to the highest.
        custom: the bounds of its metric, where they are of somebody's choice.
    """

    count: float
    sum: float
    buckets: Sequence[Bucket]
    custom: CustomBounds

    @classmethod
    def met(cls, *, count: float, sum: float, buckets: Sequence[Bucket], custom: CustomBounds) -> "NativeHistogram":  # noqa: A002 - its name in Prometheus
        """A sample as it came; bounds of somebody's choice are learnt."""
        if _resolution(buckets) is None:
            custom.meet(buckets)
        return cls(count=count, sum=sum, buckets=buckets, custom=custom)

    def on_bounds(self, *, unit_ms: float, path: str) -> Histogram:
        """The same, cumulative, on those of the bounds that tear no bucket.

        Raises:
            InvalidInput: a count is none, as in a histogram that is a rate or a mean.
        """
        resolution = _resolution(self.buckets)
        bounds = sorted(self.custom.met) if resolution is None else _grid(resolution, unit_ms=unit_ms)
        usable = [bound for bound in bounds if not any(_across(bound, one) for one in self.buckets)]
        counts = [(one.upper, whole(one.number, path=path)) for one in self.buckets]
        cumulative = [sum(count for upper, count in counts if upper <= bound * (1 + _SAME)) for bound in usable]
        total = whole(self.count, path=path)
        if sum(count for _, count in counts) > total:
            raise InvalidInput("its buckets hold more than its count", path=path)
        if not math.isfinite(self.sum):
            raise InvalidInput(f"the sum is {self.sum!r}", path=path)
        return Histogram(tuple(bound * unit_ms for bound in usable), (*cumulative, total), self.sum * unit_ms)


def _across(bound: float, bucket: Bucket) -> bool:
    return bucket.lower < bound * (1 - _SAME) and bound * (1 + _SAME) < bucket.upper


def _grid(resolution: int, *, unit_ms: float) -> list[float]:
    """Powers of two, and those between them as far as the resolution has them."""
    first = -round(_A_DOUBLING * math.log2(unit_ms))
    every = max(1, round(_A_DOUBLING / 2.0**resolution))
    return [2.0 ** (place / _A_DOUBLING) for place in range(first, first + MAX_BOUNDS) if place % every == 0]


def _resolution(buckets: Sequence[Bucket]) -> int | None:
    """How often the buckets halve a doubling (``schema``), where they are exponential; null where their bounds are custom."""
    found: int | None = None
    for one in buckets:
        if one.lower == -one.upper:
            continue  # about zero
        if not 0.0 < one.lower < one.upper < math.inf:
            return None
        step = math.log2(one.upper / one.lower)
        resolution = round(-math.log2(step))
        steps = math.log2(one.upper) * 2.0**resolution
        exponential = _COARSEST <= resolution <= _FINEST and math.isclose(step, 2.0**-resolution, rel_tol=1e-6)
        if not exponential or abs(steps - round(steps)) > 1e-6 * max(1.0, abs(steps)) or found not in (None, resolution):
            return None
        found = resolution
    return _FINEST if found is None else found
