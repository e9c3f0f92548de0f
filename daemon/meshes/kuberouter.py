"""Meshes whose routes are objects of the API server: traffic is taken back by patching every object that names the canary.

A mesh of this kind brings planners and what tells its arms (``daemon.meshes.kuberoutes``); the rest is here. The first patch of
a revert goes to the objects that are known from looking before, each read anew: one GET and one PATCH instead of a listing of
the cluster. Each object is a matter of its own: one that is slow, or that somebody else writes all the time, holds up no other.
Looking whether the canary still gets traffic is a listing, so that an object that has come since is found, and taken back by the
next call. What an arm is, is never remembered: it is read each time.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec

from daemon.aio.clock import SystemClock
from daemon.aio.singleflight import SingleFlight
from daemon.errors import Conflict, Forbidden, NotFound, PermanentError, TransientError, Unavailable, VerdictdError
from daemon.kube.answers import Expired
from daemon.kube.client import KubeClient, Listing
from daemon.kube.informer import Informer
from daemon.kube.listwatch import ApiSource
from daemon.kube.resources import Json, Resource
from daemon.meshes.kuberoutes import Arms, Objects, Routes
from daemon.meshes.kubeundoing import KubeUndoing
from daemon.meshes.references import Name, Plan, identity, largest_percent, with_traffic
from daemon.meshes.undoing import applied, differences, undo_of
from daemon.model import Release
from daemon.placement import (
    ObjectName,
    PatchedObject,
    PatchReceipt,
    Placement,
    PlannedObject,
    RouteReference,
    Undo,
    split_percent,
)
from daemon.standing import Standing

log = logging.getLogger(__name__)

_REMEMBERED = 20_000
_HEARD_SECONDS = 100.0
"""A watch that is alive is heard of once a minute, if nothing happens."""
_CONFLICTS = 3
"""How often an object that somebody else has written meanwhile is read and patched anew at once."""

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
A = TypeVar("A")

Key = tuple[Resource, Name]
"""Which object: its kind, namespace and name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route(Generic[A]):
    """One object, and who understands it."""

    kind: Routes[A]
    item: Json

    @property
    def key(self) -> Key:
        return self.kind.resource, identity(self.item)

    @property
    def name(self) -> ObjectName:
        return _object(self.key)

    def references(self, arms: A) -> tuple[RouteReference, ...]:
        return self.kind.references(self.item, arms=arms)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found(Generic[A]):
    """The routes that may be read, and what of the cluster's may not."""

    routes: tuple[_Route[A], ...]
    unread: tuple[str, ...] = ()

    @property
    def objects(self) -> Objects:
        """As ``Arms`` takes them."""
        found: dict[Resource, list[Json]] = {}
        for one in self.routes:
            found.setdefault(one.kind.resource, []).append(one.item)
        return found


class KubeRouter(Generic[A]):
    """The routes of one cluster's mesh. Implements ``TrafficRouter`` and ``RouteEditor``.

    Args:
        kube: a client of the cluster.
        routes: the kinds of routes, in the order in which they are told. One whose definition the cluster lacks has no objects,
            as long as another one is there.
        arms: what tells the arms.
    """

    def __init__(self, kube: KubeClient, *, routes: Sequence[Routes[A]], arms: Arms[A]) -> None:
        self._kube = kube
        self._kinds = {kind.resource: kind for kind in routes}
        self._arms = arms
        self._undoing = KubeUndoing(kube, self._kinds)
        self._everything = {resource: SingleFlight(partial(kube.list, resource)) for resource in self._kinds}
        self._known: dict[bytes, tuple[Key, ...]] = {}
        self._watched: dict[Resource, Informer[Json]] = {}

    async def follow(self, changed: Callable[[], None]) -> None:
        """See ``RouteFollower.follow``: by a watch of each kind, where the whole cluster's routes may be watched."""
        self._watched = {resource: self._informer(resource, changed) for resource in self._kinds}
        try:
            async with asyncio.TaskGroup() as group:
                for resource, informer in self._watched.items():
                    group.create_task(informer.run(), name=f"watch of {resource}")
        finally:
            self._watched = {}

    async def weight(self, release: Release, *, located: str = "") -> float | None:
        """See ``RouteFollower.weight``: from what is watched, and where that is not known as of now, by reading the routes."""
        arms, keys = self._arms.as_located(release, located=located), self._known.get(_key(release), ())
        if arms is None or not keys:
            raise NotFound("its routes have not been located")
        watched = [self._seen(key) for key in keys]
        if all(watched):
            routes = [_Route(kind=self._kinds[key[0]], item=item) for key, item in zip(keys, watched, strict=True) if item]
        else:
            routes = self._naming(await self._all(release), arms, release)
        return split_percent(one for route in routes for one in route.references(arms))

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

    def _seen(self, key: Key) -> Json | None:
        """An object as its watch has it now; null where that is not known, or it is not there."""
        informer = self._watched.get(key[0])
        if informer is None or informer.failure is not None:
            return None
        try:
            return informer.objects(within_seconds=_HEARD_SECONDS).get(key[1])
        except VerdictdError:
            return None

    async def close(self) -> None:
        """Nothing to close here: the client belongs to whoever made it."""

    async def locate(self, release: Release) -> Placement:
        """See ``TrafficRouter.locate``. ``release.route`` must be a route of the release's namespace."""
        if release.route is not None:
            await self._require(release.namespace, release.route)
        there = await self._all(release)
        survey = await self._arms.survey(release, objects=there.objects)
        found = [one for route in self._naming(there, survey.arms, release) for one in route.references(survey.arms)]
        if not found:
            raise NotFound(self._not_named(there, survey.arms, release))
        behind = await survey.behind()
        return Placement(
            routes=tuple(found),
            canary_percent=largest_percent(found),
            baseline=behind.account,
            located=behind.located,
            pods=behind.pods,
            elsewhere=behind.elsewhere,
            unread=(*there.unread, *behind.unread),
        )

    async def check_baseline(self, release: Release, *, located: str = "") -> str:
        """See ``TrafficRouter.check_baseline``."""
        return await self._arms.check_baseline(release, located=located, objects=partial(self._objects, release))

    async def revert(self, release: Release, *, located: str = "") -> PatchReceipt:
        """See ``TrafficRouter.revert``."""
        arms = await self._arms.now(release, located=located, objects=partial(self._objects, release))
        parts = await self._take_back(((key, None) for key in self._known.get(_key(release), ())), arms)
        if not parts:
            naming = self._naming(await self._all(release), arms, release)
            parts = await self._take_back(((one.key, one.item) for one in naming), arms)
        written = [one for one in parts if one.failure is None]
        if not written:
            if errors := [one.failure for one in parts if one.failure is not None]:
                raise _first(errors)
            now = time.time()
            return PatchReceipt(nothing="no route gives the canary anything", sent_at=now, acknowledged_at=now)
        return PatchReceipt(
            parts=parts,
            sent_at=min(one.sent_at for one in written),
            acknowledged_at=max(one.acknowledged_at for one in written),
        )

    async def plan(self, release: Release, *, located: str = "") -> tuple[PlannedObject, ...]:
        """See ``RouteEditor.plan``."""
        arms = await self._arms.now(release, located=located, objects=partial(self._objects, release))
        naming = self._naming(await self._all(release), arms, release)
        return tuple(one for route in naming if (one := _would_be(route, arms)) is not None)

    async def plan_restore(self, undos: Sequence[Undo]) -> tuple[PlannedObject, ...]:
        """See ``RouteEditor.plan_restore``."""
        return await self._undoing.plan(undos)

    async def restore(self, undos: Sequence[Undo]) -> tuple[PatchedObject, ...]:
        """See ``RouteEditor.restore``."""
        return await self._undoing.restore(undos)

    async def canary_gets_traffic(self, release: Release, *, located: str = "") -> str | None:
        """See ``TrafficRouter.canary_gets_traffic``: as the API server has it now; proxies follow a moment later."""
        arms = await self._arms.now(release, located=located, objects=partial(self._objects, release))
        naming = self._naming(await self._all(release), arms, release)
        return with_traffic(one for route in naming for one in route.references(arms))

    async def _objects(self, release: Release) -> Objects:
        return (await self._all(release)).objects

    async def _all(self, release: Release) -> _Found[A]:
        """Every route that we may read. Of a kind that the cluster does not know there are none; if it knows none, that is said."""
        results = await settled(self._of_kind(kind, release) for kind in self._kinds.values())
        found = [one for one in results if isinstance(one, _Found)]
        errors = [one for one in results if isinstance(one, VerdictdError)]
        serious = [one for one in errors if not isinstance(one, NotFound)]
        if serious or not found:
            raise _first(serious or errors)
        routes = tuple(route for one in found for route in one.routes)
        return _Found(routes=routes, unread=tuple(said for one in found for said in one.unread))

    async def _of_kind(self, kind: Routes[A], release: Release) -> _Found[A]:
        try:
            return _Found(routes=_routes(kind, await self._everything[kind.resource]()))
        except Forbidden:
            near = _routes(kind, await self._kube.list(kind.resource, namespace=release.namespace))
            unread = f"{kind.resource.kind}s of other namespaces than {release.namespace}, which may not be listed"
            return _Found(routes=near + await self._delegates(kind, near), unread=(unread,))

    async def _delegates(self, kind: Routes[A], near: Sequence[_Route[A]]) -> tuple[_Route[A], ...]:
        """The objects that these hand requests on to, as far as we may read them."""
        wanted = {name for one in near for name in kind.delegates(one.item)} - {identity(one.item) for one in near}
        return tuple(await self._read([(kind.resource, name) for name in sorted(wanted)]))

    async def _require(self, namespace: str, name: str) -> None:
        """Raises what says that no kind has this object."""
        results = await settled(self._kube.get(resource, namespace=namespace, name=name) for resource in self._kinds)
        errors = [one for one in results if isinstance(one, VerdictdError)]
        if len(errors) == len(results):
            raise _first(errors)

    def _naming(self, there: _Found[A], arms: A, release: Release) -> list[_Route[A]]:
        """Those that name the canary; they are remembered for the first patch."""
        naming = [one for one in there.routes if one.references(arms)]
        remember(self._known, _key(release), tuple(one.key for one in naming))
        return naming

    def _not_named(self, there: _Found[A], arms: A, release: Release) -> str:
        """What was looked for and where, and what is written there that may be meant."""
        near = f"namespace {release.namespace} (and delegates; the rest of the cluster may not be read)"
        kinds = " or ".join(resource.kind for resource in self._kinds)
        objects = there.objects
        hint = "".join(kind.meant(objects.get(resource, ()), arms=arms) for resource, kind in self._kinds.items())
        where = near if there.unread else "any namespace"
        return f"no {kinds} in {where} names the canary, {self._arms.canary(arms)}, as destination or mirror{hint}"

    async def _read(self, keys: Iterable[tuple[Resource, Name]]) -> list[_Route[A]]:
        """Each object as it is now; one that is gone, or that we may not read, is left out."""
        asked = list(keys)
        results = await settled(self._kube.get(resource, namespace=name[0], name=name[1]) for resource, name in asked)
        for result in results:
            if isinstance(result, TransientError):
                raise result
        read = zip(asked, results, strict=True)
        return [_Route(kind=self._kinds[resource], item=one) for (resource, _), one in read if isinstance(one, dict)]

    async def _take_back(self, objects: Iterable[tuple[Key, Json | None]], arms: A) -> tuple[PatchedObject, ...]:
        """All of these objects at the same time; those that there was nothing to write in are left out."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._take_back_one(key, item, arms)) for key, item in objects]
        return tuple(part for task in tasks if (part := task.result()) is not None)

    async def _take_back_one(self, key: Key, item: Json | None, arms: A) -> PatchedObject | None:
        """Read it (unless it has just been), plan, write. One that is gone, or that we may not read, is none."""
        resource, (namespace, name) = key
        kind, conflicts, said = self._kinds[resource], 0, _object(key)
        part = partial(PatchedObject, object=said)
        while True:
            sent_at = time.time()
            try:
                item = item or await self._kube.get(resource, namespace=namespace, name=name)
            except PermanentError:
                return None
            except VerdictdError as error:
                return part(failure=error, sent_at=sent_at, acknowledged_at=time.time())
            try:
                plan = _planned(kind, item, arms)
                if not plan.operations:
                    return None
                sent_at = time.time()
                after = await self._kube.patch(resource, namespace=namespace, name=name, operations=plan.operations)
                acknowledged_at, undo = time.time(), undo_of(item, after, of=said, resource=str(resource))
                return part(changes=plan.changes, sent_at=sent_at, acknowledged_at=acknowledged_at, undo=undo)
            except VerdictdError as error:
                if not isinstance(error, Conflict) or conflicts == _CONFLICTS:
                    return part(failure=error, sent_at=sent_at, acknowledged_at=time.time())
                item, conflicts = None, conflicts + 1


def _would_be(route: _Route[A], arms: A) -> PlannedObject | None:
    """What would be written in this object, as its patch makes it; null where that is nothing."""
    try:
        plan = _planned(route.kind, route.item, arms)
        if not plan.operations:
            return None
        values = differences(route.item, applied(route.item, plan.operations))
        return PlannedObject(object=route.name, changes=plan.changes, values=values)
    except VerdictdError as error:
        return PlannedObject(object=route.name, failure=error)


def _object(key: Key) -> ObjectName:
    resource, (namespace, name) = key
    return ObjectName(kind=resource.kind, namespace=namespace, name=name)


def _planned(kind: Routes[A], item: Json, arms: A) -> Plan:
    """A planner's defect is its object's failure: in a group it would end the other objects' patches."""
    try:
        return kind.revert(item, arms=arms)
    except VerdictdError:
        raise
    except Exception as error:
        log.exception("a route could not be planned, through a defect", extra={"object": "/".join(identity(item))})
        raise Unavailable(f"its patch could not be planned, through a defect ({type(error).__name__})") from error


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


def remember(memory: dict[K, V], key: K, value: V) -> None:
    """Keep the newest; what is forgotten is only looked up again."""
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > _REMEMBERED:
        del memory[next(iter(memory))]


def _route_only(item: Json) -> Json:
    """Without what a watched object carries along for others: it may be kept a thousand times."""
    return {**item, "metadata": {key: value for key, value in item.get("metadata", {}).items() if key != "managedFields"}}


def _routes(kind: Routes[A], listing: Listing) -> tuple[_Route[A], ...]:
    return tuple(_Route(kind=kind, item=item) for item in listing.items)


def _first(errors: Sequence[VerdictdError]) -> VerdictdError:
    """What can be tried again is told before what cannot."""
    return min(errors, key=lambda error: not isinstance(error, TransientError))


def _key(release: Release) -> bytes:
    return msgspec.json.encode((release.service, release.namespace, release.baseline, release.canary))
