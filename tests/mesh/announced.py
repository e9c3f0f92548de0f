"""A whole engine beside a real API server, whose hook hears of a version before that takes traffic; time is the test's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import aiohttp

from config.settings import Hook, Http, MappingRow
from daemon import names
from daemon.engine.engine import Engine
from daemon.errors import NotFound
from daemon.events.announcing import read_release
from daemon.events.hearing import Hearing
from daemon.http.capacity import Capacity
from daemon.http.server import HttpServer, create_app
from daemon.kube.client import KubeClient
from daemon.kube.resources import Json
from daemon.meshes.istio.mesh import ISTIO, VIRTUAL_SERVICES, IstioMesh
from daemon.ports.events import IncomingEvent
from daemon.questions import Questions
from daemon.replicas.turn import Alone
from daemon.watcher.awaited import AwaitedCanaries
from daemon.watcher.lookout import WatchedCluster
from daemon.watcher.reading import Cluster
from daemon.watcher.seen import Manner
from daemon.watcher.source import RouteWatcher
from daemon.watcher.watches import Watched
from tests.hand.api import Engine as Desk
from tests.hand.api import ports_of
from tests.hand.clock import PatientClock
from tests.hand.istio_cluster import post
from tests.hand.ports import HandEvents, MemoryStore, Scene, SentByHand, running
from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.run import until
from tests.watcher.world import Letters

NAMESPACE = "later"
HEARING = Hearing(cluster="test", finds_arms=True, mapping=(MappingRow(environment="production", namespace=NAMESPACE),))
_NETWORKING = f"/apis/networking.istio.io/v1/namespaces/{NAMESPACE}"


def split(*, canary: int) -> Json:
    """Of a Service by its subsets."""
    weights = {"v1": 100 - canary, "v2": canary}
    route = [{"destination": {"host": "web", "subset": subset}, "weight": weight} for subset, weight in weights.items()]
    return {"hosts": ["web"], "http": [{"route": route}]}


async def created(api: KubeApiServer) -> None:
    """A service in two versions, of which the second gets nothing."""
    metadata = {"name": "web", "namespace": NAMESPACE}
    istio = {"apiVersion": "networking.istio.io/v1", "metadata": metadata}
    subsets = [{"name": version, "labels": {"version": version}} for version in ("v1", "v2")]
    core = f"/api/v1/namespaces/{NAMESPACE}"
    service = {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}]}
    await post(api, "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    await post(api, f"{core}/services", {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service})
    for number in ("1", "2"):
        await post(api, f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments", _deployment(number))
    rule = {**istio, "kind": "DestinationRule", "spec": {"host": "web", "subsets": subsets}}
    await post(api, f"{_NETWORKING}/destinationrules", rule)
    await post(api, f"{_NETWORKING}/virtualservices", {**istio, "kind": "VirtualService", "spec": split(canary=0)})


def _deployment(number: str) -> Json:
    labels = {"app": "web", "version": f"v{number}"}
    containers = [{"name": "main", "image": f"reg.example/web:{number}"}]
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}}}
    metadata = {"name": f"web-v{number}", "namespace": NAMESPACE}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


@dataclass(frozen=True, kw_only=True)
class Stream:
    """What a hook keeps comes to the engine as from a stream."""

    events: HandEvents

    async def keep(self, event: IncomingEvent) -> bool:
        found = read_release(event.headers, event.body, HEARING)
        release_id = names.new_release_id(found.release.service, origin=found.origin)
        self.events.queue.put_nowait(SentByHand(release_id, found.release, sender=f"event {found.source}"))
        return True


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """The engine, its hook, and the time of whatever waits for minutes."""

    engine: Engine
    client: aiohttp.ClientSession
    clock: PatientClock

    async def hook(self, document: Mapping[str, Any]) -> str:
        """Send it; gives the id of what it announces."""
        headers = {"Content-Type": "application/json"}
        async with self.client.post("/hooks/ci", data=json.dumps(document), headers=headers) as response:
            answer = await response.json()
            assert (response.status, answer["outcome"]) == (202, "taken"), answer
            return str(answer["release"])

    async def says(self, release_id: str, words: str) -> None:
        """Until that is what it waits for."""

        async def is_said() -> bool:
            with suppress(NotFound):
                return words in (await self.engine.view(release_id)).waiting_for
            return False  # its event is on its way

        await until(is_said, 30)


@asynccontextmanager
async def daemon(kube: KubeClient) -> AsyncIterator[Daemon]:
    """As long as it is entered, it watches the routes of the namespace."""
    scene, clock, http = Scene(), PatientClock(), Http(listen="127.0.0.1:0")
    pictured = ISTIO.pictured
    assert pictured is not None
    manner = Manner(mesh="edge", mode="observe", guard_seconds=30.0)
    watched = Watched(mesh=IstioMesh(telemetry=""), manner=manner, pictured=pictured)
    there = WatchedCluster(cluster=Cluster(kube, owning=()), kinds={VIRTUAL_SERVICES: watched}, namespaces=(NAMESPACE,))
    waiting = AwaitedCanaries(MemoryStore(), lapsed=MemoryStore(), clock=clock, wait_seconds=1_800.0)
    watcher = RouteWatcher(
        {"home": there},
        store=MemoryStore(),
        updates=MemoryStore(),
        serving=MemoryStore(),
        questions=Questions(MemoryStore()),
        awaited=waiting,
        letters=Letters(),
        turn=Alone(),
        clock=clock,
    )
    scene.awaiting, scene.more_events["routes"] = waiting, watcher
    async with running(scene) as engine:
        ports = ports_of(Desk(), http, hooks={"ci": Hook(sender="cloudevents")}, hearing=HEARING)
        ports = replace(ports, releases=engine, verdicts=engine, feed=engine, event_log=Stream(events=scene.events))
        async with (
            HttpServer(create_app(ports), http=http, capacity=Capacity(connections=50, per_peer=50)) as server,
            aiohttp.ClientSession(f"http://127.0.0.1:{server.address.port}") as client,
        ):
            yield Daemon(engine=engine, client=client, clock=clock)
