"""Consul's router over its HTTP API: each config entry that names the canary is read, planned for and written with check-and-set.

Entries are listed anew each time: three short answers say all that there is. Each entry is then a matter of its own: one that is
refused, or that somebody else writes all the time, holds up no other. The arms are what they were when the watch began.
"""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from daemon.aio.tasks import TaskGroup
from daemon.errors import Blocked, Conflict, InvalidInput, NotFound, Refused, Unavailable, VerdictdError
from daemon.meshes.consul import arms as naming
from daemon.meshes.consul import backings, instances, routes
from daemon.meshes.consul.api import ConsulApi, modify_index
from daemon.meshes.consul.arms import Located
from daemon.meshes.consul.documents import ConsulDocuments
from daemon.meshes.consul.elsewhere import elsewhere
from daemon.meshes.consul.entries import DEFAULT, KINDS, Entry, edited
from daemon.meshes.consul.mesh import ConsulMesh
from daemon.meshes.consul.reading import EntryReader, There
from daemon.meshes.consul.routes import Arms, Rewrite
from daemon.meshes.documentundoing import DocumentUndoing
from daemon.meshes.kuberoutes import decode, encode
from daemon.meshes.references import largest_percent, nearest, with_traffic
from daemon.meshes.undoing import differences, undo_of
from daemon.model import Release
from daemon.placement import ObjectName, PatchedObject, PatchReceipt, Placement, PlannedObject, RouteReference, Undo, split_percent

log = logging.getLogger(__name__)

_CONFLICTS = 8
"""How often an entry that somebody else has written meanwhile is read and planned anew at once."""
_CRD_WAY = "write its object in Kubernetes: have the release on a mesh of the kind consul-kubernetes"


class ConsulRouter:
    """The config entries of one Consul. Implements ``TrafficRouter``, ``RouteEditor`` and ``RouteFollower``.

    Args:
        settings: where it is.
        setting: where that stands in the settings.
    """

    def __init__(self, settings: ConsulMesh, *, setting: str) -> None:
        self._api = ConsulApi(settings, setting=setting)
        self._undoing = DocumentUndoing(ConsulDocuments(self._api))
        self._reader = EntryReader(self._api)
        self._named = partial(naming.named, namespace=settings.namespace or DEFAULT, partition=settings.partition or DEFAULT)
        there = [f"{word} {name}" for word, name in (("namespace", settings.namespace), ("partition", settings.partition)) if name]
        self._beyond = (f"config entries of others than {' and '.join(there)}",) if there else ()

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def locate(self, release: Release) -> Placement:
        """See ``TrafficRouter.locate``. ``release.route`` must be the name of an entry."""
        there = (await self._reader.read()).whole()
        arms = naming.resolved(self._named(release), there.entries)
        if release.route is not None and release.route not in (known := {one.name for one in there.entries}):
            raise NotFound(f"there is no config entry {release.route!r} that routes ({nearest(release.route, known)})")
        found = [one for entry in there.entries for one in _references(entry, arms)]
        if not found:
            raise NotFound(self._not_named(there, arms))
        if all(one.owner for one in found):
            owned = f"every config entry that names the canary is written by {found[0].owner}, which would undo what we write"
            raise InvalidInput(owned, path="$.mesh", fix=_CRD_WAY)
        baseline, canary = await backings.of_arms(self._api, arms, there)
        if baseline.chosen.missing:
            raise NotFound(f"the baseline, {arms.baseline}, is not there: {baseline.chosen.missing}")
        if (same := instances.same(baseline, canary)) is not None:
            raise InvalidInput(same, path="$.canary", fix="wait until the canary has instances of its own, or name those it has")
        return Placement(
            routes=tuple(found),
            canary_percent=largest_percent(found),
            baseline=instances.account(baseline, canary),
            located=encode(Located(arms=arms, canary_filter=canary.chosen.expression)),
            elsewhere=(*elsewhere(there.entries, arms=arms), *await backings.overlapping(self._api, arms, canary, there)),
            unread=(*there.hidden, *self._beyond),
        )

    async def check_baseline(self, release: Release, *, located: str = "") -> str:
        """See ``TrafficRouter.check_baseline``: by the health of instances that Consul has now."""
        before = decode(located, kind=Located)
        there = await self._reader.read("service-resolver")
        try:
            arms = before.arms if before is not None else naming.resolved(self._named(release), there.entries)
        except InvalidInput as error:
            raise Blocked(f"there is nothing that the traffic could go back to: {error}") from error
        baseline, canary = await backings.of_arms(self._api, arms, there)
        harm = instances.harm(baseline, canary, convicted=None if before is None else before.canary_filter)
        if harm is not None:
            raise Blocked(harm)
        return instances.account(baseline, canary)

    async def revert(self, release: Release, *, located: str = "") -> PatchReceipt:
        """See ``TrafficRouter.revert``."""
        there = await self._reader.read()
        arms = self._arms(release, located, there)
        async with TaskGroup() as group:
            tasks = [group.create_task(self._take_back(one, arms)) for one in there.entries]
        parts = [part for task in tasks if (part := task.result()) is not None]
        now = time.time()
        beyond, unread = elsewhere(there.entries, arms=arms), (*there.hidden, *self._beyond)
        parts += [
            PatchedObject(object=ObjectName(kind=kind, name=f"every {kind}"), failure=error, sent_at=now, acknowledged_at=now)
            for kind, error in there.failed
        ]
        nothing = f"no config entry{' that could be read' if unread else ''} gives the canary anything"
        return PatchReceipt.of(parts, nothing=nothing, now=now, elsewhere=beyond, unread=unread)

    async def plan(self, release: Release, *, located: str = "") -> tuple[PlannedObject, ...]:
        """See ``RouteEditor.plan``."""
        there = (await self._reader.read()).whole()
        arms = self._arms(release, located, there)
        return tuple(one for entry in there.entries if (one := _would_be(entry, arms)) is not None)

    async def plan_restore(self, undos: Sequence[Undo]) -> tuple[PlannedObject, ...]:
        """See ``RouteEditor.plan_restore``."""
        return await self._undoing.plan(undos)

    async def restore(self, undos: Sequence[Undo]) -> tuple[PatchedObject, ...]:
        """See ``RouteEditor.restore``."""
        return await self._undoing.restore(undos)

    async def examine(self) -> str:
        """See ``ExaminedRouter.examine``: config entries can be read, and whether all of them."""
        there = (await self._reader.read()).whole()
        told = ", ".join(f"{sum(one.kind == kind for one in there.entries)} {kind}" for kind in KINDS)
        return f"config entries that can be read: {told}" + (f"; not read: {'; '.join(there.hidden)}" if there.hidden else "")

    async def canary_gets_traffic(self, release: Release, *, located: str = "") -> str | None:
        """See ``TrafficRouter.canary_gets_traffic``: as Consul has it now; its proxies follow within a quarter of a second."""
        there = await self._reader.read()
        arms = self._arms(release, located, there)
        found = with_traffic(one for entry in there.entries for one in _references(entry, arms))
        if found is None:
            there.whole()
        return found

    async def follow(self, changed: Callable[[], None]) -> None:
        """See ``RouteFollower.follow``: each kind's entries are asked for until they change, again and again."""
        await self._reader.follow(changed)

    async def weight(self, release: Release, *, located: str = "") -> float | None:
        """See ``RouteFollower.weight``. A split behind another service's splitter is a part of a part, and says none."""
        before = decode(located, kind=Located)
        if before is None:
            raise NotFound("its routes have not been located")
        there = (await self._reader.read()).whole()
        naming_it = [(entry, one) for entry in there.entries for one in _references(entry, before.arms)]
        if any(one.kind == "weight" and entry.name != release.service for entry, one in naming_it):
            return None
        return split_percent(one for _, one in naming_it)

    def _arms(self, release: Release, located: str, there: There) -> Arms:
        """The arms during a revert: as they were located, and else by what the entries say now."""
        if (before := decode(located, kind=Located)) is not None:
            return before.arms
        named = self._named(release)
        if not naming.is_outright(named) and (failed := dict(there.failed).get("service-resolver")) is not None:
            raise failed
        return naming.resolved(named, there.entries)

    async def _take_back(self, entry: Entry, arms: Arms) -> PatchedObject | None:
        """Plan, write; read it anew and try again where somebody else was faster. Null where there is nothing to write."""
        conflicts = 0
        while True:
            sent_at = time.time()
            part = partial(PatchedObject, object=_name(entry), sent_at=sent_at)
            try:
                rewrite = _planned(entry, arms)
                if not rewrite.edits:
                    return None
                body = edited(entry, rewrite.edits)
                await self._api.write(body, index=modify_index(entry))
                undo = undo_of(entry.raw, body, of=_name(entry))
                return part(changes=rewrite.changes, acknowledged_at=time.time(), undo=undo)
            except Conflict as error:
                if conflicts == _CONFLICTS:
                    return part(failure=error, acknowledged_at=time.time())
                conflicts += 1
            except VerdictdError as error:
                return part(failure=error, acknowledged_at=time.time())
            try:
                entry = await self._api.entry(entry.kind, entry.name)
            except NotFound:
                return None
            except VerdictdError as error:
                return part(failure=error, acknowledged_at=time.time())

    def _not_named(self, there: There, arms: Arms) -> str:
        known = {str(target) for entry in there.entries for target in routes.targets(entry)} - {str(arms.baseline)}
        unread = f" (not read: {', '.join(there.hidden)})" if there.hidden else ""
        named = f"; of what they send to, {nearest(str(arms.canary), known)}" if known else ""
        return f"no service-router, service-splitter or service-resolver names the canary, {arms.canary}{named}{unread}"


def _would_be(entry: Entry, arms: Arms) -> PlannedObject | None:
    """What would be written in this entry; null where that is nothing."""
    try:
        rewrite = _planned(entry, arms)
    except VerdictdError as error:
        return PlannedObject(object=_name(entry), failure=error)
    values = differences(entry.raw, edited(entry, rewrite.edits))
    return PlannedObject(object=_name(entry), changes=rewrite.changes, values=values) if rewrite.edits else None


def _planned(entry: Entry, arms: Arms) -> Rewrite:
    """A planner's defect is its entry's failure: in a group it would end what is written in the others.

    Raises:
        Refused: as ``routes.revert``; or somebody would write it back.
    """
    try:
        rewrite = routes.revert(entry, arms=arms)
    except VerdictdError:
        raise
    except Exception as error:
        log.exception("a config entry could not be planned, through a defect", extra={"entry": f"{entry.kind} {entry.name}"})
        raise Unavailable(f"what to write could not be planned, through a defect ({type(error).__name__})") from error
    if rewrite.edits and entry.owner:
        raise Refused(f"it is written by {entry.owner}, which would undo what we write; {_CRD_WAY}")
    return rewrite


def _references(entry: Entry, arms: Arms) -> tuple[RouteReference, ...]:
    return routes.references(entry, arms=arms, object_name=_name(entry))


def _name(entry: Entry) -> ObjectName:
    return ObjectName(kind=entry.kind, name=entry.name, namespace="" if entry.namespace == DEFAULT else entry.namespace)
