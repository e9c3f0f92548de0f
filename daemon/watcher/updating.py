"""The rolling updates of all clusters, for as long as the watch of routes lives: they share what is kept, and each its routes."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from daemon.aio.clock import Clock
from daemon.ports.durable import Store
from daemon.ports.events import DeadLetters
from daemon.watcher.endnotices import EndNotice
from daemon.watcher.kept import KeptRoutes
from daemon.watcher.keptupdates import KeptUpdates
from daemon.watcher.lookout import WatchedCluster
from daemon.watcher.updatenotices import UpdateNotice
from daemon.watcher.updates import RollingUpdates


class Updating:
    """One life of them.

    Args:
        clusters: by their names in the settings.
        store: where those that are watched are kept.
        routes: what is known of routes.
        letters: where those go that are refused.
        random: gives numbers in [0, 1).
        tell: hears of what begins and what is over.
    """

    def __init__(
        self,
        clusters: Mapping[str, WatchedCluster],
        *,
        store: Store,
        routes: KeptRoutes,
        letters: DeadLetters,
        clock: Clock,
        random: Callable[[], float],
        tell: Callable[[UpdateNotice | EndNotice], None],
    ) -> None:
        self._clusters = clusters
        self._kept = KeptUpdates(store)
        self._routes = routes
        self._letters = letters
        self._clock = clock
        self._random = random
        self._tell = tell
        self._followed: list[RollingUpdates] = []

    @property
    def problem(self) -> str | None:
        """Why some of them may not be noticed now; null where all are."""
        return next((one.problem for one in self._followed if one.problem), None)

    async def run(self) -> None:
        """Follow them, for ever."""
        await self._kept.load()
        self._followed = [
            RollingUpdates(
                name,
                watched.cluster,
                mesh=watched.updates_by,
                namespaces=watched.namespaces,
                kept=self._kept,
                has_route=partial(self._has_route, name),
                letters=self._letters,
                clock=self._clock,
                random=self._random,
                tell=self._tell,
            )
            for name, watched in self._clusters.items()
            if watched.updates_by is not None
        ]
        async with asyncio.TaskGroup() as group:
            for one in self._followed:
                group.create_task(one.run(), name="rolling updates")

    def _has_route(self, cluster: str, namespace: str, services: Sequence[str]) -> bool:
        """Whether a route names several destinations, one of them such a Service."""
        several = (one for one in self._routes.all() if one.key.cluster == cluster and len(one.uses) > 1)
        return any(use.to.namespace == namespace and use.to.service in services for one in several for use in one.uses)
