"""What both arms served, in stretches of time: how much of it failed and how long it took, each with its interval.

A share and a quantile need requests, so there are fewer stretches than rows: neighbours become one when there are too many.
Of latency the buckets are kept, as few as a picture needs, since only counts can be added.
"""

import itertools
import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

import numpy as np

from analyzers import buckets
from analyzers.arrays import Array
from analyzers.classical import quantile_interval, wilson
from analyzers.counts import Arm
from config.policy import Tolerances
from daemon.courses.shapes import Allowed, Estimated

MOST_STRETCHES: Final = 60
MOST_BOUNDS: Final = 32
_TAIL: Final = 0.99
_REQUESTS, _ERRORS, _BUCKETS = 0, 1, 2
_Any = TypeVar("_Any")


class Figure(NamedTuple):
    """An estimate with its interval."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


class Figures(NamedTuple):
    """Of one arm in one stretch."""

    failed_share: Figure = Figure()
    median_ms: Figure = Figure()
    p99_ms: Figure = Figure()


@dataclass(slots=True)
class _Stretch:
    """Counts of the baseline and the canary, and their figures once somebody has asked for them."""

    t: float
    arms: "tuple[array[float], array[float]]"
    figures: tuple[Figures, Figures] | None = None


@dataclass(slots=True)
class Stretches:
    """Of one watch. ``bounds_ms`` are the buckets' that are kept; empty: none are known yet."""

    bounds_ms: tuple[float, ...] = ()
    _kept: list[_Stretch] = field(default_factory=list)
    _each: int = 1
    _starts: list[int] = field(default_factory=list)
    _size: int = 0

    def bounded(self, bounds_ms: Sequence[float]) -> None:
        """The latency buckets are known. They stay what they are for a whole watch; others' counts are left out."""
        if not self.bounds_ms and bounds_ms:
            self._size, self._each = len(bounds_ms) + 1, math.ceil(len(bounds_ms) / MOST_BOUNDS)
            self._starts = [*range(0, len(bounds_ms), self._each), len(bounds_ms)]
            self.bounds_ms = tuple(group[-1] for group in _groups(bounds_ms, self._each))

    def add(self, t: float, baseline: Arm | None, canary: Arm | None) -> None:
        """What was served until ``t`` seconds of the watch, since the last time."""
        self._kept.append(_Stretch(t, (self._counts(baseline), self._counts(canary))))
        if len(self._kept) > MOST_STRETCHES:
            self._kept = [pair[0] if len(pair) == 1 else _joined(*pair) for pair in _groups(self._kept, 2)]

    @property
    def ends(self) -> list[float]:
        """Of the stretches, in seconds of the watch."""
        return [round(one.t, 3) for one in self._kept]

    def figures(self, arm: int) -> tuple[Estimated, Estimated, Estimated]:
        """Failed share, median and 99th percentile of the baseline (0) or the canary (1) over the stretches."""
        told = [self._told(one)[arm] for one in self._kept]
        failed, median, tail = (
            Estimated(
                value=[_short(one[figure].value) for one in told],
                low=[_short(one[figure].low) for one in told],
                high=[_short(one[figure].high) for one in told],
            )
            for figure in range(3)
        )
        return failed, median, tail

    def allowed(self, tolerances: Tolerances) -> Allowed:
        """What is tolerated of the canary beside the baseline of the same stretch."""
        base = [self._told(one)[0] for one in self._kept]
        errors, latency = tolerances.errors, tolerances.latency
        shares = (one.failed_share.value for one in base)
        return Allowed(
            failed_share=[None if one is None else _short(max(errors.max_rate, one + errors.above_baseline)) for one in shares],
            median_ms=[_times(one.median_ms.value, latency.typical) for one in base],
            p99_ms=[_times(one.p99_ms.value, latency.slow_end) for one in base],
        )

    def buckets(self, arm: int) -> list[int]:
        """Requests of an arm by latency, over the whole watch."""
        timed = [one.arms[arm][_BUCKETS:] for one in self._kept if len(one.arms[arm]) > _BUCKETS]
        return [round(sum(column)) for column in zip(*timed, strict=True)]

    def _counts(self, arm: Arm | None) -> "array[float]":
        if arm is None:
            return array("f", (0.0, 0.0))
        counts = () if arm.latency is None or len(arm.latency.counts) != self._size else arm.latency.counts
        if self._each > 1 and counts:
            counts = np.add.reduceat(counts, self._starts).tolist()
        return array("f", (arm.requests, arm.errors, *counts))

    def _told(self, one: _Stretch) -> tuple[Figures, Figures]:
        if one.figures is None:
            one.figures = (self._figures_of(one.arms[0]), self._figures_of(one.arms[1]))
        return one.figures

    def _figures_of(self, counts: "array[float]") -> Figures:
        requests, errors = counts[_REQUESTS], counts[_ERRORS]
        failed = Figure(errors / requests, *wilson(errors, requests)) if requests else Figure()
        latency = np.array([counts[_BUCKETS:]], dtype=float)
        if not (timed := float(latency.sum())):
            return Figures(failed)
        edges, below = buckets.log_edges(np.array([self.bounds_ms])), buckets.distribution(latency)
        median = math.exp(float(np.interp(0.5, below[0], edges[0])))
        # Of fewer requests none is the slowest hundredth.
        tail = float(buckets.tail_quantile(latency, edges, _TAIL)[0]) if timed >= 1.0 / (1.0 - _TAIL) else None
        return Figures(failed, Figure(median, *self._interval(latency, 0.5)), Figure(tail, *self._interval(latency, _TAIL)))

    def _interval(self, latency: Array, level: float) -> tuple[float | None, float | None]:
        return quantile_interval(latency[0], np.array(self.bounds_ms), level)


def _groups(values: Sequence[_Any], size: int) -> list[Sequence[_Any]]:
    return [values[at : at + size] for at in range(0, len(values), size)]


def _joined(first: _Stretch, later: _Stretch) -> _Stretch:
    baseline, canary = (
        array("f", (a + b for a, b in itertools.zip_longest(mine, others, fillvalue=0.0)))
        for mine, others in zip(first.arms, later.arms, strict=True)
    )
    return _Stretch(later.t, (baseline, canary))


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else _short(value * factor)


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")
