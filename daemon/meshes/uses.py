"""Where a mesh's routes name a canary: the one shape that every mesh's planner reports in."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


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
