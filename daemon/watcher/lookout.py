"""One life of the watch: from reading what was kept, over every change of a route, to its end.

Whatever changes, its routes are looked at as they are then, one look at a time for each. A look that cannot be finished is done
again later; nothing is remembered but what is kept in the store. So a watch that is cut, a daemon that is restarted, and a store
that is away for an hour all lead to the same looks.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from daemon.aio.tasks import TaskGroup
from daemon.discovery.openings import OpenRelease
from daemon.discovery.picture import Picture, uses
from daemon.errors import Conflict, Refused, VerdictdError
from daemon.kube.resources import Resource
from daemon.standing import Standing
from daemon.watcher import looking
from daemon.watcher.asked import RouteQuestions
from daemon.watcher.due import Due
from daemon.watcher.endnotices import EndNotice
from daemon.watcher.kept import KeptRoutes, RouteKey
from daemon.watcher.notices import AwaitedNotice, Look, RouteNotice
from daemon.watcher.patience import Patience
from daemon.watcher.reading import Around, Cluster, together
from daemon.watcher.seen import Seen, is_quiet, unasked
from daemon.watcher.steps import Opening, Question, Step
from daemon.watcher.watches import Beside, Watched, Watches
from daemon.watcher.watchports import WatchPorts

log = logging.getLogger(__name__)

_AGAIN_SECONDS: Final = (0.5, 30.0)
_COALESCED_SECONDS: Final = 0.05
"""What changes together is looked at together: a step of a controller writes several objects."""
_AT_A_TIME: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedCluster:
    """A cluster, and what is watched of it.

    Attributes:
        cluster, kinds, namespaces: what is asked, for which routes, and where; no namespaces: everywhere.
        updates_by, pairs_by: the mesh by which rolling updates and second Deployments are observed; null: they are not.
    """

    cluster: Cluster
    kinds: Mapping[Resource, Watched]
    namespaces: Sequence[str] = ()
    updates_by: str | None = None
    pairs_by: str | None = None


class Lookout:
    """One life of the source, from reading what was kept to its end."""

    def __init__(self, clusters: Mapping[str, WatchedCluster], *, kept: KeptRoutes, ports: WatchPorts) -> None:
        self._clusters = clusters
        self._kept = kept
        self._questions = RouteQuestions(ports.questions)
        self._patience = Patience(ports)
        self._letters = ports.letters
        self._clock = ports.clock
        self._tell = ports.tell
        self._due = Due(ports.clock, again_seconds=_AGAIN_SECONDS, random=ports.random)
        self._defects: dict[RouteKey, dict[str, int]] = {}
        self._announced: dict[RouteKey, tuple[Opening, ...]] = {}
        self._forced: set[RouteKey] = set()
        self._owners_changed: set[tuple[str, str]] = set()
        self._standing = Standing("what stands around routes", now=ports.clock.now)
        self._watches = {name: self._watches_of(name, watched) for name, watched in clusters.items()}

    @property
    def problem(self) -> str | None:
        """Why some releases may not be noticed now; null where all are."""
        said = [watches.problem for watches in self._watches.values()]
        reading = self._standing.problem
        return next((one for one in said if one), None) or (f"{self._standing.component}: {reading}" if reading else None)

    async def run(self) -> None:
        """Watch and look, for ever."""
        await self._kept.load()
        known = {one.key: one.uid for one in self._kept.all()}
        if left := [key for key in known if not self._follows(key)]:
            log.info("routes that were watched once are not followed now", extra={"routes": len(left), "first": str(min(left))})
        async with TaskGroup() as group:
            for watches in self._watches.values():
                group.create_task(watches.run(known), name="routes watched for releases")
            group.create_task(self._patience.run(self._changed_in), name="announcements that wait")
            while True:
                await self._due.wait()
                await self._clock.sleep(_COALESCED_SECONDS)
                owned = self._owned()
                self._forced |= owned
                self._due.soon(owned)
                await self._look_at(self._due.take())

    def _watches_of(self, name: str, watched: WatchedCluster) -> Watches:
        return Watches(
            name,
            kinds=watched.kinds,
            owning=watched.cluster.owning,
            namespaces=watched.namespaces,
            source=watched.cluster.source,
            clock=self._clock,
            changed=lambda key: self._due.soon([key]),
            owner_changed=lambda namespace: self._owner_changed(name, namespace),
        )

    def _changed_in(self, namespace: str) -> None:
        """Something there may mean something else by now, in whichever cluster."""
        for cluster in self._clusters:
            self._owner_changed(cluster, namespace)

    def _owner_changed(self, cluster: str, namespace: str) -> None:
        self._owners_changed.add((cluster, namespace))
        self._due.soon([])

    def _owned(self) -> set[RouteKey]:
        """Routes whose owners say something else, so that they may mean something else, though they are what they were."""
        changed, self._owners_changed = self._owners_changed, set()
        several = (one for one in self._kept.all() if len(one.uses) > 1 and self._follows(one.key)) if changed else ()
        return {one.key for one in several if any((one.key.cluster, use.to.namespace) in changed for use in one.uses)}

    def _follows(self, key: RouteKey) -> bool:
        """Whether a route that is kept is followed by the settings of today."""
        return key.cluster in self._watches and self._watches[key.cluster].follows(key)

    async def _look_at(self, keys: Sequence[RouteKey]) -> None:
        """Each of these routes; what stands around them is read once for all."""
        asked: list[tuple[RouteKey, Seen]] = []
        quiet: list[tuple[RouteKey, Step]] = []
        for key in keys:
            if not self._watches[key.cluster].is_listed(key):
                self._due.free(key)  # its listing brings it again, and what forces a look at it is not forgotten until then
                continue
            seen = self._seen(key, {})
            if seen is None:
                self._due.free(key)
            elif key not in self._forced and is_quiet(self._kept.get(key), seen):
                quiet.append((key, Step(after=unasked(self._kept.get(key), seen))))
            else:
                asked.append((key, seen))
            self._forced.discard(key)
        places = asyncio.Semaphore(_AT_A_TIME)

        async def settle(key: RouteKey, step: Step) -> None:
            async with places:
                await self._settle(key, step)

        await asyncio.gather(*(settle(*one) for one in quiet))
        if asked:
            await self._ask_around(asked)

    def _seen(self, key: RouteKey, beside: Beside) -> Seen | None:
        """A route as it is; null where it cannot be read, which is said, and looked at when it changes."""
        watches = self._watches[key.cluster]
        try:
            return watches.seen(key, beside={**watches.unread(key), **beside})
        except Refused as error:
            log.warning("a route cannot be read", extra={"route": str(key), "reason": str(error)})
        except Exception:
            log.exception("a route cannot be read, through a defect", extra={"route": str(key)})
        return None

    async def _ask_around(self, asked: Sequence[tuple[RouteKey, Seen]]) -> None:
        """Read what is needed, each part once, and look."""
        places = asyncio.Semaphore(_AT_A_TIME)
        beside = {(key.cluster, resource) for key, _ in asked for resource in self._watches[key.cluster].beside(key)}
        around = {(key.cluster, name) for key, seen in asked for name in _namespaces(seen.picture)}

        async def of_kind(cluster: str, resource: Resource) -> Beside | VerdictdError:
            try:
                async with places:
                    return await self._clusters[cluster].cluster.beside(resource)
            except VerdictdError as error:
                return error

        async def of_namespace(cluster: str, namespace: str) -> Around | VerdictdError:
            try:
                async with places:
                    return await self._clusters[cluster].cluster.around(namespace)
            except VerdictdError as error:
                return error

        ordered, namespaces = sorted(beside, key=str), sorted(around)
        rules = dict(zip(ordered, await asyncio.gather(*(of_kind(*one) for one in ordered)), strict=True))
        read = dict(zip(namespaces, await asyncio.gather(*(of_namespace(*one) for one in namespaces)), strict=True))
        for key, seen in asked:
            wanted = [rules[key.cluster, one] for one in self._watches[key.cluster].beside(key)]
            parts = [read[key.cluster, name] for name in _namespaces(seen.picture)]
            failed = [one for one in (*wanted, *parts) if isinstance(one, VerdictdError)]
            if failed:
                self._put_off(key)
                continue
            found = [one for one in parts if isinstance(one, Around)]
            told = {kind: items for one in wanted if not isinstance(one, VerdictdError) for kind, items in one.items()}
            await self._look(key, told, together(found))
        failures = [one for one in (*rules.values(), *read.values()) if isinstance(one, VerdictdError)]
        if failures:
            self._standing.fails(str(failures[0]))
        else:
            self._standing.works()

    async def _look(self, key: RouteKey, beside: Beside, around: Around) -> None:
        seen = self._seen(key, beside)
        if seen is None:
            self._due.free(key)
            return
        watched = self._clusters[key.cluster].kinds[self._watches[key.cluster].resource(key)]
        kept, manner, now = self._kept.get(key), watched.manner, self._clock.now()
        waiting = self._patience.at(_namespaces(seen.picture))
        try:
            step = looking.look(kept, seen, around, manner=manner, known=self._known, now=now, waiting=waiting)
        except Exception:  # the others are looked at all the same
            log.exception("a route cannot be looked at, through a defect", extra={"route": str(key)})
            self._due.free(key)
            return
        for why in step.why:
            log.debug("a route was looked at", extra={"route": str(key), "reason": why})
        try:
            await self._patience.heard(key, waiting, still=step.waits)
        except VerdictdError as error:
            log.debug("a question could not be kept", extra={"route": str(key), "reason": str(error)})
        if not step.openings and not step.questions and not step.endings:
            await self._settle(key, step)
            return
        self._announced[key] = step.openings
        look = Look(key=key, step=step, ended=self._ended)
        for ending in step.endings:
            self._tell(EndNotice(ending, answered=partial(look.answered, ending.mark)))
        told: list[Opening | Question] = [*step.openings, *step.questions]
        before = self._defects.get(key, {})
        failures = self._defects[key] = {one.mark: before[one.mark] for one in told if one.mark in before}
        for one in told:
            self._tell(self._noticed(look, one, failures))

    def _noticed(self, look: Look, about: Opening | Question, failures: dict[str, int]) -> RouteNotice:
        now = self._clock.now()
        if isinstance(about, Question) or about.awaited is None:
            return RouteNotice(look, about, letters=self._letters, announced_at=now, failures=failures)
        return AwaitedNotice(
            look, about, about.awaited, patience=self._patience, letters=self._letters, announced_at=now, failures=failures
        )

    def _known(self, arms: OpenRelease) -> str | None:
        """The id under which another route has opened a release of these arms, or is about to."""
        opened = [one for route in self._kept.all() for one in route.opened]
        opened += [one.kept for openings in self._announced.values() for one in openings]
        return next((one.release_id for one in opened if one.arms == arms), None)

    async def _ended(self, look: Look) -> None:
        """All that was found in a look has been answered."""
        self._announced.pop(look.key, None)
        if not look.is_safe:
            self._put_off(look.key)
            return
        after = look.step.refused(look.refused, before=self._kept.get(look.key))
        step = Step(after=after, questions=look.step.questions, again_in_seconds=look.step.again_in_seconds)
        await self._settle(look.key, step, refused=look.refused)

    async def _settle(self, key: RouteKey, step: Step, *, refused: Mapping[str, str] | None = None) -> None:
        """Keep what is known now, and be done with the route until it changes. ``refused``: why openings were, by their marks."""
        try:
            before, now = self._kept.get(key), self._clock.now()
            await self._questions.keep(key, step, before=before, refused=refused or {}, now=now)
            if step.after is None:
                await self._kept.remove(key)
            else:
                await self._kept.put(step.after)
        except Conflict:
            self._due.free(key)
            self._due.soon([key])
            return
        except VerdictdError as error:
            log.debug("a route could not be kept", extra={"route": str(key), "reason": str(error)})
            self._put_off(key)
            return
        self._defects.pop(key, None)
        if step.again_in_seconds is not None:
            self._due.after(key, step.again_in_seconds)
        self._due.done(key)

    def _put_off(self, key: RouteKey) -> None:
        """Look again later, and later each time."""
        self._forced.add(key)
        self._due.put_off(key)


def _namespaces(picture: Picture) -> list[str]:
    """Where its destinations are, as far as they are of the cluster."""
    return sorted({one.namespace for one in uses(picture) if one.namespace})
