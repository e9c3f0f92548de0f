"""Releases that are noticed in a real cluster by a watch of its routes, in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

from daemon.aio.clock import SystemClock
from daemon.aio.tasks import background
from daemon.delivery import owners
from daemon.errors import InvalidInput
from daemon.kube.client import KubeClient
from daemon.kube.resources import Json
from daemon.model import Release
from daemon.questions import Questions
from daemon.replicas.turn import Alone
from daemon.watcher.awaited import AwaitedCanaries
from daemon.watcher.endnotices import EndNotice
from daemon.watcher.lookout import WatchedCluster
from daemon.watcher.reading import Cluster
from daemon.watcher.source import RouteWatcher
from tests.hand.istio_cluster import post
from tests.hand.ports import MemoryStore
from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.run import until
from tests.watcher.world import BY_ISTIO, Letters, Watching


@asynccontextmanager
async def noticed(
    kube: KubeClient,
    namespace: str,
    *,
    by: Watching = BY_ISTIO,
    store: MemoryStore | None = None,
    updates: MemoryStore | None = None,
    serving: MemoryStore | None = None,
) -> AsyncIterator[dict[str, Release]]:
    """As long as it is entered, what is noticed in a namespace, by the ids under which it is announced.

    ``store``: where routes are kept, for whoever wants to know when one has been seen. ``updates``: where rolling updates are kept,
    which are noticed then; ``serving``: the same of second Deployments.
    """
    found: dict[str, Release] = {}
    watched = replace(by.watched, manner=replace(by.watched.manner, mode="enforce"))
    owning = [kind.owning for kind in owners.kinds().values() if kind.owning is not None]
    there = {
        "home": WatchedCluster(
            cluster=Cluster(kube, owning=owning),
            kinds={by.resource: watched},
            updates_by="mesh" if updates is not None else None,
            pairs_by="mesh" if serving is not None else None,
        )
    }
    watcher = RouteWatcher(
        there,
        store=store or MemoryStore(),
        updates=updates or MemoryStore(),
        serving=serving or MemoryStore(),
        questions=Questions(MemoryStore()),
        awaited=AwaitedCanaries(MemoryStore(), lapsed=MemoryStore(), clock=SystemClock(), wait_seconds=60.0),
        letters=Letters(),
        turn=Alone(),
        clock=SystemClock(),
    )

    async def take() -> None:
        async with aclosing(watcher.announcements()) as notices:
            async for notice in notices:
                if isinstance(notice, EndNotice):
                    await notice.accept()
                    continue
                try:
                    release = notice.release()
                except InvalidInput as error:
                    await notice.reject(str(error))
                    continue
                assert isinstance(release, Release)
                if release.namespace == namespace:
                    assert notice.release_id is not None
                    found[notice.release_id] = release
                await notice.accept()

    async with background(take()):
        yield found


async def begins(
    api: KubeApiServer, kube: KubeClient, *, by: Watching, collection: str, before: Json, after: Json, namespace: str
) -> Release:
    """A route that is written so, and once it has been seen so: the release that is noticed."""
    store = MemoryStore()

    async def is_seen() -> bool:
        return bool(store.data)

    async def is_noticed() -> bool:
        return bool(found)

    async with noticed(kube, namespace, by=by, store=store) as found:
        await post(api, collection, before)
        await until(is_seen, 30)
        headers = {"Content-Type": "application/merge-patch+json"}
        url = f"{collection}/{before['metadata']['name']}"
        async with api.session() as session, session.patch(url, json={"spec": after["spec"]}, headers=headers) as response:
            assert response.status == 200, await response.text()
        await until(is_noticed, 30)
    (release,) = found.values()
    return release
