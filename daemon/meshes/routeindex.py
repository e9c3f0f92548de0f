"""Watched routes by where they send to, so that one canary is found among those near it and not among all of a cluster.

A thousand releases that each walk through a thousand routes are a million routes every ten seconds. An area is a word of the mesh's
own for what belongs together: every name that a canary may have lies in an area of its release. The index is as old as the watch
that feeds it, and is changed in the same turn of the event loop.
"""

from collections.abc import Collection, Iterable
from typing import Generic, Protocol, TypeVar

from daemon.kube.forms import Misread
from daemon.kube.resources import Json, Resource
from daemon.meshes.references import Name
from daemon.model import Release

T = TypeVar("T")


class Vicinity(Protocol):
    """Which routes may have to do with a release at all. Pure."""

    def of_item(self, resource: Resource, item: Json) -> Iterable[str]:
        """The areas that a route sends to, its places without weight and its mirrors included."""
        ...

    def of_release(self, release: Release) -> Iterable[str]:
        """The areas in which the names of its arms lie, those included that are only found out when it is located."""
        ...


class RouteIndex(Generic[T]):
    """The routes of one kind by name and by area; ``T`` is what is kept of one."""

    def __init__(self) -> None:
        self._kept: dict[Name, T] = {}
        self._areas: dict[Name, frozenset[str]] = {}
        self._names: dict[str, set[Name]] = {}
        self._unsure: set[Name] = set()
        self._serials: dict[Name, int] = {}
        self._serial = 0
        self._misread: dict[Name, Misread] = {}

    @property
    def misread(self) -> tuple[Misread, ...]:
        """Those that cannot be read, wherever they may send."""
        return tuple(self._misread.values())

    @property
    def all(self) -> list[T]:
        """Every one that can be read, in the order in which they came."""
        return [self._kept[name] for name in self._serials if name in self._kept]

    def put(self, name: Name, kept: T, *, areas: Iterable[str] | None) -> None:
        """It is this now. ``areas``: null where nobody knows, and then it is near everything."""
        self._forget(name)
        self._kept[name] = kept
        if name not in self._serials:
            self._serial += 1
            self._serials[name] = self._serial
        if areas is None:
            self._unsure.add(name)
            return
        self._areas[name] = frozenset(areas)
        for area in self._areas[name]:
            self._names.setdefault(area, set()).add(name)

    def put_misread(self, name: Name, misread: Misread) -> None:
        """It is there, and cannot be read."""
        self._forget(name)
        self._misread[name] = misread

    def drop(self, name: Name) -> None:
        """It is there no more."""
        self._forget(name)
        self._serials.pop(name, None)

    def near(self, areas: Collection[str]) -> list[T]:
        """Those that send to one of these areas, in the order in which they came."""
        found = self._unsure.union(*(self._names.get(area, ()) for area in areas))
        return [self._kept[name] for name in sorted(found, key=self._serials.__getitem__)]

    def _forget(self, name: Name) -> None:
        self._kept.pop(name, None)
        self._misread.pop(name, None)
        self._unsure.discard(name)
        for area in self._areas.pop(name, ()):
            self._names[area].discard(name)
            if not self._names[area]:
                del self._names[area]
