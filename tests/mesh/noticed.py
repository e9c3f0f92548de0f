"""Releases that are noticed in a real cluster by a watch of its routes, in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from daemon.aio.clock import SystemClock
from daemon.aio.tasks import background
from daemon.delivery import owners
from daemon.errors import InvalidInput
from daemon.kube.client import KubeClient
from daemon.meshes.istio.mesh import ISTIO, VIRTUAL_SERVICES, IstioMesh
from daemon.model import Release
from daemon.questions import Questions
from daemon.watcher.looking import Manner
from daemon.watcher.lookout import WatchedCluster
from daemon.watcher.reading import Cluster
from daemon.watcher.source import RouteWatcher
from daemon.watcher.watches import Watched
from tests.hand.ports import MemoryStore
from tests.watcher.world import Letters


@asynccontextmanager
async def noticed(kube: KubeClient, namespace: str) -> AsyncIterator[dict[str, Release]]:
    """As long as it is entered, what is noticed in a namespace, by the ids under which it is announced."""
    found: dict[str, Release] = {}
    pictured: Any = ISTIO.pictured
    watched = Watched(
        mesh=IstioMesh(telemetry=""), manner=Manner(mesh="istio", mode="enforce", guard_seconds=30.0), pictured=pictured
    )
    owning = [kind.owning for kind in owners.kinds().values() if kind.owning is not None]
    there = {"home": WatchedCluster(cluster=Cluster(kube, owning=owning), kinds={VIRTUAL_SERVICES: watched})}
    watcher = RouteWatcher(there, store=MemoryStore(), questions=Questions(MemoryStore()), letters=Letters(), clock=SystemClock())

    async def take() -> None:
        async with aclosing(watcher.announcements()) as notices:
            async for notice in notices:
                try:
                    release = notice.release()
                except InvalidInput as error:
                    await notice.reject(str(error))
                    continue
                if release.namespace == namespace:
                    assert notice.release_id is not None
                    found[notice.release_id] = release
                await notice.accept()

    async with background(take()):
        yield found
