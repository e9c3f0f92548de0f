"""Where a mesh's routes name a canary, what is written to take its traffic back, and what there is instead of it.

The one shape that every mesh reports in.
"""

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from daemon.errors import Refused
from daemon.kube.resources import Resource, metadata_of
from daemon.placement import RouteChange, RouteReference

Json = dict[str, Any]
T = TypeVar("T")

Name = tuple[str, str]
"""Namespace and name of an object."""

_NAMES_TOLD = 10
_CLOSE = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The JSON Patch of one object, and its changes. Without changes there are no operations either.

    ``through``: the kind in the version that it is written in, where that is another one than it was read in.
    """

    operations: tuple[Json, ...]
    changes: tuple[RouteChange, ...]
    through: Resource | None = None


class Watched(dict[str, Any]):
    """An object of a watch, or of a listing that many share. Nobody changes it: what was read of it is kept with it."""

    __slots__ = ("read",)

    def __init__(self, item: Json) -> None:
        super().__init__(item)
        self.read: dict[Callable[[Json], Iterable[Any]], tuple[Any, ...]] = {}


def read_once(item: Json, how: Callable[[Json], Iterable[T]]) -> tuple[T, ...]:
    """What ``how`` reads of an object; of one that many look at it is worked out once. ``how`` is a function of a module."""
    if not isinstance(item, Watched):
        return tuple(how(item))
    if how not in item.read:
        item.read[how] = tuple(how(item))
    return item.read[how]


def identity(item: Json) -> Name:
    """Namespace and name of an object of the API server."""
    metadata = metadata_of(item)
    return str(metadata.get("namespace", "")), str(metadata.get("name", ""))


def guarded(item: Json, *, tests: Sequence[Json], writes: Sequence[Json], changes: Sequence[RouteChange]) -> Plan:
    """The plan that writes to this object only while it is the one that was read; nothing to write is no plan at all.

    It begins with a replacement of the resourceVersion by the one that was read, which the API server answers with 409 when the
    object has changed since: a failed ``test`` would be a 422 that cannot be told from other faults.

    Raises:
        Refused: the object was not read from an API server.
    """
    if not writes:
        return Plan(operations=(), changes=())
    version = metadata_of(item).get("resourceVersion")
    if not isinstance(version, str):
        raise Refused("the object has no resourceVersion: it was not read from an API server")
    lock = {"op": "replace", "path": "/metadata/resourceVersion", "value": version}
    return Plan(operations=(lock, *tests, *writes), changes=tuple(changes))


def write(pointer: str, value: object) -> Json:
    """``add`` sets a field that is there and one that is not; ``replace`` fails on an absent one."""
    return {"op": "add", "path": pointer, "value": value}


def largest_percent(found: Iterable[RouteReference]) -> float:
    """The canary's share of the split traffic, in percent.

    A route that pins a header to the canary says nothing about the share; it counts only where there is no split.
    """
    kept = list(found)
    weights = [one.percent for one in kept if one.kind == "weight"]
    return max(weights or [one.percent for one in kept if one.kind == "pin"] or [0.0])


def with_traffic(found: Iterable[RouteReference]) -> str | None:
    """The places that send something to the canary now, and who wrote them, in one line; null when there are none."""
    told = (f"{one}, as written by {one.written}" if one.written else str(one) for one in found if one.percent > 0)
    return "; ".join(told) or None


def nearest(name: str, there: Iterable[str]) -> str:
    """The end of a sentence: what there is, and which of it may have been meant."""
    names = sorted(set(there))
    if not names:
        return "there is none"
    close = difflib.get_close_matches(name, names, n=1)
    return f"there {'are' if len(names) > 1 else 'is'} {listed(names)}" + (f"; did you mean {close[0]}?" if close else "")


def nearly(name: str, there: Iterable[str]) -> str:
    """The one of these that is nearly this name; empty where none is."""
    return next(iter(difflib.get_close_matches(name, sorted(there), n=1, cutoff=_CLOSE)), "")


def listed(names: Iterable[str]) -> str:
    """The first few of them, sorted, and how many more there are."""
    told = sorted(names)
    more = len(told) - _NAMES_TOLD
    return ", ".join(told[:_NAMES_TOLD]) + (f" and {more} more" if more > 0 else "")
