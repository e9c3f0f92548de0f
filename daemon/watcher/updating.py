"""Releases by pods in all clusters, rolling updates and second Deployments, for as long as the watch of routes lives.

They share what is kept, and those of one cluster its watches.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from daemon.aio.tasks import TaskGroup
from daemon.discovery.updates import Deployment
from daemon.ports.durable import Store
from daemon.watcher.deployed import DEPLOYMENTS, Deployed
from daemon.watcher.kept import KeptRoutes, RouteKey, key_of
from daemon.watcher.keptserving import KeptServings
from daemon.watcher.keptupdates import KeptUpdates
from daemon.watcher.lookout import WatchedCluster
from daemon.watcher.pairs import Pairs
from daemon.watcher.podsawaited import PodsAwaited
from daemon.watcher.updates import RollingUpdates
from daemon.watcher.watchports import WatchPorts


class Updating:
    """One life of them.

    Args:
        clusters: by their names in the settings.
        store: where rolling updates that are watched are kept.
        serving: where it is kept who served each Service.
        routes: what is known of routes.
    """

    def __init__(
        self,
        clusters: Mapping[str, WatchedCluster],
        *,
        store: Store,
        serving: Store,
        routes: KeptRoutes,
        ports: WatchPorts,
    ) -> None:
        self._clusters = clusters
        self._kept = KeptUpdates(store)
        self._servings = KeptServings(serving)
        self._routes = routes
        self._ports = ports
        self._waiting = PodsAwaited(ports)
        self._followed: list[Deployed | RollingUpdates | Pairs] = []

    @property
    def problem(self) -> str | None:
        """Why some of them may not be noticed now; null where all are."""
        return next((one.problem for one in self._followed if one.problem), None)

    async def run(self) -> None:
        """Follow them, for ever."""
        await self._kept.load()
        await self._servings.load()
        await self._routes.loaded.wait()
        for name, watched in self._clusters.items():
            self._begin(name, watched)
        async with TaskGroup() as group:
            for one in self._followed:
                group.create_task(one.run(), name="releases by pods")

    def _begin(self, name: str, watched: WatchedCluster) -> None:
        """Those of one cluster."""
        if watched.updates_by is None and watched.pairs_by is None:
            return
        deployed = Deployed(
            name,
            watched.cluster,
            namespaces=watched.namespaces,
            known=self._known(),
            services=watched.pairs_by is not None,
            clock=self._ports.clock,
        )
        self._followed.append(deployed)
        pairs: Pairs | None = None
        if watched.pairs_by is not None:
            pairs = Pairs(
                deployed,
                mesh=watched.pairs_by,
                kept=self._servings,
                routes=self._routes,
                waiting=self._waiting,
                ports=self._ports,
            )
            self._followed.append(pairs)
        if watched.updates_by is not None:
            updates = RollingUpdates(
                deployed,
                mesh=watched.updates_by,
                kept=self._kept,
                has_route=partial(self._has_route, name),
                is_compared=_never if pairs is None else pairs.compares,
                waiting=self._waiting,
                ports=self._ports,
            )
            self._followed.append(updates)

    def _known(self) -> Iterator[RouteKey]:
        """What was there when it was last looked at: whose end is told, also where it came while no daemon ran."""
        yield from (one.key for one in self._kept.all())
        for one in self._servings.all():
            yield one.key
            for name in one.named:
                yield key_of(DEPLOYMENTS, cluster=one.key.cluster, namespace=one.key.namespace, name=name)

    def _has_route(self, cluster: str, namespace: str, services: Sequence[str]) -> bool:
        """Whether a route names several destinations, one of them such a Service."""
        several = (one for one in self._routes.all() if one.key.cluster == cluster and len(one.uses) > 1)
        return any(use.to.namespace == namespace and use.to.service in services for one in several for use in one.uses)


def _never(_seen: Deployment) -> bool:
    return False
