"""From how releases ended to figures with exact limits, and whether what is wanted of them lies within these.

A share has the limits of Clopper and Pearson (1934), a quantile of ticks those of the order statistics: both cover the truth in at
least 95 of 100 calibrations, whatever it is. None of 500 is therefore "at most .7 %", not "0 %". How a release ended is a whole
number: the tick of a rollback, minus the tick of a promotion, 0 for neither.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats

LEVEL: Final = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """``count`` of ``runs`` releases, with the exact limits of the share behind them."""

    count: int
    runs: int

    @property
    def limits(self) -> tuple[float, float]:
        """Lower and upper limit, as fractions."""
        tail = (1.0 - LEVEL) / 2.0
        low = 0.0 if self.count == 0 else float(stats.beta.ppf(tail, self.count, self.runs - self.count + 1))
        high = 1.0 if self.count == self.runs else float(stats.beta.ppf(1.0 - tail, self.count + 1, self.runs - self.count))
        return low, high

    def __str__(self) -> str:
        low, high = (100.0 * limit for limit in self.limits)
        return f"{_short(100.0 * self.count / self.runs)} ({_short(low)}-{_short(high)}) %"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """A quantile of ticks, and between which two it surely lies; infinite for never within the watch."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return "-" if math.isinf(self.value) else f"{self.value:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """Median and 90th percentile of ticks from the onset, and which share of the releases was found at all."""

    median: Quantile
    p90: Quantile
    found: Share

    def __str__(self) -> str:
        missed = "" if self.found.count == self.found.runs else f" [{100.0 * self.found.count / self.found.runs:.1f} %]"
        return f"{self.median}/{self.p90}{missed}"

    @property
    def spans(self) -> str:
        """The limits of both."""
        return ", ".join(f"{_span(one.low)}-{_span(one.high)}" for one in (self.median, self.p90))


def _span(ticks: float) -> str:
    return "never" if math.isinf(ticks) else f"{ticks:g}"


def _short(percent: float) -> str:
    """Two digits that count, and never more than two behind the point."""
    return f"{percent:.2f}" if 0.0 < percent < 1.0 else f"{percent:.1f}" if percent < 99.95 and percent > 0.0 else f"{percent:.0f}"


def rolled_back(ends: Sequence[int]) -> Share:
    """The share that was taken back."""
    return Share(count=sum(end > 0 for end in ends), runs=len(ends))


def promoted(ends: Sequence[int]) -> Share:
    """The share that was promoted."""
    return Share(count=sum(end < 0 for end in ends), runs=len(ends))


def rolled_back_before(ends: Sequence[int], onset: int) -> Share:
    """The share that was taken back before there was anything to find."""
    return Share(count=sum(0 < end <= onset for end in ends), runs=len(ends))


def delays(ends: Sequence[int], onset: int = 0) -> list[float]:
    """Ticks from the onset to the rollback in order, infinite for never; releases taken back before are left out."""
    kept = [end for end in ends if end <= 0 or end > onset]
    return sorted(end - onset if end > 0 else math.inf for end in kept)


def delay(ends: Sequence[int], onset: int = 0) -> Delay:
    """Ticks to the rollback of bad releases."""
    ordered = delays(ends, onset)
    found = Share(count=sum(math.isfinite(ticks) for ticks in ordered), runs=len(ordered))
    return Delay(median=quantile(ordered, 0.5), p90=quantile(ordered, 0.9), found=found)


def until_promoted(ends: Sequence[int]) -> tuple[float, float]:
    """Median and 90th percentile of ticks to the promotion, of those promoted; NaN for none."""
    ticks = [-end for end in ends if end < 0]
    return (float(np.median(ticks)), float(np.percentile(ticks, 90))) if ticks else (math.nan, math.nan)


def quantile(ordered: Sequence[float], level: float) -> Quantile:
    """A quantile of an ordered sample with the limits of its order statistics."""
    runs, tail = len(ordered), (1.0 - LEVEL) / 2.0
    low = int(stats.binom.ppf(tail, runs, level))
    high = int(stats.binom.ppf(1.0 - tail, runs, level)) + 1
    return Quantile(
        value=ordered[max(math.ceil(level * runs), 1) - 1],
        low=ordered[max(low, 1) - 1] if low >= 1 else 1.0,
        high=ordered[high - 1] if high <= runs else math.inf,
    )
