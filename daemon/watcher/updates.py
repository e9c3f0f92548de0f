"""Rolling updates of Deployments: each is observed by its pods, for as long as there are pods of two templates.

A Deployment says which template is new, and its number makes the release's id: an update is the same release however often it is
found, by whichever daemon. So nothing must be known of before, and an update that goes on when a daemon starts is found as one that
begins. What has a route that tells versions apart is left to the route; what no Service sends requests to, or has no proxy, is
nothing that could be counted.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from daemon.discovery.picture import Labels
from daemon.discovery.surroundings import selectors
from daemon.discovery.updates import Deployment, templates, under_way
from daemon.errors import Refused, VerdictdError
from daemon.kube.resources import REPLICA_SETS, SERVICES, Json, metadata_of
from daemon.model import Release
from daemon.standing import Standing
from daemon.watcher.annotations import Annotated, wishes
from daemon.watcher.deployed import DEPLOYMENTS, Deployed
from daemon.watcher.due import Due
from daemon.watcher.endings import Ending
from daemon.watcher.endnotices import EndNotice
from daemon.watcher.kept import RouteKey
from daemon.watcher.keptupdates import KeptUpdate, KeptUpdates
from daemon.watcher.notices import Answer
from daemon.watcher.podreleases import is_counted, of_its_watch, release_by_pods, release_id_of
from daemon.watcher.podsawaited import PodsAwaited
from daemon.watcher.reading import annotations_of
from daemon.watcher.updatenotices import UpdateNotice
from daemon.watcher.watchports import WatchPorts

log = logging.getLogger(__name__)

_AGAIN_SECONDS: Final = (1.0, 30.0)
_COALESCED_SECONDS: Final = 0.2
"""A controller writes a Deployment's status several times at each step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """An update that is to be announced."""

    release_id: str
    release: Release


class RollingUpdates:
    """Those of one cluster.

    Args:
        deployed: its Deployments.
        mesh: by whose telemetry they are observed, its name in the settings.
        kept: those that are watched; loaded.
        has_route: whether a route tells versions of one of these Services of a namespace apart.
        is_compared: whether a Deployment is compared with another one, so that its update is part of that.
        waiting: announcements that may be of one.
    """

    def __init__(
        self,
        deployed: Deployed,
        *,
        mesh: str,
        kept: KeptUpdates,
        has_route: Callable[[str, Sequence[str]], bool],
        is_compared: Callable[[Deployment], bool],
        waiting: PodsAwaited,
        ports: WatchPorts,
    ) -> None:
        self._name = deployed.name
        self._cluster = deployed.cluster
        self._deployed = deployed
        self._mesh = mesh
        self._kept = kept
        self._has_route = has_route
        self._is_compared = is_compared
        self._waiting = waiting
        self._letters = ports.letters
        self._clock = ports.clock
        self._tell = ports.tell
        self._due = Due(ports.clock, again_seconds=_AGAIN_SECONDS, random=ports.random)
        self._done: dict[RouteKey, int] = {}
        self._standing = Standing("what stands around rolling updates", now=ports.clock.now)
        deployed.follow(self._changed)

    @property
    def problem(self) -> str | None:
        """Why some updates may not be noticed now; null where all are."""
        return self._standing.problem and f"{self._standing.component}: {self._standing.problem}"

    async def run(self) -> None:
        """Look at what changes, for ever; cancel it to end it."""
        self._waiting.follow(self._announced)
        try:
            while True:
                await self._due.wait()
                await self._clock.sleep(_COALESCED_SECONDS)
                for key in self._due.take():
                    await self._look(key)
        finally:
            self._waiting.unfollow(self._announced)

    def _announced(self) -> None:
        """It may be of one that is watched."""
        there = self._waiting.namespaces
        self._due.soon(one.key for one in self._kept.all() if one.key.cluster == self._name and one.key.namespace in there)

    def _changed(self, key: RouteKey) -> None:
        if key.kind == DEPLOYMENTS.kind:
            self._due.soon([key])

    async def _look(self, key: RouteKey) -> None:
        """At one Deployment as it is now. What cannot be read now is looked at again."""
        there = self._deployed.deployments(key.namespace)
        seen, kept = there.get(key.name), self._kept.get(key)
        if not self._deployed.is_listed(key.namespace, or_failing=True):
            self._due.put_off(key)
            return
        if seen is None and key.name in there:  # it is there, and cannot be read, which is said
            self._due.done(key)
            return
        if seen is None or not seen.is_updating:
            self._done.pop(key, None)
            self._end(key, kept, why="no pod of its older template is left" if seen else "it is gone")
            return
        if seen.is_owned or self._is_compared(seen) or self._done.get(key) == seen.number:
            self._due.free(key)
            return
        try:
            found = await self._found(seen)
        except VerdictdError as error:
            self._standing.fails(str(error))
            self._due.put_off(key)
            return
        self._standing.works()
        if found is None or (kept is not None and kept.release_id == found.release_id):
            self._due.done(key)
            if found is not None:
                self._waiting.offer(key, found.release, again=partial(self._due.put_off, key))
            return
        self._tell(
            UpdateNotice(
                key,
                found.release,
                release_id=found.release_id,
                announced_at=self._clock.now(),
                letters=self._letters,
                answered=partial(self._answered, key, seen.number, found.release_id),
            )
        )

    async def _found(self, seen: Deployment) -> _Found | None:
        """The update that is under way, where it can be observed; null: there is none, or nothing would be seen of it."""
        sets = await self._cluster.within(REPLICA_SETS, namespace=seen.namespace)
        try:
            update = under_way(seen, templates(seen, sets))
        except Refused as error:
            log.warning("a rolling update cannot be read", extra={"workload": str(seen), "reason": str(error)})
            return None
        if update is None:
            return None
        services = await self._cluster.within(SERVICES, namespace=seen.namespace)
        behind = {name: one for name, one in _annotated(services).items() if _selects(one.selector, seen.labels)}
        if not behind or self._has_route(seen.namespace, sorted(behind)):
            return None
        if not await is_counted(update, cluster=self._cluster, namespace=seen.namespace):
            return None
        own = Annotated(said=str(seen), annotations=of_its_watch(seen.annotations))
        asked = wishes(own, [one.annotated for one in behind.values()], destinations=())
        if asked.watch == "off":
            return None
        service = seen.name if seen.name in behind else min(behind)
        release = release_by_pods(
            service,
            update,
            namespace=seen.namespace,
            mesh=self._mesh,
            policy=asked.policy,
            baseline=seen.name,
            canary=seen.name,
        )
        attempt = (self._name, seen.uid, update.new.uid, update.new.number)
        return _Found(release_id=release_id_of(service, attempt), release=release)

    def _end(self, key: RouteKey, kept: KeptUpdate | None, *, why: str) -> None:
        if kept is None:
            self._due.done(key)
            return
        ending = Ending(release_id=kept.release_id, by=str(key), why=why)
        self._tell(EndNotice(ending, answered=partial(self._ended, key)))

    async def _answered(self, key: RouteKey, number: int, release_id: str, answer: Answer) -> None:
        try:
            match answer:
                case Answer.SAFE:
                    await self._kept.put(KeptUpdate(key=key, release_id=release_id))
                case Answer.REFUSED:
                    self._done[key] = number
                case Answer.AGAIN:
                    self._due.put_off(key)
                    return
        except VerdictdError as error:
            log.debug("a rolling update could not be kept", extra={"workload": str(key), "reason": str(error)})
            self._due.put_off(key)
            return
        self._due.done(key)
        self._announced()

    async def _ended(self, key: RouteKey, answer: Answer) -> None:
        try:
            if answer is Answer.SAFE:
                await self._kept.remove(key)
                self._due.done(key)
                return
        except VerdictdError as error:
            log.debug("a rolling update could not be forgotten", extra={"workload": str(key), "reason": str(error)})
        self._due.put_off(key)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Service:
    selector: Labels
    annotated: Annotated


def _annotated(services: Sequence[Json]) -> Mapping[str, _Service]:
    """Those that choose pods, by their names."""
    found = {}
    for item in services:
        name = str(metadata_of(item).get("name"))
        selector = next(iter(selectors([item]).values()), {})
        if selector:
            said = Annotated(said=f"Service {metadata_of(item).get('namespace')}/{name}", annotations=annotations_of(item))
            found[name] = _Service(selector=selector, annotated=said)
    return found


def _selects(selector: Labels, labels: Labels) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())
