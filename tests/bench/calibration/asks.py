"""What is asked of a row, and when it is met: the exact 95 % interval of the measured figure reaches the wanted value.

With few releases more can be said only rarely: it is *refuted* when a judge that just does what is wanted would look so bad once
in a million seeds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from scipy import stats

from tests.bench.calibration import figures

ONCE: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A measured figure with its exact limits in words, of how many releases, and whether it is met (null: none is wanted)."""

    figure: str
    runs: int
    met: bool | None


def too_many(count: int, runs: int, rate: float) -> bool:
    """Whether so many of the runs, or more, have a chance of less than ``ONCE`` at this rate."""
    return count > 0 and float(stats.binom.sf(count - 1, runs, rate)) < ONCE


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """Which share is taken back; at most this, as a fraction (null: told only)."""

    at_most: float | None = None

    @property
    def wanted(self) -> str:
        """In words."""
        return "" if self.at_most is None else f"at most {100.0 * self.at_most:g} %"

    def answer(self, ends: Sequence[int], onset: int) -> Answer:
        """Measured."""
        del onset
        share = figures.rolled_back(ends)
        return Answer(figure=str(share), runs=share.runs, met=None if self.at_most is None else share.limits[0] <= self.at_most)

    def refuted(self, ends: Sequence[int], onset: int) -> bool:
        """Whether too many were taken back for chance."""
        del onset
        share = figures.rolled_back(ends)
        return self.at_most is not None and too_many(share.count, share.runs, self.at_most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoted:
    """Which share is promoted, and when; at least or at most this, as fractions (null: told only)."""

    at_least: float | None = None
    at_most: float | None = None

    @property
    def wanted(self) -> str:
        """In words."""
        least = "" if self.at_least is None else f"at least {100.0 * self.at_least:g} %"
        return least if self.at_most is None else f"at most {100.0 * self.at_most:g} %"

    def answer(self, ends: Sequence[int], onset: int) -> Answer:
        """Measured."""
        del onset
        share = figures.promoted(ends)
        median, p90 = figures.until_promoted(ends)
        when = "" if math.isnan(median) else f" after {median:g}/{p90:g}"
        low, high = share.limits
        met = None
        if self.at_least is not None:
            met = high >= self.at_least
        if self.at_most is not None:
            met = low <= self.at_most
        return Answer(figure=f"{share}{when}", runs=share.runs, met=met)

    def refuted(self, ends: Sequence[int], onset: int) -> bool:
        """Whether too few, or too many, were promoted for chance."""
        del onset
        share = figures.promoted(ends)
        too_few = self.at_least is not None and too_many(share.runs - share.count, share.runs, 1.0 - self.at_least)
        return too_few or (self.at_most is not None and too_many(share.count, share.runs, self.at_most))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """How many ticks a bad release takes to be taken back; median and 90th percentile at most these (null: told only)."""

    median: float | None = None
    p90: float | None = None

    @property
    def wanted(self) -> str:
        """In words."""
        return "" if self.median is None or self.p90 is None else f"{self.median:g}/{self.p90:g}"

    def answer(self, ends: Sequence[int], onset: int) -> Answer:
        """Measured, from the onset."""
        delay = figures.delay(ends, onset)
        early = figures.rolled_back_before(ends, onset)
        met = None
        if self.median is not None and self.p90 is not None:
            met = delay.median.low <= self.median and delay.p90.low <= self.p90
        too_soon = f"; {early.count} before" if early.count else ""
        return Answer(figure=f"{delay} ({delay.spans}{too_soon})", runs=len(ends), met=met)

    def refuted(self, ends: Sequence[int], onset: int) -> bool:
        """Whether too many were found too late for chance."""
        ticks = figures.delays(ends, onset)
        wanted = ((self.median, 0.5), (self.p90, 0.1))
        return any(limit is not None and too_many(sum(one > limit for one in ticks), len(ticks), later) for limit, later in wanted)


Ask = RolledBack | Promoted | Found
