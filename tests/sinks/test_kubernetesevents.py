"""Verdicts as Events of Kubernetes: one on each object, never in anybody's way, and a right that is missing said with its rule."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from config.settings import Kubernetes
from daemon.errors import Forbidden, NotFound, Unavailable
from daemon.kube.client import KubeClient
from daemon.kube.resources import EVENTS, ROLLOUTS, WORKLOADS, Resource
from daemon.meshes.istio.mesh import VIRTUAL_SERVICES
from daemon.model import Outcome, Release
from daemon.placement import ObjectName
from daemon.ports.durable import PlacedSink
from daemon.sinks.kubernetesevents import NOTE_BYTES, KubernetesEvents, Place, event
from tests.hand.ports import until
from tests.hand.samples import RELEASE, verdict
from tests.hand.servers import Answer, says
from tests.kube.stub import status
from tests.meshes.cluster import Cluster, cluster

DEPLOYMENTS, STATEFUL_SETS, _ = WORKLOADS
ROUTE = ObjectName(kind="VirtualService", name="web", namespace="edge")
SHOP: Release = msgspec.structs.replace(RELEASE, namespace="shop")
PATH = "POST /apis/events.k8s.io/v1/namespaces/{}/events"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path) as running:
        put(running, VIRTUAL_SERVICES, "web", "edge", uid="u1")
        put(running, DEPLOYMENTS, "web-v2", "shop", uid="u2")
        yield running


@pytest.fixture
async def kube(api: Cluster) -> AsyncIterator[KubeClient]:
    client = api.client(timeout_seconds=20.0)
    yield client
    await client.close()


@pytest.fixture
def sink(kube: KubeClient) -> KubernetesEvents:
    return KubernetesEvents({"mesh": Place(kube=kube, routes=(VIRTUAL_SERVICES,)), "file": None})


def put(api: Cluster, resource: Resource, name: str, namespace: str, *, uid: str) -> None:
    api.put(resource, {"metadata": {"name": name, "namespace": namespace, "uid": uid}})


def takes(api: Cluster, *namespaces: str) -> list[Any]:
    """The Events that are created, one in each of these namespaces."""
    taken: list[Any] = []

    def answer() -> Answer:
        async def take(request: web.Request) -> web.StreamResponse:
            taken.append(json.loads(await request.read()))
            return await says({})(request)

        return take

    for namespace in namespaces:
        api.faults.setdefault(PATH.format(namespace), []).append(answer())
    return taken


async def tell(sink: KubernetesEvents, *, mesh: str = "mesh", workload: str = "web-v2") -> None:
    release = msgspec.structs.replace(SHOP, mesh=mesh)
    assert sink.wants(release, verdict("web-1"))
    await sink.publish_at(release, verdict("web-1"), routes=[ROUTE], workload=workload)


async def test_the_verdict_is_told_on_its_routes_and_on_the_canarys_workload(api: Cluster, sink: KubernetesEvents) -> None:
    taken = takes(api, "edge", "shop")
    await tell(sink)
    assert sorted((one["regarding"] for one in taken), key=lambda told: str(told["kind"])) == [
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web-v2", "namespace": "shop", "uid": "u2"},
        {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "name": "web", "namespace": "edge", "uid": "u1"},
    ]
    assert len({one["metadata"]["name"] for one in taken}) == 2


@pytest.mark.parametrize("kind", [STATEFUL_SETS, ROLLOUTS], ids=str)
async def test_a_workload_may_be_of_another_kind(api: Cluster, sink: KubernetesEvents, kind: Resource) -> None:
    put(api, kind, "db-v2", "shop", uid="u3")
    taken = takes(api, "edge", "shop")
    await tell(sink, workload="db-v2")
    assert {one["regarding"]["kind"] for one in taken} == {"VirtualService", kind.kind}
    assert {one["regarding"]["apiVersion"] for one in taken} == {"networking.istio.io/v1", f"{kind.group}/{kind.version}"}


async def test_on_what_is_gone_nothing_is_told(api: Cluster, sink: KubernetesEvents) -> None:
    taken = takes(api, "edge")
    await tell(sink, workload="gone")
    assert [one["regarding"]["name"] for one in taken] == ["web"]


async def test_a_verdict_that_is_told_twice_is_one_event(api: Cluster, sink: KubernetesEvents) -> None:
    for _ in range(2):
        for namespace in ("edge", "shop"):
            api.faults.setdefault(PATH.format(namespace), []).append(status(409, "already exists"))
        await tell(sink)
    told, regarding = verdict("web-1"), {"kind": "A", "name": "web", "namespace": "shop"}
    assert event(told, regarding=regarding) == event(told, regarding=regarding)


async def test_one_that_cannot_be_written_keeps_no_other_and_is_logged_once_with_the_rule(
    api: Cluster, sink: KubernetesEvents, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    refused = 'events.events.k8s.io is forbidden: User "me" cannot create resource "events" in API group "events.k8s.io"'
    for _ in range(3):
        api.faults.setdefault(PATH.format("edge"), []).append(status(403, refused))
    taken = takes(api, "shop", "shop", "shop")
    rule = r'role that is bound in namespace edge: - {apiGroups: \["events.k8s.io"\], resources: \[events\], verbs: \[create\]}'
    for _ in range(3):
        with pytest.raises(Forbidden, match=rule):
            await tell(sink)
    assert len(taken) == 3
    assert caplog.text.count("does not work") == 1
    takes(api, "edge", "shop")
    await tell(sink)
    assert caplog.text.count("works again") == 1


async def test_a_workload_that_may_not_be_read_is_told_with_its_rule(api: Cluster, sink: KubernetesEvents) -> None:
    takes(api, "edge")
    refused = 'deployments.apps "web-v2" is forbidden: User "me" cannot get resource "deployments" in API group "apps"'
    api.faults[f"GET {DEPLOYMENTS.path(namespace='shop', name='web-v2')}"] = [status(403, refused)]
    with pytest.raises(Forbidden, match=r'{apiGroups: \["apps"\], resources: \[deployments\], verbs: \[get\]}'):
        await tell(sink)


async def test_an_api_server_that_is_away_is_one_to_try_again(api: Cluster, sink: KubernetesEvents) -> None:
    api.faults["POST"] = [status(503, "starting")] * 2
    with pytest.raises(Unavailable):
        await tell(sink)


async def test_of_a_release_of_which_nothing_else_is_known_the_workload_is_told(api: Cluster, sink: KubernetesEvents) -> None:
    canary = msgspec.structs.replace(SHOP.canary, workload="web-v2")
    taken = takes(api, "shop")
    await sink.publish(msgspec.structs.replace(SHOP, mesh="mesh", canary=canary), verdict("web-1"))
    assert [one["regarding"]["kind"] for one in taken] == ["Deployment"]


async def test_releases_of_meshes_that_are_in_no_cluster_are_not_wanted(sink: KubernetesEvents) -> None:
    assert isinstance(sink, PlacedSink)
    for mesh in ("file", "unknown", None):
        release = msgspec.structs.replace(SHOP, mesh=mesh)
        assert not sink.wants(release, verdict("web-1"))
        await sink.publish(release, verdict("web-1"))


@pytest.mark.parametrize(
    ("outcome", "kind"), [(Outcome.PROMOTE, "Normal"), (Outcome.ROLLBACK, "Warning"), (Outcome.INCONCLUSIVE, "Normal")]
)
def test_a_rollback_is_a_warning(outcome: Outcome, kind: str) -> None:
    made = event(
        msgspec.structs.replace(verdict("web-1"), outcome=outcome), regarding={"kind": "A", "name": "web", "namespace": "shop"}
    )
    assert (made["type"], made["reason"]) == (kind, f"Verdict{outcome.capitalize()}")
    assert made["note"].startswith(f"{outcome} (action: ")


@pytest.mark.parametrize("letter", ["x", "\u00e4", "\u20ac", "\U0001f600"])
def test_a_note_is_as_long_as_the_api_server_takes_it_in_bytes(letter: str) -> None:
    long = msgspec.structs.replace(verdict("web-1"), reason=letter * 2_000)
    note = event(long, regarding={"kind": "A", "name": "web", "namespace": "shop"})["note"]
    assert NOTE_BYTES - 4 < len(note.encode()) <= NOTE_BYTES
    assert note.endswith(f"{letter}...")


def test_the_longest_names_make_a_name_that_is_one() -> None:
    name = "a" * 199 + "." + "b" * 53
    made = event(verdict("web-1"), regarding={"kind": "A", "name": name, "namespace": "shop"})["metadata"]["name"]
    assert len(made) <= 253
    assert ".." not in made
    assert EVENTS.kind == "Event"


class Busy(KubeClient):
    """Says how many questions it had at the same time; every object is gone."""

    def __init__(self) -> None:
        super().__init__(Kubernetes())
        self.at_a_time = self.most = 0

    async def get(self, resource: Resource, *, name: str, namespace: str | None = None) -> Any:
        self.at_a_time += 1
        self.most = max(self.most, self.at_a_time)
        await asyncio.sleep(0)
        self.at_a_time -= 1
        raise NotFound(name)


async def test_of_many_verdicts_at_once_a_few_are_told_at_a_time() -> None:
    busy = Busy()
    sink = KubernetesEvents({"mesh": Place(kube=busy, routes=(VIRTUAL_SERVICES,))})
    release = msgspec.structs.replace(SHOP, mesh="mesh")
    await asyncio.gather(*(sink.publish_at(release, verdict("web-1"), routes=[], workload="web-v2") for _ in range(50)))
    assert 1 < busy.most <= 8


class Hanging(KubeClient):
    """An API server that does not answer. ``asked``: how many wait for it."""

    def __init__(self) -> None:
        super().__init__(Kubernetes())
        self.asked = 0

    async def get(self, resource: Resource, *, name: str, namespace: str | None = None) -> Any:
        del resource, name, namespace
        self.asked += 1
        await asyncio.Event().wait()


async def test_an_api_server_that_hangs_keeps_no_verdict_from_another_cluster() -> None:
    hanging, healthy = Hanging(), Busy()
    sink = KubernetesEvents({"mesh": Place(kube=hanging, routes=()), "other": Place(kube=healthy, routes=())})
    there, elsewhere = (msgspec.structs.replace(SHOP, mesh=mesh) for mesh in ("mesh", "other"))
    waiting = [asyncio.create_task(sink.publish_at(there, verdict("web-1"), routes=[], workload="web-v2")) for _ in range(9)]
    await until(lambda: hanging.asked == 8)
    async with asyncio.timeout(10.0):
        await sink.publish_at(elsewhere, verdict("web-1"), routes=[], workload="web-v2")
    assert healthy.most == 1
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)


async def test_meshes_of_one_cluster_have_its_turns_together() -> None:
    busy = Busy()
    sink = KubernetesEvents({mesh: Place(kube=busy, routes=()) for mesh in ("mesh", "other")})
    releases = [msgspec.structs.replace(SHOP, mesh=mesh) for mesh in ("mesh", "other")] * 20
    await asyncio.gather(*(sink.publish_at(one, verdict("web-1"), routes=[], workload="web-v2") for one in releases))
    assert 1 < busy.most <= 8
