"""Which kinds of routes are watched, and for which mesh."""

from __future__ import annotations

from typing import Any

import pytest

from daemon.aio.tasks import background
from daemon.delivery.flagger import CANARIES
from daemon.meshes.gatewayapi.mesh import GATEWAY_API, HTTP_ROUTES, ROUTES, GatewayApiMesh
from daemon.meshes.istio.mesh import ISTIO, VIRTUAL_SERVICES, IstioMesh
from daemon.model import ArmSpec
from daemon.questions import Questions
from daemon.replicas.turn import Alone
from daemon.watcher.lookout import WatchedCluster
from daemon.watcher.seen import Manner
from daemon.watcher.source import RouteWatcher
from daemon.watcher.watches import Watched, watched_kinds
from tests.watcher.test_owners import canary
from tests.watcher.world import (
    BY_CONSUL,
    BY_LINKERD,
    BY_OSM,
    HOME,
    NAMESPACE,
    Json,
    Watching,
    World,
    deployment,
    service,
    traffic_split,
    two_versions,
)


def watched(name: str) -> Watched:
    mesh, kind = {"istio": (IstioMesh(telemetry=""), ISTIO), "gamma": (GatewayApiMesh(telemetry=""), GATEWAY_API)}[name]
    pictured: Any = kind.pictured
    return Watched(mesh=mesh, manner=Manner(mesh=name, mode="observe", guard_seconds=30.0), pictured=pictured)


def http_route(**weights: int) -> Json:
    backends = [{"name": name.replace("_", "-"), "port": 80, "weight": weight} for name, weight in weights.items()]
    parent = {"group": "", "kind": "Service", "name": "web"}
    metadata = {"name": "web", "namespace": NAMESPACE}
    return {"kind": "HTTPRoute", "metadata": metadata, "spec": {"parentRefs": [parent], "rules": [{"backendRefs": backends}]}}


def test_a_kind_that_several_meshes_go_by_is_watched_once_for_the_first_of_them() -> None:
    kinds = watched_kinds([watched("istio"), watched("gamma")])
    assert {(one.kind, by.manner.mesh) for one, by in kinds.items()} == {
        (VIRTUAL_SERVICES.kind, "istio"),
        *((one.kind, "istio") for one in ROUTES),
    }
    assert {by.manner.mesh for by in watched_kinds([watched("gamma"), watched("istio")]).values()} == {"gamma", "istio"}


async def test_a_route_of_the_gateway_api_that_begins_to_send_to_another_service_is_a_release_of_both() -> None:
    world = World()
    world.cluster.around_objects += [service("web", app="web")]
    for version in ("v1", "v2"):
        world.cluster.around_objects += [
            service(f"web-{version}", app="web", version=version),
            deployment(f"web-{version}", image=f"reg/web:{version}", version=version),
        ]
    cluster: Any = world.cluster
    there = {HOME: WatchedCluster(cluster=cluster, kinds={HTTP_ROUTES: watched("gamma")})}
    watcher = RouteWatcher(
        there,
        store=world.store,
        updates=world.updates,
        serving=world.serving,
        questions=Questions(world.asked),
        awaited=world.awaited,
        letters=world.letters,
        turn=Alone(),
        clock=world.clock,
        random=lambda: 0.5,
    )
    routes = world.cluster.feed(HTTP_ROUTES)
    async with background(world.follow(watcher=watcher)):
        routes.put(http_route(web_v1=100, web_v2=0))
        await world.turns()
        routes.put(http_route(web_v1=95, web_v2=5))
        await world.turns()
    (release,) = world.releases
    assert (release.service, release.mesh, release.artifact) == ("web", "gamma", "reg/web:v2")
    assert (release.baseline.service, release.canary.service) == ("web-v1", "web-v2")


@pytest.mark.parametrize("by", [BY_LINKERD, BY_OSM, BY_CONSUL], ids=lambda by: by.row.name)
async def test_a_split_that_begins_to_send_to_another_version_is_a_release_of_its_mesh(by: Watching) -> None:
    world = World(by=by)
    world.cluster.around_objects += two_versions()
    async with world.running():
        for green in (0, 5):
            world.cluster.routes.put(by.route(blue=100 - green, green=green))
            await world.settled()
    (release,) = world.releases
    assert (release.service, release.namespace, release.mesh) == ("web", NAMESPACE, by.row.name)
    if by is BY_CONSUL:  # what a subset is only Consul knows
        assert (release.baseline, release.canary, release.artifact) == (ArmSpec(subset="blue"), ArmSpec(subset="green"), None)
    else:
        assert (release.baseline.service, release.canary.service) == ("web-blue", "web-green")
        assert (release.canary.labels, release.artifact) == ({"app": "web", "version": "green"}, "reg/web:green")


async def test_flaggers_canary_by_a_split_is_a_release_as_its_owner_says_it() -> None:
    world = World(by=BY_LINKERD)
    world.cluster.around_objects += [service("web", app="web"), service("web-canary", app="web")]
    world.cluster.around_objects += [service("web-primary", app="web-primary")]
    canaries = world.cluster.feed(CANARIES)
    canaries.put(canary("Progressing"))
    world.cluster.routes.put(traffic_split(canary=10, primary=90))
    async with world.running():
        await world.settled()
    (release,) = world.releases
    assert (release.service, release.baseline.service, release.canary.service) == ("web", "web-primary", "web-canary")
