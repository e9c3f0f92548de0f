"""Second Deployments behind a Service: each is observed by its pods beside those of the Deployment that served before.

Who serves is looked at whenever a Deployment or a Service changes, in what the watches have in memory; the API server is asked only
where something is to be announced. What a route tells apart is left to the route.
"""

import logging
from collections.abc import Iterable
from functools import partial
from typing import Final

import msgspec

from daemon.discovery.updates import Deployment, Template, Update, templates
from daemon.errors import Conflict, NotFound, Refused, VerdictdError
from daemon.kube.resources import REPLICA_SETS, SERVICES
from daemon.model import Release
from daemon.standing import Standing
from daemon.watcher.annotations import Annotated, wishes
from daemon.watcher.deployed import Chooser, Deployed
from daemon.watcher.due import Due
from daemon.watcher.endings import Ending
from daemon.watcher.endnotices import EndNotice
from daemon.watcher.kept import KeptRoutes, RouteKey, key_of
from daemon.watcher.keptserving import KeptPair, KeptServing, KeptServings
from daemon.watcher.notices import Answer
from daemon.watcher.pairing import Came, Found, came, is_to_come, paired
from daemon.watcher.podreleases import is_counted, of_its_watch, release_by_pods, release_id_of
from daemon.watcher.podsawaited import PodsAwaited
from daemon.watcher.routed import route_between
from daemon.watcher.servingquestions import ServingQuestions
from daemon.watcher.updatenotices import UpdateNotice
from daemon.watcher.watchports import WatchPorts

log = logging.getLogger(__name__)

_AGAIN_SECONDS: Final = (1.0, 30.0)
_COALESCED_SECONDS: Final = 0.2


class Pairs:
    """Those of one cluster.

    Args:
        deployed: its Deployments and Services.
        mesh: by whose telemetry they are observed, its name in the settings.
        kept: who served; loaded.
        routes: what is known of routes.
        waiting: announcements that may be of one.
    """

    def __init__(
        self,
        deployed: Deployed,
        *,
        mesh: str,
        kept: KeptServings,
        routes: KeptRoutes,
        waiting: PodsAwaited,
        ports: WatchPorts,
    ) -> None:
        self._name = deployed.name
        self._cluster = deployed.cluster
        self._deployed = deployed
        self._mesh = mesh
        self._kept = kept
        self._routes = routes
        self._waiting = waiting
        self._questions = ServingQuestions(ports.questions)
        self._letters = ports.letters
        self._clock = ports.clock
        self._tell = ports.tell
        self._due = Due(ports.clock, again_seconds=_AGAIN_SECONDS, random=ports.random)
        self._changed_deployments: set[tuple[str, str]] = set()
        self._standing = Standing("what stands around second Deployments", now=ports.clock.now)
        deployed.follow(self._changed)
        routes.follow(self._route_changed)

    @property
    def problem(self) -> str | None:
        """Why some may not be noticed now; null where all are."""
        return self._standing.problem and f"{self._standing.component}: {self._standing.problem}"

    def compares(self, seen: Deployment) -> bool:
        """Whether this Deployment is compared with another one, or will be."""
        behind = ((name, one) for name, one in self._choosers(seen.namespace).items() if one.chooses(seen.labels))
        kept = ((self._kept.get(self._key(seen.namespace, name)), one) for name, one in behind)
        return any(
            serving is not None and is_to_come(serving, one, self._there(one, seen.namespace), of=seen) for serving, one in kept
        )

    async def run(self) -> None:
        """Look at what changes, for ever; cancel it to end it."""
        self._waiting.follow(self._announced)
        try:
            while True:
                await self._due.wait()
                await self._clock.sleep(_COALESCED_SECONDS)
                self._due.soon(self._concerned())
                for key in self._due.take():
                    await self._look(key)
        finally:
            self._waiting.unfollow(self._announced)

    def _key(self, namespace: str, name: str) -> RouteKey:
        return key_of(SERVICES, cluster=self._name, namespace=namespace, name=name)

    def _changed(self, key: RouteKey) -> None:
        if key.kind == SERVICES.kind:
            self._due.soon([key])
            return
        self._changed_deployments.add((key.namespace, key.name))
        self._due.soon([])

    def _route_changed(self, key: RouteKey) -> None:
        """What it says may be about two that are compared."""
        if key.cluster == self._name:
            self._due.soon(self._compared())

    def _announced(self) -> None:
        """It may be of two that are compared."""
        there = self._waiting.namespaces
        self._due.soon(key for key in self._compared() if key.namespace in there)

    def _compared(self) -> list[RouteKey]:
        return [one.key for one in self._kept.all() if one.pair is not None and one.key.cluster == self._name]

    def _concerned(self) -> set[RouteKey]:
        """The Services behind which changed Deployments are or were."""
        changed, self._changed_deployments = self._changed_deployments, set()
        found = set()
        for namespace in {one for one, _ in changed}:
            there = self._deployed.deployments(namespace)
            seen = [there.get(name) for where, name in changed if where == namespace]
            for name, chooser in self._deployed.services(namespace).items():
                if chooser is not None and any(one is not None and chooser.chooses(one.labels) for one in seen):
                    found.add(self._key(namespace, name))
        kept = (one for one in self._kept.all() if changed and one.key.cluster == self._name)
        return found | {one.key for one in kept if any((one.key.namespace, name) in changed for name in one.named)}

    def _there(self, chooser: Chooser, namespace: str) -> list[Deployment]:
        """The Deployments behind a Service that are to have pods, in the order of their names."""
        found = (one for one in self._deployed.deployments(namespace).values() if one is not None and not one.is_owned)
        return sorted((one for one in found if one.wanted > 0 and chooser.chooses(one.labels)), key=lambda one: one.name)

    async def _look(self, key: RouteKey) -> None:
        """At who serves a Service now. What cannot be read now is looked at again."""
        services, deployments = self._deployed.services(key.namespace), self._deployed.deployments(key.namespace)
        chooser, kept = services.get(key.name), self._kept.get(key)
        named = set() if kept is None else kept.named
        unread = (chooser is None and key.name in services) or any(
            deployments.get(one) is None for one in named & deployments.keys()
        )
        if unread or not self._deployed.is_listed(key.namespace):  # whose listing brings it again
            self._due.done(key)
            return
        there = [] if chooser is None else self._there(chooser, key.namespace)
        found = came(key, kept, chooser, there, told_apart=self._told_apart, left_to=partial(self._left_to, key))
        if found.why:
            log.debug("a Service was looked at", extra={"service": str(key), "reason": found.why})
        if not await self._asks(key, found):
            return
        if found.over and kept is not None and kept.pair is not None:
            ending = Ending(release_id=kept.pair.release_id, by=str(key), why=found.over)
            self._tell(EndNotice(ending, answered=partial(self._ended, key, found)))
        elif found.found is not None and found.after is not None and chooser is not None:
            await self._opens(found.after, found.found, chooser)
        else:
            if chooser is not None and kept is not None and kept.pair is not None and key.namespace in self._waiting.namespaces:
                await self._offer(key, kept.pair, chooser)
            await self._settle(key, found.after)

    async def _asks(self, key: RouteKey, found: Came) -> bool:
        """Whether all that is asked of a Service is kept; else it is looked at again. After an end there is another look."""
        if found.goes_on or (found.over and found.after is not None):
            return True
        try:
            await self._questions.keep(key, found.asks, now=self._clock.now())
        except VerdictdError as error:
            log.debug("what is asked of a Service could not be kept", extra={"service": str(key), "reason": str(error)})
            self._due.put_off(key)
            return False
        return True

    async def _offer(self, key: RouteKey, pair: KeptPair, chooser: Chooser) -> None:
        """Those that wait may have waited for two that are compared."""
        there = self._deployed.deployments(key.namespace)
        old, new = there.get(pair.baseline.name), there.get(pair.canary.name)
        if old is None or new is None:
            return
        try:
            release = await self._release(key, Found(old=old, new=new), chooser)
        except VerdictdError as error:
            log.debug("two that are compared cannot be read now", extra={"service": str(key), "reason": str(error)})
            self._due.after(key, _AGAIN_SECONDS[1])
            return
        if release is not None:
            self._waiting.offer(key, release, again=partial(self._due.after, key, _AGAIN_SECONDS[1]))

    async def _opens(self, after: KeptServing, found: Found, chooser: Chooser) -> None:
        key = after.key
        try:
            release = await self._release(key, found, chooser)
        except Refused as error:
            log.warning("a second Deployment cannot be observed", extra={"service": str(key), "reason": str(error)})
            await self._settle(key, after)
            return
        except VerdictdError as error:
            self._standing.fails(str(error))
            self._due.put_off(key)
            return
        self._standing.works()
        if release is None:
            await self._settle(key, after)
            return
        release_id = self._release_id(after, found)
        self._tell(
            UpdateNotice(
                key,
                release,
                release_id=release_id,
                announced_at=self._clock.now(),
                letters=self._letters,
                answered=partial(self._answered, after, paired(after, found, release_id=release_id)),
            )
        )

    async def _release(self, key: RouteKey, found: Found, chooser: Chooser) -> Release | None:
        """Null: it is not to be watched, or has no proxy that would count anything. Raises ``VerdictdError``."""
        service = Annotated(said=str(key), annotations=chooser.annotations)
        own = Annotated(said=str(found.new), annotations=of_its_watch(found.new.annotations))
        asked = wishes(own, [service], destinations=())
        if asked.watch == "off":
            return None
        sets = await self._cluster.within(REPLICA_SETS, namespace=key.namespace)
        update = Update(old=_newest(found.old, templates(found.old, sets)), new=_newest(found.new, templates(found.new, sets)))
        if not await is_counted(update, cluster=self._cluster, namespace=key.namespace):
            return None
        return release_by_pods(
            key.name,
            update,
            namespace=key.namespace,
            mesh=self._mesh,
            policy=asked.policy,
            baseline=found.old.name,
            canary=found.new.name,
        )

    def _release_id(self, after: KeptServing, found: Found) -> str:
        """The same until it is kept."""
        arms = [(one.uid, one.number) for one in (found.old, found.new)]
        return release_id_of(after.key.name, (self._name, "pair", after.uid, after.since, arms))

    def _told_apart(self, old: Deployment, new: Deployment) -> str:
        routes = (one for one in self._routes.all() if one.key.cluster == self._name)
        return route_between(old, new, routes=routes, services=self._choosers(old.namespace))

    def _left_to(self, key: RouteKey, old: Deployment, new: Deployment) -> str:
        """Of several Services that choose both, they are compared behind that of the older one's name, or else the first."""
        both = {name for name, one in self._choosers(key.namespace).items() if one.chooses(old.labels) and one.chooses(new.labels)}
        first = old.name if old.name in both else min(both, default=key.name)
        return "" if first == key.name else f"Service {key.namespace}/{first}"

    def _choosers(self, namespace: str) -> dict[str, Chooser]:
        return {name: one for name, one in self._deployed.services(namespace).items() if one is not None}

    async def _answered(self, refused: KeptServing, safe: KeptServing, answer: Answer) -> None:
        match answer:
            case Answer.SAFE:
                await self._settle(safe.key, safe)
                self._announced()
            case Answer.REFUSED:
                await self._settle(refused.key, refused)
            case Answer.AGAIN:
                self._due.put_off(safe.key)

    async def _ended(self, key: RouteKey, found: Came, answer: Answer) -> None:
        if answer is Answer.SAFE:
            await self._settle(key, found.after, again=True)
        else:
            self._due.put_off(key)

    async def _settle(self, key: RouteKey, after: KeptServing | None, *, again: bool = False) -> None:
        """Keep what is known now, and be done with the Service until something changes. ``again``: there may be more to it."""
        before = self._kept.get(key)
        try:
            if after is None and before is not None:
                await self._kept.remove(key)
            elif after is not None and after != before:
                await self._kept.put(msgspec.structs.replace(after, since=self._clock.now()))
        except Conflict:
            again = True
        except VerdictdError as error:
            log.debug("who serves a Service could not be kept", extra={"service": str(key), "reason": str(error)})
            self._due.put_off(key)
            return
        self._due.done(key)
        self._due.soon([key] if again else ())


def _newest(of: Deployment, there: Iterable[Template]) -> Template:
    """The template that the Deployment has now. Raises ``NotFound``: its ReplicaSet is not there yet."""
    found = next((one for one in there if one.number == of.number and one.hash), None)
    if found is None:
        raise NotFound(f"the ReplicaSet of {of}'s template is not there yet")
    return found
