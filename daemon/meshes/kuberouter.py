"""Meshes whose routes are objects of the API server: traffic is taken back by patching every object that names the canary.

A mesh of this kind brings planners and what tells its arms (``daemon.meshes.kuberoutes``); the rest is here. The first patch of
a revert goes to the objects that are known from looking before, each read anew: one GET and one PATCH instead of a listing of
the cluster. Each object is a matter of its own: one that is slow, or that somebody else writes all the time, holds up no other.
Looking whether the canary still gets traffic is a listing, so that an object that has come since is found, and taken back by the
next call. What an arm is, is never remembered: it is read each time.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

import msgspec

from daemon.aio.tasks import TaskGroup
from daemon.errors import Conflict, InvalidInput, NotFound, PermanentError, Refused, Unavailable, VerdictdError, first_to_retry
from daemon.kube.applying import put_back_by
from daemon.kube.client import KubeClient
from daemon.kube.forms import require_all
from daemon.kube.resources import Json
from daemon.meshes.documentundoing import DocumentUndoing
from daemon.meshes.kubedocuments import KubeDocuments, key_of
from daemon.meshes.kuberoutes import Arms, Objects, Routes, decode
from daemon.meshes.references import Plan, identity, largest_percent, listed, with_traffic
from daemon.meshes.routeindex import Vicinity
from daemon.meshes.routereading import Found, Key, Naming, Route, RouteReader, settled
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

log = logging.getLogger(__name__)

_REMEMBERED = 20_000
_CONFLICTS = 3
"""How often an object that somebody else has written meanwhile is read and patched anew at once."""

K = TypeVar("K")
V = TypeVar("V")
A = TypeVar("A")


@dataclass(frozen=True, slots=True, kw_only=True)
class Beyond:
    """What is known of a release that its routes do not say; the fields are as in ``Placement``.

    A process that has not located it reads them in ``located``, where the mesh's own words have fields of these names.
    """

    elsewhere: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


class KubeRouter(Generic[A]):
    """The routes of one cluster's mesh. Implements ``TrafficRouter`` and ``RouteEditor``.

    Args:
        kube: a client of the cluster.
        routes: the kinds of routes, in the order in which they are told. One whose definition the cluster lacks has no objects,
            as long as another one is there.
        arms: what tells the arms.
        beside: kinds of another API that send to the same pods: what of them names the canary is taken back as well. A release is
            none of this mesh's where only they name it.
        vicinity: tells which of the watched routes may have to do with a release; null: all may.
    """

    def __init__(
        self,
        kube: KubeClient,
        *,
        routes: Sequence[Routes[A]],
        arms: Arms[A],
        beside: Sequence[Routes[A]] = (),
        vicinity: Vicinity | None = None,
    ) -> None:
        self._kube = kube
        self._arms = arms
        self._reader = RouteReader(kube, routes=routes, beside=beside, vicinity=vicinity)
        self._kinds = self._reader.kinds
        self._undoing = DocumentUndoing(KubeDocuments(kube, self._kinds))
        self._known: dict[bytes, tuple[Key, ...]] = {}
        self._beyond: dict[bytes, Beyond] = {}

    async def follow(self, changed: Callable[[], None]) -> None:
        """See ``RouteFollower.follow``: by a watch of each kind, where the whole cluster's routes may be watched."""
        await self._reader.follow(changed)

    async def weight(self, release: Release, *, located: str = "") -> float | None:
        """See ``RouteFollower.weight``: from what is watched, and where that is not known as of now, by reading the routes."""
        arms, keys = self._arms.as_located(release, located=located), self._known.get(_key(release), ())
        if arms is None or not keys:
            raise NotFound("its routes have not been located")
        watched = [self._reader.seen(key) for key in keys]
        if not all(watched):
            return split_percent(self._naming(await self._now(release), arms, release).references)
        routes = [Route(kind=self._kinds[key[0]], item=item) for key, item in zip(keys, watched, strict=True) if item]
        return split_percent(one for route in routes for one in route.references(arms))

    async def close(self) -> None:
        """Nothing to close here: the client belongs to whoever made it."""

    async def locate(self, release: Release) -> Placement:
        """See ``TrafficRouter.locate``. ``release.route`` must be among the routes that may be read; it limits nothing.

        Where the routes are watched, as they are watched: each one is read anew before it is written, and one that has come since
        is found by the look after it. What is not found there is looked for in a listing before that is said. Nothing else may
        be older than the question: what stands behind the arms is read after it was asked for, and by a revert everything.
        """
        if self._reader.is_followed:
            try:
                return await self._located(release, await self._reader.near(release, watched=True))
            except (NotFound, InvalidInput):
                pass  # what has just been made may not have been heard of
        return await self._located(release, await self._reader.all(release.namespace))

    async def _located(self, release: Release, there: Found[A]) -> Placement:
        if release.route is not None and not any(one.key[1][1] == release.route for one in there.routes):
            await self._require(release.namespace, release.route)
        survey = await self._arms.survey(release, objects=there.objects)
        named = self._naming(there, survey.arms, release)
        if not any(route.key[0] in self._reader.own for route, _ in named.routes):
            raise NotFound(self._not_named(there, survey.arms, release, named=named))
        behind = await survey.behind()
        if behind.arms not in (None, survey.arms):
            named = self._naming(there, behind.arms, release)
        found = named.references
        beyond = Beyond(elsewhere=behind.elsewhere, unread=(*there.unread, *named.unread, *behind.unread))
        remember(self._beyond, _key(release), beyond)
        return Placement(
            routes=tuple(self.owned(found, there.objects)),
            canary_percent=largest_percent(found),
            baseline=behind.account,
            located=behind.located,
            pods=behind.pods,
            elsewhere=beyond.elsewhere,
            unread=beyond.unread,
        )

    async def check_baseline(self, release: Release, *, located: str = "") -> str:
        """See ``TrafficRouter.check_baseline``."""
        return await self._arms.check_baseline(release, located=located, objects=partial(self._objects, release))

    async def revert(self, release: Release, *, located: str = "") -> PatchReceipt:
        """See ``TrafficRouter.revert``."""
        arms = await self._arms.now(release, located=located, objects=partial(self._objects, release))
        beyond = self._beyond.get(_key(release)) or decode(located, kind=Beyond) or Beyond()
        parts = await self._take_back(((key, None) for key in self._known.get(_key(release), ())), arms)
        if not parts:
            there = await self._now(release)
            named = self._naming(there, arms, release)
            beyond = replace(beyond, unread=tuple(dict.fromkeys((*there.unread, *named.unread, *beyond.unread))))
            parts = await self._take_back(((route.key, route.item) for route, _ in named.routes), arms)
        nothing = f"no route{' that could be read' if beyond.unread else ''} gives the canary anything"
        return PatchReceipt.of(parts, nothing=nothing, now=time.time(), elsewhere=beyond.elsewhere, unread=beyond.unread)

    async def plan(self, release: Release, *, located: str = "") -> tuple[PlannedObject, ...]:
        """See ``RouteEditor.plan``. Nothing is written, so that what is watched is good enough."""
        arms = await self._arms.now(release, located=located, objects=partial(self._objects, release))
        naming = self._naming(await self._reader.near(release, watched=True), arms, release)
        return tuple(one for route, _ in naming.routes if (one := _would_be(route, arms)) is not None)

    async def plan_known(self, release: Release, *, located: str = "") -> tuple[PlannedObject, ...]:
        """See ``QuickPlanner.plan_known``: a question for each object at most, and none where they are watched."""
        arms, keys = self._arms.as_located(release, located=located), self._known.get(_key(release), ())
        if arms is None or not keys:
            return await self.plan(release, located=located)
        watched = {key: item for key in keys if (item := self._reader.seen(key)) is not None}
        read, _ = await self._reader.read(key for key in keys if key not in watched)
        routes = [*(Route(kind=self._kinds[key[0]], item=item) for key, item in watched.items()), *read]
        return tuple(one for route in routes if (one := _would_be(route, arms)) is not None)

    async def plan_restore(self, undos: Sequence[Undo]) -> tuple[PlannedObject, ...]:
        """See ``RouteEditor.plan_restore``."""
        return await self._undoing.plan(undos)

    async def restore(self, undos: Sequence[Undo]) -> tuple[PatchedObject, ...]:
        """See ``RouteEditor.restore``."""
        return await self._undoing.restore(undos)

    async def canary_gets_traffic(self, release: Release, *, located: str = "") -> str | None:
        """See ``TrafficRouter.canary_gets_traffic``: as the API server has it now; proxies follow a moment later."""
        arms = await self._arms.now(release, located=located, objects=partial(self._objects, release))
        named = self._naming(await self._now(release), arms, release)
        if (found := with_traffic(named.references)) is not None:
            return found
        # Of one that named the canary it is not to be said that it does not any more.
        unreadable = named.unreadable
        if hidden := [unreadable[key] for key in self._known.get(_key(release), ()) if key in unreadable]:
            raise Refused(f"whether the canary still gets traffic is not known: {hidden[0]}")
        return None

    def waves(self, keys: Sequence[Key]) -> Sequence[Sequence[Key]]:
        """Which objects are written at the same time: all, but in a mesh where some are copied from others."""
        return (keys,)

    def owned(self, found: Sequence[RouteReference], objects: Objects) -> Sequence[RouteReference]:
        """The places with who writes their objects by themselves, in a mesh where somebody does."""
        del objects
        return found

    async def _objects(self, release: Release) -> Objects:
        return (await self._now(release)).objects

    async def _now(self, release: Release) -> Found[A]:
        """Every route that may have to do with the release, as it is now: a listing, which all who look at the same time share."""
        return await self._reader.near(release)

    async def _require(self, namespace: str, name: str) -> None:
        """Raises what says that no kind has this object."""
        results = await settled(self._kube.get(resource, namespace=namespace, name=name) for resource in self._reader.own)
        errors = [one for one in results if isinstance(one, VerdictdError)]
        if len(errors) == len(results):
            raise first_to_retry(errors)

    def _naming(self, there: Found[A], arms: A, release: Release) -> Naming[A]:
        """Those that name the canary; they are remembered for the first patch, and those that did when they could be read."""
        named = self._reader.naming(there, arms)
        unreadable = named.unreadable
        before = [key for key in self._known.get(_key(release), ()) if key in unreadable]
        remember(self._known, _key(release), (*(route.key for route, _ in named.routes), *before))
        return named

    def _not_named(self, there: Found[A], arms: A, release: Release, *, named: Naming[A]) -> str:
        """What was looked for and where, and what is written there that may be meant."""
        near = f"namespace {release.namespace} (and delegates; the rest of the cluster may not be read)"
        kinds = " or ".join(resource.kind for resource in self._reader.own)
        unreadable = named.unreadable
        readable = replace(there, routes=tuple(one for one in there.routes if one.key not in unreadable))
        objects = readable.objects
        hint = "".join(kind.meant(objects.get(resource, ()), arms=arms) for resource, kind in self._kinds.items())
        where = "any namespace" if there.everywhere else near
        told = f"; could not be read: {listed(named.unread)}" if named.misread else ""
        return f"no {kinds} in {where} names the canary, {self._arms.canary(arms)}, as destination or mirror{hint}{told}"

    async def _take_back(self, objects: Iterable[tuple[Key, Json | None]], arms: A) -> tuple[PatchedObject, ...]:
        """All of these objects, those of a wave at the same time; those that there was nothing to write in are left out."""
        items, tasks = dict(objects), []
        for wave in self.waves(tuple(items)):
            async with TaskGroup() as group:
                tasks += [group.create_task(self._take_back_one(key, items[key], arms)) for key in wave]
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
                through = plan.through or resource
                after = await self._kube.patch(through, namespace=namespace, name=name, operations=plan.operations)
                acknowledged_at, undo = time.time(), undo_of(item, after, of=said, resource=key_of(through))
                applier = put_back_by(item)
                return part(changes=plan.changes, sent_at=sent_at, acknowledged_at=acknowledged_at, undo=undo, applier=applier)
            except VerdictdError as error:
                if not isinstance(error, Conflict) or conflicts == _CONFLICTS:
                    return part(failure=error, sent_at=sent_at, acknowledged_at=time.time())
                item, conflicts = None, conflicts + 1


def _would_be(route: Route[A], arms: A) -> PlannedObject | None:
    """What would be written in this object, as its patch makes it; null where that is nothing."""
    try:
        plan = _planned(route.kind, route.item, arms)
        if not plan.operations:
            return None
        values = differences(route.item, applied(route.item, plan.operations))
        through = key_of(plan.through or route.kind.resource)
        return PlannedObject(object=_object(route.key), changes=plan.changes, values=values, resource=through)
    except VerdictdError as error:
        return PlannedObject(object=_object(route.key), failure=error)


def _object(key: Key) -> ObjectName:
    resource, (namespace, name) = key
    return ObjectName(kind=resource.kind, namespace=namespace, name=name)


def _planned(kind: Routes[A], item: Json, arms: A) -> Plan:
    """A planner's defect is its object's failure: in a group it would end the other objects' patches.

    Raises:
        Refused: as ``Routes.revert``; or the object has come to be of another form than its kind's.
    """
    require_all(kind.resource, [item])
    try:
        return kind.revert(item, arms=arms)
    except VerdictdError:
        raise
    except Exception as error:
        log.exception("a route could not be planned, through a defect", extra={"object": "/".join(identity(item))})
        raise Unavailable(f"its patch could not be planned, through a defect ({type(error).__name__})") from error


def remember(memory: dict[K, V], key: K, value: V) -> None:
    """Keep the newest; what is forgotten is only looked up again."""
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > _REMEMBERED:
        del memory[next(iter(memory))]


def _key(release: Release) -> bytes:
    return msgspec.json.encode((release.service, release.namespace, release.baseline, release.canary))
