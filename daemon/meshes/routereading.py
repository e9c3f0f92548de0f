"""Every route of a cluster that may be read, of some kinds: by listing them, or as a watch has them; and what could not be read.

What a watch has is as good as a listing for finding where a canary gets traffic from: whatever comes of it is read anew before it
is written, and what a watch has not heard of yet is found by the look that follows. It is not for the last word: "no route sends to
the canary" is said of a listing only, since a connection that has died without a sign is noticed after a minute and a half.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec

from daemon.aio.clock import SystemClock
from daemon.aio.singleflight import SingleFlight
from daemon.errors import Forbidden, NotFound, TransientError, VerdictdError, first_to_retry
from daemon.kube import applying
from daemon.kube.answers import Expired
from daemon.kube.client import KubeClient
from daemon.kube.informer import Informer
from daemon.kube.listwatch import ApiSource
from daemon.kube.resources import Json, Resource
from daemon.meshes.kuberoutes import Objects, Routes
from daemon.meshes.references import Name, identity
from daemon.placement import RouteReference
from daemon.standing import Standing

_HEARD_SECONDS = 100.0
"""A watch that is alive is heard of once a minute, if nothing happens."""

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
        owner, by = applying.applied_by(self.item) or applying.controlled_by(self.item), applying.written(self.item)
        return tuple(msgspec.structs.replace(one, owner=owner, written=by) for one in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Generic[A]):
    """The routes that may be read; what of the cluster's may not; and whether the mesh's own could be listed everywhere."""

    routes: tuple[Route[A], ...]
    unread: tuple[str, ...] = ()
    everywhere: bool = True

    @property
    def objects(self) -> Objects:
        """As ``Arms`` takes them."""
        found: dict[Resource, list[Json]] = {}
        for one in self.routes:
            found.setdefault(one.kind.resource, []).append(one.item)
        return found


class RouteReader(Generic[A]):
    """Reads one cluster; what a thousand releases ask at the same time is asked once.

    Args:
        kube: a client of the cluster.
        routes: the mesh's own kinds. One whose definition the cluster lacks has no objects, as long as another one is there.
        beside: kinds of another API that send to the same pods: what of them cannot be read is told, and stops nothing.
    """

    def __init__(self, kube: KubeClient, *, routes: Sequence[Routes[A]], beside: Sequence[Routes[A]] = ()) -> None:
        self._kube = kube
        self.kinds: Mapping[Resource, Routes[A]] = {kind.resource: kind for kind in (*routes, *beside)}
        self._beside = frozenset(kind.resource for kind in beside)
        self._everything = {resource: SingleFlight(partial(kube.list, resource)) for resource in self.kinds}
        self._watched: dict[Resource, Informer[Json]] = {}

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
            async with asyncio.TaskGroup() as group:
                for resource, informer in self._watched.items():
                    group.create_task(informer.run(), name=f"watch of {resource}")
        finally:
            self._watched = {}

    def seen(self, key: Key) -> Json | None:
        """An object as its watch has it now; null where that is not known, or it is not there."""
        there = self._all_seen(key[0])
        return None if there is None else there.get(key[1])

    async def all(self, namespace: str, *, watched: bool = False) -> Found[A]:
        """Every route that we may read, for a release of this namespace; with ``watched``, as the watches have them where they can.

        Of a kind that the cluster does not know there are none; if it knows none of the mesh's own, that is raised.
        """
        kinds = tuple(self.kinds.values())
        results = dict(zip(self.kinds, await settled(self._of_kind(one, namespace, watched=watched) for one in kinds), strict=True))
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
            unread=tuple(unread),
            everywhere=all(one.everywhere for one in own),
        )

    async def read(self, keys: Iterable[Key]) -> tuple[list[Route[A]], dict[Key, VerdictdError]]:
        """Each object as it is now, and those that we may not read, with why; one that is gone is neither."""
        asked = list(keys)
        results = await settled(self._kube.get(resource, namespace=name[0], name=name[1]) for resource, name in asked)
        for result in results:
            if isinstance(result, TransientError):
                raise result
        read = list(zip(asked, results, strict=True))
        routes = [Route(kind=self.kinds[key[0]], item=one) for key, one in read if isinstance(one, dict)]
        return routes, {key: one for key, one in read if isinstance(one, VerdictdError) and not isinstance(one, NotFound)}

    async def _of_kind(self, kind: Routes[A], namespace: str, *, watched: bool) -> Found[A]:
        if watched and (seen := self._all_seen(kind.resource)) is not None:
            return Found(routes=_routes(kind, seen.values()))
        try:
            return Found(routes=_routes(kind, (await self._everything[kind.resource]()).items))
        except Forbidden:
            near = _routes(kind, (await self._kube.list(kind.resource, namespace=namespace)).items)
            delegates, unread = await self._delegates(kind, near)
            others = f"{kind.resource.kind}s of other namespaces than {namespace}, which may not be listed"
            return Found(routes=near + delegates, unread=(others, *unread), everywhere=False)

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

    def _all_seen(self, resource: Resource) -> Mapping[Name, Json] | None:
        informer = self._watched.get(resource)
        if informer is None or informer.failure is not None:
            return None
        try:
            return informer.objects(within_seconds=_HEARD_SECONDS)
        except VerdictdError:
            return None

    def _informer(self, resource: Resource, changed: Callable[[], None]) -> Informer[Json]:
        """One kind's; why it cannot be watched is said once."""
        standing = Standing(f"watch of {resource}")

        def failed(error: VerdictdError) -> None:
            # A kind that the cluster does not know has no objects; a version that has grown too old is how a watch goes on.
            if not isinstance(error, NotFound | Expired):
                standing.fails(str(error))

        def heard(_: Name) -> None:
            standing.works()
            changed()

        source = ApiSource(kube=self._kube, resource=resource)
        return Informer(source, kept=_route_only, clock=SystemClock(), changed=heard, failed=failed)


async def settled(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T | VerdictdError]:
    """Await all at the same time; one that fails does not end the others, and gives its error."""

    async def one(call: Coroutine[Any, Any, T]) -> T | VerdictdError:
        try:
            return await call
        except VerdictdError as error:
            return error

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(call)) for call in calls]
    return [task.result() for task in tasks]


def _route_only(item: Json) -> Json:
    """Without what a watched object carries along for others: it may be kept a thousand times."""
    return {**item, "metadata": {key: value for key, value in item.get("metadata", {}).items() if key != "managedFields"}}


def _routes(kind: Routes[A], items: Iterable[Json]) -> tuple[Route[A], ...]:
    return tuple(Route(kind=kind, item=item) for item in items)
