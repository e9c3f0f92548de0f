"""What one route sends where, told as every mesh's routes can be told. Pure.

A mesh's own folder makes a picture of its route object; the rules of this package look at nothing else of it. What stands in an
entry is of two sorts, since they mean opposite things: conditions (a path, a port, a gateway) say which interface is asked for,
pins (a header, a cookie) say who asks. Two destinations that differ by a condition are two interfaces; by a pin, two versions.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from daemon.placement import ObjectName

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Destination:
    """Whatever requests can be sent to.

    Attributes:
        namespace: of its Service; empty: it is outside of the cluster.
        host: in the one form in which its mesh compares hosts.
        subset: a part of it that the mesh has a name for; empty: all of it.
        service: the Service that it is; empty: it is none.
        labels: what the subset asks of pods beyond its Service's selector; null: that is not known. Two destinations of one name
            are the same whatever is known of their labels.
    """

    namespace: str = ""
    host: str
    subset: str = ""
    service: str = ""
    labels: Labels | None = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        """``till subset v2``, or the host outside of the cluster."""
        return f"{self.service or self.host}{f' subset {self.subset}' if self.subset else ''}"

    @property
    def short(self) -> str:
        """What tells it from its like, for a sentence: the subset, else the Service, else the host."""
        return self.subset or self.service or self.host


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Condition:
    """What a request must be like, whoever sends it. ``value`` is as the object has it, to be compared only."""

    of: Literal["path", "port", "gateway", "other"]
    value: str


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Pin:
    """Who a request must be of. ``value`` is as the object has it, to be compared only."""

    by: Literal["header", "cookie", "query", "source"]
    name: str
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The part of an entry's requests that goes somewhere, or of which copies go there, in percent."""

    to: Destination
    percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One way into the route: requests that fit all its conditions and pins. An entry with alternatives is several.

    Attributes:
        place: where in the object, for people.
        protocol: entries of two protocols have nothing to do with each other.
        shares: who is sent the requests, those with a share of 0 included.
        mirrors: who is sent copies.
        unclear: why it is not known who gets what; empty where it is.
    """

    place: str
    protocol: str = "http"
    conditions: frozenset[Condition] = frozenset()
    pins: frozenset[Pin] = frozenset()
    shares: tuple[Share, ...] = ()
    mirrors: tuple[Share, ...] = ()
    unclear: str = ""

    def is_beside(self, other: "Entry") -> bool:
        """Whether some request fits both, but for who sends it."""
        comparable = self.conditions <= other.conditions or other.conditions <= self.conditions
        return self.protocol == other.protocol and comparable

    def takes_all_of(self, other: "Entry") -> bool:
        """Whether every request that fits the other fits this one."""
        return self.protocol == other.protocol and self.conditions <= other.conditions and self.pins <= other.pins


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One route object as it is at one time. One without entries: the object is surely not there. ``hosts``: that it is for."""

    route: ObjectName
    hosts: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a destination gets in a picture.

    Attributes:
        percent: its largest share of requests that are not told apart by who sends them.
        is_pinned: whether it gets requests by who sends them.
        mirrored_percent: the largest part of requests of which it gets copies.
    """

    percent: float = 0.0
    is_pinned: bool = False
    mirrored_percent: float = 0.0

    @property
    def is_live(self) -> bool:
        """Whether it gets anything."""
        return self.percent > 0 or self.is_pinned or self.mirrored_percent > 0


UNUSED = Use()
Uses = Mapping[Destination, Use]


def uses(picture: Picture) -> Uses:
    """What each destination of the picture gets."""
    found: dict[Destination, Use] = {}
    for entry in picture.entries:
        for to, percent in _summed(entry.shares).items():
            was = found.get(to, UNUSED)
            if entry.pins:
                found[to] = replace(was, is_pinned=was.is_pinned or percent > 0)
            else:
                found[to] = replace(was, percent=max(was.percent, percent))
        for to, percent in _summed(entry.mirrors).items():
            was = found.get(to, UNUSED)
            found[to] = replace(was, mirrored_percent=max(was.mirrored_percent, percent))
    return found


def reached(entries: Iterable[Entry], *, first_wins: bool) -> tuple[Entry, ...]:
    """The entries that requests can reach at all: not one behind another that takes all of its requests.

    Args:
        entries: in the order of the object.
        first_wins: whether the order decides; else the most specific entry does, and the order only between the like.
    """
    kept: list[Entry] = []
    for entry in entries:
        if not any(one.takes_all_of(entry) and (first_wins or entry.takes_all_of(one)) for one in kept):
            kept.append(entry)
    return tuple(kept)


def _summed(shares: Iterable[Share]) -> dict[Destination, float]:
    """What each gets by one way in: a destination may be named twice."""
    found: dict[Destination, float] = {}
    for share in shares:
        found[share.to] = found.get(share.to, 0.0) + share.percent
    return found


def percentages(weights: Sequence[int]) -> tuple[float, ...]:
    """What parts these weights are of their sum, in percent; a sum of 0 gives nobody anything."""
    total = sum(weights)
    return tuple(100.0 * one / total if total > 0 else 0.0 for one in weights)
