"""The Deployments of one cluster, and the Services that choose their pods, as their watches have them: one watch for all who look.

They are kept by namespace, since whoever looks at one asks for its neighbours.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from daemon.aio.clock import Clock
from daemon.aio.tasks import TaskGroup
from daemon.discovery.picture import Labels
from daemon.discovery.surroundings import selectors
from daemon.discovery.updates import OURS, Deployment, deployment
from daemon.errors import Refused
from daemon.kube.informer import Informer
from daemon.kube.resources import SERVICES, WORKLOADS, Json, Resource, metadata_of
from daemon.watcher.kept import RouteKey, key_of
from daemon.watcher.reading import Cluster, annotations_of

log = logging.getLogger(__name__)

DEPLOYMENTS: Final = WORKLOADS[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chooser:
    """A Service. ``selector``: by what it chooses its pods; empty: it chooses none. ``annotations``: those that are about us."""

    uid: str
    selector: Labels
    annotations: Labels

    def chooses(self, labels: Labels) -> bool:
        """Whether pods with these labels are its."""
        return bool(self.selector) and all(labels.get(key) == value for key, value in self.selector.items())


class Deployed:
    """Those of one cluster.

    Args:
        name: the cluster's, in the settings.
        cluster: what is asked of it.
        namespaces: where; none: everywhere.
        known: those that were there when they were last looked at.
        services: whether Services are watched too.
    """

    def __init__(
        self,
        name: str,
        cluster: Cluster,
        *,
        namespaces: Sequence[str],
        known: Iterable[RouteKey],
        services: bool,
        clock: Clock,
    ) -> None:
        self.name = name
        self.cluster = cluster
        self._clock = clock
        self._followers: list[Callable[[RouteKey], None]] = []
        self._places: Sequence[str | None] = list(namespaces) or [None]
        self._deployments: dict[str, dict[str, Deployment | None]] = {}
        self._services: dict[str, dict[str, Chooser | None]] = {}
        there = [one for one in known if one.cluster == name]
        self._informers: dict[tuple[Resource, str | None], Informer[Any]] = {}
        for place in self._places:
            self._informers[DEPLOYMENTS, place] = self._informer(DEPLOYMENTS, place, _deployment, self._deployments, there)
            if services:
                self._informers[SERVICES, place] = self._informer(SERVICES, place, _chooser, self._services, there)

    @property
    def problem(self) -> str | None:
        """Why some changes may not be seen now; null where all are."""
        failures = ((resource, one.failure) for (resource, _), one in self._informers.items())
        return next((f"watch of {what} in {self.name}: {why}" for what, why in failures if why is not None), None)

    async def run(self) -> None:
        """Watch for ever; cancel it to end it."""
        async with TaskGroup() as group:
            for (resource, _), informer in self._informers.items():
                group.create_task(informer.run(), name=f"watch of {resource}")

    def follow(self, changed: Callable[[RouteKey], None]) -> None:
        """Hear of each that has changed."""
        self._followers.append(changed)

    def is_listed(self, namespace: str, *, or_failing: bool = False) -> bool:
        """Whether it is known what is there: before the first listing nothing is, and nothing is gone.

        ``or_failing``: what cannot be listed now is not waited for.
        """
        informers = [one for (_, place), one in self._informers.items() if place in {None, namespace}]
        return bool(informers) and all(one.age_seconds is not None or (or_failing and one.failure is not None) for one in informers)

    def deployments(self, namespace: str) -> Mapping[str, Deployment | None]:
        """By their names. Null: it is there, and cannot be read, which was said."""
        return self._deployments.get(namespace, {})

    def services(self, namespace: str) -> Mapping[str, Chooser | None]:
        """The same."""
        return self._services.get(namespace, {})

    def _informer(
        self,
        resource: Resource,
        place: str | None,
        read: Callable[[Json], Any],
        there: dict[str, dict[str, Any]],
        known: Sequence[RouteKey],
    ) -> Informer[Any]:
        def changed(name: tuple[str, str]) -> None:
            within = there.setdefault(name[0], {})
            if name in informer.known:
                within[name[1]] = informer.known[name]
            else:
                within.pop(name[1], None)
            key = key_of(resource, cluster=self.name, namespace=name[0], name=name[1])
            for follower in self._followers:
                follower(key)

        of_kind = [one for one in known if (one.group, one.kind) == (resource.group, resource.kind)]
        informer = Informer(
            self.cluster.source(resource, place),
            kept=read,
            clock=self._clock,
            changed=changed,
            known={(one.namespace, one.name): "" for one in of_kind if place in {None, one.namespace}},
        )
        return informer


def _deployment(item: Json) -> Deployment | None:
    try:
        return deployment(item)
    except Refused as error:
        log.warning("a Deployment cannot be read", extra={"workload": str(metadata_of(item).get("name")), "reason": str(error)})
        return None


def _chooser(item: Json) -> Chooser | None:
    try:
        selector = next(iter(selectors([item]).values()))
    except Refused as error:
        log.warning("a Service cannot be read", extra={"service": str(metadata_of(item).get("name")), "reason": str(error)})
        return None
    own = {key: value for key, value in annotations_of(item).items() if key.startswith(OURS)}
    return Chooser(uid=str(metadata_of(item).get("uid", "")), selector=selector, annotations=own)
