"""Where a mesh's routes name a canary, and what there is instead of it: the one shape that every mesh reports in."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

_NAMES_TOLD = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One place that names the canary.

    Attributes:
        where: the object and the route in it, for a person.
        kind: ``weight`` (a share of a split), ``pin`` (the route's only target) or ``mirror``.
        percent: the canary's share of what comes by this place.
    """

    where: str
    kind: Literal["weight", "pin", "mirror"]
    percent: float

    def __str__(self) -> str:
        """``<where>: 10 % of the traffic``."""
        verb = "mirrored" if self.kind == "mirror" else "of the traffic"
        return f"{self.where}: {self.percent:g} % {verb}"


def largest_percent(found: Iterable[Use]) -> float:
    """The canary's share of the split traffic, in percent.

    A route that pins a header to the canary says nothing about the share; it counts only where there is no split.
    """
    kept = list(found)
    weights = [use.percent for use in kept if use.kind == "weight"]
    return max(weights or [use.percent for use in kept if use.kind == "pin"] or [0.0])


def with_traffic(found: Iterable[Use]) -> str | None:
    """The places that send something to the canary now, in one line; null when there are none."""
    return "; ".join(str(use) for use in found if use.percent > 0) or None


def nearest(name: str, there: Iterable[str]) -> str:
    """The end of a sentence: what there is, and which of it may have been meant."""
    names = sorted(set(there))
    if not names:
        return "there is none"
    close = difflib.get_close_matches(name, names, n=1)
    return f"there {'are' if len(names) > 1 else 'is'} {listed(names)}" + (f"; did you mean {close[0]}?" if close else "")


def listed(names: Iterable[str]) -> str:
    """The first few of them, sorted, and how many more there are."""
    told = sorted(names)
    more = len(told) - _NAMES_TOLD
    return ", ".join(told[:_NAMES_TOLD]) + (f" and {more} more" if more > 0 else "")
