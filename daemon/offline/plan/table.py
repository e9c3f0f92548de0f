"""What simulated ends add up to: shares and delays, each with its standard error."""

import math
from collections.abc import Sequence

import msgspec

from daemon.offline.plan.trying import End


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A share of the simulated releases, 0 to 1, with its standard error (never 0: half a release is added either way)."""

    value: float
    error: float


class Delay(msgspec.Struct, frozen=True, kw_only=True):
    """A quantile over *all* simulated releases of the seconds to a verdict; null when fewer ended so within the window.

    ``error`` is its standard error; null when it reaches beyond the window.
    """

    seconds: float | None
    error: float | None


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One regression (or none) in one scenario.

    Attributes:
        median, p90: to rollback for a regression, to promotion for a healthy canary.
    """

    rolled_back: Share
    promoted: Share
    inconclusive: Share
    median: Delay
    p90: Delay


def cell(ends: Sequence[End], *, wanted: str) -> Cell:
    """Count the ends of one trial; ``wanted`` is the outcome whose delay is asked for."""
    delays = sorted(end.seconds for end in ends if end.outcome == wanted)
    return Cell(
        rolled_back=_share(ends, "rollback"),
        promoted=_share(ends, "promote"),
        inconclusive=_share(ends, "inconclusive"),
        median=_delay(delays, of=len(ends), part=0.5),
        p90=_delay(delays, of=len(ends), part=0.9),
    )


def _share(ends: Sequence[End], outcome: str) -> Share:
    count, of = sum(end.outcome == outcome for end in ends), len(ends)
    smoothed = (count + 0.5) / (of + 1.0)
    return Share(value=count / of, error=math.sqrt(smoothed * (1.0 - smoothed) / of))


def _delay(ordered: Sequence[float], *, of: int, part: float) -> Delay:
    """By order statistics: those one standard error of the rank to either side are one standard error of the quantile away."""
    spread = math.sqrt(of * part * (1.0 - part))
    middle, low, high = (_at(ordered, of * part + steps * spread) for steps in (0.0, -1.0, 1.0))
    return Delay(seconds=middle, error=None if low is None or high is None else (high - low) / 2.0)


def _at(ordered: Sequence[float], rank: float) -> float | None:
    place = max(0, math.ceil(rank - 1e-9) - 1)
    return ordered[place] if place < len(ordered) else None
