"""Every route of a cluster that may be read, of some kinds: by listing them, or as a watch has them; and what could not be read.

What a watch has is as good as a listing for finding where a canary gets traffic from: whatever comes of it is read anew before it
is written, and what a watch has not heard of yet is found by the look that follows. It is not for the last word: "no route sends to
the canary" is said of a listing only, since a connection that has died without a sign is noticed after a minute and a half.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec

from daemon.aio.clock import SystemClock
from daemon.aio.singleflight import SingleFlight
from daemon.aio.tasks import TaskGroup
from daemon.errors import Forbidden, NotFound, Refused, TransientError, VerdictdError, first_to_retry
from daemon.kube import applying
from daemon.kube.answers import Expired
from daemon.kube.client import KubeClient
from daemon.kube.forms import Misread, well_formed
from daemon.kube.informer import Informer
from daemon.kube.listwatch import ApiSource
from daemon.kube.resources import Json, Resource, metadata_of
from daemon.meshes.kuberoutes import Objects, Routes
from daemon.meshes.references import Name, Watched, identity
from daemon.meshes.routeindex import RouteIndex, Vicinity
from daemon.model import Release
from daemon.placement import RouteReference
from daemon.standing import Standing

log = logging.getLogger(__name__)

_HEARD_SECONDS = 100.0
"""A watch that is alive is heard of once a minute, if nothing happens."""

_AT_A_STRETCH = 50
"""Routes that are read before others have their turn."""

_SEVERAL = 2
"""Calls of which each has a task: of one it would be a fifth of its time."""

T = TypeVar("T")
A = TypeVar("A")

Key = tuple[Resource, Name]
"""Which object: its kind, namespace and name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Generic[A]):
    """One object, and who understands it."""

    kind: Routes[A]
    item: Json

    @property
    def key(self) -> Key:
        """Which object it is."""
        return self.kind.resource, identity(self.item)

    def references(self, arms: A) -> tuple[RouteReference, ...]:
        """See ``Routes.references``; each says who applies the object, and who wrote it last."""
        found = self.kind.references(self.item, arms=arms)
        if not found:
            return ()
        applier, by = applying.applied_by(self.item), applying.written(self.item)
        owner = applying.controlled_by(self.item) if applier is None or applier.left_alone else str(applier)
        return tuple(msgspec.structs.replace(one, owner=owner, applier=applier, written=by) for one in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Generic[A]):
    """The routes that can be read, and those that cannot; what may not be; and whether its own could be listed everywhere."""

    routes: tuple[Route[A], ...]
    misread: tuple[Misread, ...] = ()
    unread: tuple[str, ...] = ()
    everywhere: bool = True

    @property
    def objects(self) -> Objects:
        """As ``Arms`` takes them."""
        found: dict[Resource, list[Json]] = {}
        for one in self.routes:
            found.setdefault(one.kind.resource, []).append(one.item)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming(Generic[A]):
    """The routes that name a canary, each with the places where it does; and those of which that cannot be told."""

    routes: tuple[tuple[Route[A], tuple[RouteReference, ...]], ...]
    misread: tuple[Misread, ...] = ()

    @property
    def references(self) -> tuple[RouteReference, ...]:
        """Every place."""
        return tuple(one for _, references in self.routes for one in references)

    @property
    def unreadable(self) -> Mapping[Key, Misread]:
        """Those that cannot be read."""
        return {(one.resource, (one.namespace, one.name)): one for one in self.misread}

    @property
    def unread(self) -> tuple[str, ...]:
        """The same, for a person."""
        return tuple(map(str, self.misread))


class RouteReader(Generic[A]):
    """Reads one cluster; what a thousand releases ask at the same time is asked once.

    Args:
        kube: a client of the cluster.
        routes: the mesh's own kinds. One whose definition the cluster lacks has no objects, as long as another one is there.
        beside: kinds of another API that send to the same pods: what of them cannot be read is told, and stops nothing.
        vicinity: tells which routes are near a release; null: of this mesh all are.
    """

    def __init__(
        self, kube: KubeClient, *, routes: Sequence[Routes[A]], beside: Sequence[Routes[A]] = (), vicinity: Vicinity | None = None
    ) -> None:
        self._kube = kube
        self._vicinity = vicinity
        self.kinds: Mapping[Resource, Routes[A]] = {kind.resource: kind for kind in (*routes, *beside)}
        self._beside = frozenset(kind.resource for kind in beside)
        self._everything = {kind.resource: SingleFlight(partial(self._listed, kind)) for kind in self.kinds.values()}
        self._watched: dict[Resource, Informer[Json | Misread]] = {}
        self._indexes: dict[Resource, RouteIndex[Route[A]]] = {}
        self._defects: set[Key] = set()

    @property
    def own(self) -> tuple[Resource, ...]:
        """The mesh's own kinds."""
        return tuple(resource for resource in self.kinds if resource not in self._beside)

    @property
    def is_followed(self) -> bool:
        """Whether the routes are watched."""
        return bool(self._watched)

    async def follow(self, changed: Callable[[], None]) -> None:
        """See ``RouteFollower.follow``: by a watch of each kind, where the whole cluster's routes may be watched."""
        self._watched = {resource: self._informer(resource, changed) for resource in self.kinds}
        try:
            async with TaskGroup() as group:
                for resource, informer in self._watched.items():
                    group.create_task(informer.run(), name=f"watch of {resource}")
        finally:
            self._watched = {}

    def seen(self, key: Key) -> Json | None:
        """An object as its watch has it now; null where that is not known, or it is not there."""
        there = (self._all_seen(key[0]) or {}).get(key[1])
        return None if isinstance(there, Misread) else there

    async def near(self, release: Release, *, watched: bool = False) -> Found[A]:
        """The routes that may have to do with a release, as they are now; of kinds that may not be listed everywhere all.

        With ``watched`` as the watches have them, where they can: a moment old, mostly; that a connection has died may not be
        noticed for a minute and a half.
        """
        areas = None if self._vicinity is None else frozenset(self._vicinity.of_release(release))
        return await self._read_all(partial(self._of_kind, namespace=release.namespace, areas=areas, watched=watched))

    async def all(self, namespace: str) -> Found[A]:
        """Every route that we may read, for a release of this namespace, as it is now.

        Of a kind that the cluster does not know there are none; if it knows none of the mesh's own, that is raised.
        """
        return await self._read_all(partial(self._of_kind, namespace=namespace))

    async def _read_all(self, read: Callable[[Routes[A]], Coroutine[Any, Any, Found[A]]]) -> Found[A]:
        results = dict(zip(self.kinds, await settled(map(read, self.kinds.values())), strict=True))
        found = [one for one in results.values() if isinstance(one, Found)]
        errors = [one for resource, one in results.items() if isinstance(one, VerdictdError) and resource not in self._beside]
        serious = [one for one in errors if not isinstance(one, NotFound)]
        if serious or len(errors) == len(self.own):
            raise first_to_retry(serious or errors)
        unread = [said for one in found for said in one.unread]
        unread += [
            f"{resource.kind}s, which may send to the same pods: {error}"
            for resource, error in results.items()
            if resource in self._beside and isinstance(error, VerdictdError) and not isinstance(error, NotFound)
        ]
        own = [one for resource, one in results.items() if isinstance(one, Found) and resource not in self._beside]
        return Found(
            routes=tuple(route for one in found for route in one.routes),
            misread=tuple(misread for one in found for misread in one.misread),
            unread=tuple(unread),
            everywhere=all(one.everywhere for one in own),
        )

    def naming(self, there: Found[A], arms: A) -> "Naming[A]":
        """Which of these routes name the canary. One that our reader breaks on is told with those that cannot be read."""
        found, misread = [], list(there.misread)
        for route in there.routes:
            try:
                if references := route.references(arms):
                    found.append((route, references))
            except Exception as error:
                resource, (namespace, name) = route.key
                why = f"it cannot be read, through a defect ({type(error).__name__})"
                misread.append(Misread(resource=resource, namespace=namespace, name=name, why=why))
                if route.key not in self._defects:
                    self._defects.add(route.key)
                    log.exception("a route cannot be read, through a defect", extra={"object": f"{namespace}/{name}"})
        return Naming(routes=tuple(found), misread=tuple(misread))

    async def read(self, keys: Iterable[Key]) -> tuple[list[Route[A]], dict[Key, VerdictdError]]:
        """Each object as it is now, and those that we may not read, with why; one that is gone is neither."""
        asked = list(keys)
        results = await settled(self._kube.get(resource, namespace=name[0], name=name[1]) for resource, name in asked)
        for result in results:
            if isinstance(result, TransientError):
                raise result
        read = list(zip(asked, results, strict=True))
        routes, failed = [], {key: one for key, one in read if isinstance(one, VerdictdError) and not isinstance(one, NotFound)}
        for key, one in read:
            if isinstance(one, dict):
                good, misread = well_formed(key[0], [one])
                routes += [Route(kind=self.kinds[key[0]], item=item) for item in good]
                if misread:
                    failed[key] = Refused(str(misread[0]))
        return routes, failed

    async def _of_kind(
        self, kind: Routes[A], *, namespace: str, areas: Collection[str] | None = None, watched: bool = False
    ) -> Found[A]:
        if watched and self._all_seen(kind.resource) is not None:
            return _near(self._indexes[kind.resource], areas)
        try:
            return _near(await self._everything[kind.resource](), areas)
        except Forbidden:
            near = _found(kind, (await self._kube.list(kind.resource, namespace=namespace)).items)
            delegates, unread = await self._delegates(kind, near.routes)
            others = f"{kind.resource.kind}s of other namespaces than {namespace}, which may not be listed"
            return Found(routes=near.routes + delegates, misread=near.misread, unread=(others, *unread), everywhere=False)

    async def _listed(self, kind: Routes[A]) -> RouteIndex[Route[A]]:
        """A listing as many look at it: what is read of its routes is worked out once for all, and the loop turns meanwhile."""
        index = RouteIndex[Route[A]]()
        for count, item in enumerate((await self._kube.list(kind.resource)).items, start=1):
            good, misread = well_formed(kind.resource, [item])
            self._take_up(kind.resource, index, identity(item), Watched(item) if good else misread[0])
            if count % _AT_A_STRETCH == 0:
                await asyncio.sleep(0)
        return index

    async def _delegates(self, kind: Routes[A], near: Collection[Route[A]]) -> tuple[tuple[Route[A], ...], list[str]]:
        """The objects that these hand requests on to, and of which of them that is not known."""
        wanted = {name: identity(one.item) for one in near for name in kind.delegates(one.item)}
        for one in near:
            wanted.pop(identity(one.item), None)
        routes, unread = await self.read((kind.resource, name) for name in sorted(wanted))
        said = [
            f"{kind.resource.kind} {'/'.join(key[1])}, which {'/'.join(wanted[key[1]])} hands requests on to: {error}"
            for key, error in unread.items()
        ]
        return tuple(routes), said

    def _all_seen(self, resource: Resource) -> Mapping[Name, Json | Misread] | None:
        informer = self._watched.get(resource)
        if informer is None or informer.failure is not None:
            return None
        try:
            return informer.objects(within_seconds=_HEARD_SECONDS)
        except VerdictdError:
            return None

    def _informer(self, resource: Resource, changed: Callable[[], None]) -> Informer[Json | Misread]:
        """One kind's; why it cannot be watched is said once."""
        standing, index = Standing(f"watch of {resource}"), RouteIndex[Route[A]]()
        self._indexes[resource] = index

        def failed(error: VerdictdError) -> None:
            # A kind that the cluster does not know has no objects; a version that has grown too old is how a watch goes on.
            if not isinstance(error, NotFound | Expired):
                standing.fails(str(error))

        def heard(name: Name) -> None:
            standing.works()
            self._take_up(resource, index, name, informer.known.get(name))
            changed()

        source = ApiSource(kube=self._kube, resource=resource)
        informer = Informer(source, kept=partial(_route_only, resource), clock=SystemClock(), changed=heard, failed=failed)
        return informer

    def _take_up(self, resource: Resource, index: RouteIndex[Route[A]], name: Name, item: Json | Misread | None) -> None:
        """Have the index as the watch is. A route that our reader breaks on may send anywhere."""
        match item:
            case None:
                index.drop(name)
            case Misread():
                index.put_misread(name, item)
            case _:
                areas: frozenset[str] | None = None
                with suppress(Exception):
                    areas = None if self._vicinity is None else frozenset(self._vicinity.of_item(resource, item))
                index.put(name, Route(kind=self.kinds[resource], item=item), areas=areas)


async def settled(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T | VerdictdError]:
    """Await all at the same time; one that fails does not end the others, and gives its error."""

    async def one(call: Coroutine[Any, Any, T]) -> T | VerdictdError:
        try:
            return await call
        except VerdictdError as error:
            return error

    waiting = [*calls]
    if len(waiting) < _SEVERAL:
        return [await one(call) for call in waiting]
    async with TaskGroup() as group:
        tasks = [group.create_task(one(call)) for call in waiting]
    return [task.result() for task in tasks]


def _route_only(resource: Resource, item: Json) -> Json | Misread:
    """Without what a watched object carries along for others, since it may be kept a thousand times; or that it cannot be read."""
    good, misread = well_formed(resource, [item])
    if not good:
        return misread[0]
    metadata = {key: value for key, value in metadata_of(item).items() if key != "managedFields"}
    return Watched({**item, "metadata": metadata})


def _near(index: RouteIndex[Route[A]], areas: Collection[str] | None) -> Found[A]:
    return Found(routes=tuple(index.all if areas is None else index.near(areas)), misread=index.misread)


def _found(kind: Routes[A], items: Iterable[Json]) -> Found[A]:
    good, misread = well_formed(kind.resource, items)
    return Found(routes=tuple(Route(kind=kind, item=item) for item in good), misread=tuple(misread))
