"""Consul on Kubernetes on a real API server, with definitions of the same fields as consul-k8s' own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from daemon.aio.tasks import background
from daemon.engine.reverting import RevertOutcome
from daemon.errors import Blocked, InvalidInput, NotFound
from daemon.kube.client import KubeClient
from daemon.kube.resources import Json, Resource
from daemon.meshes.consulkubernetes.mesh import ROUTES, SERVICE_RESOLVERS, SERVICE_ROUTERS, SERVICE_SPLITTERS
from daemon.meshes.consulkubernetes.router import ConsulKubernetesRouter
from daemon.model import Action, ArmSpec, Release
from tests.hand import consul_objects
from tests.hand.consul_objects import unversioned
from tests.hand.istio_cluster import client_of, cluster_of, delete, post
from tests.hand.istio_objects import SLICES
from tests.hand.procedures import reverting
from tests.mesh.noticed import begins
from tests.meshes.consul_entries import resolver, router, split, splitter
from tests.servers.kube_apiserver import KubeApiServer
from tests.watcher.world import BY_CONSUL

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("consulkubernetes"),
]

RELEASE = Release(service="web", namespace="shop", baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))
SERVICES = Release(service="web", namespace="shop", baseline=ArmSpec(service="web-v1"), canary=ArmSpec(service="web-v2"))
SPLITTER = splitter(split(90, subset="v1", response_headers={"set": {"x-version": "v1"}}), split(10, subset="v2"))
ROUTER = router({"service": "web", "service_subset": "v2", "num_retries": 3}, {"service": "other"})
KINDS = {"service-router": SERVICE_ROUTERS, "service-splitter": SERVICE_SPLITTERS, "service-resolver": SERVICE_RESOLVERS}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KubeApiServer]:
    namespaces: list[tuple[str, Json]] = [
        ("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}) for name in ("shop", "other")
    ]
    async with cluster_of(tmp_path_factory.mktemp("cluster"), crds=[consul_objects.CRDS], objects=namespaces) as running:
        for name, ready in (("web", True), ("web-v1", True), ("web-v2", True), ("idle", False)):
            await post(running, SLICES, endpoint_slice(name, ready=ready))
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def kube(api: KubeApiServer, tmp_path: Path) -> AsyncIterator[KubeClient]:
    """The administrator's client, and the usual resources, which Consul has taken."""
    client = client_of(api, tmp_path / "admin.json")
    for kind in ROUTES:
        for item in (await client.list(kind)).items:
            metadata = item["metadata"]
            await delete(api, kind.path(namespace=metadata["namespace"], name=metadata["name"]))
    await written(api, resolver(default_subset="v1"), SPLITTER, ROUTER)
    yield client
    await client.close()


def endpoint_slice(service: str, *, ready: bool) -> Json:
    labels = {"kubernetes.io/service-name": service}
    endpoints = [{"addresses": ["10.9.0.1"], "conditions": {"ready": ready}}]
    metadata = {"name": f"{service}-1", "labels": labels}
    kind = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4"}
    return {**kind, "metadata": metadata, "endpoints": endpoints, "ports": []}


async def written(api: KubeApiServer, *entries: Json, namespace: str = "shop", synced: bool | None = True) -> None:
    """Create resources, and say of them what consul-k8s would."""
    for entry in entries:
        await post(api, KINDS[entry["kind"]].path(namespace=namespace), unversioned(entry))
        if synced is not None:
            await says(api, KINDS[entry["kind"]], entry["name"], synced=synced, namespace=namespace)


async def says(api: KubeApiServer, kind: Resource, name: str, *, synced: bool, namespace: str = "shop") -> None:
    """What consul-k8s says of a resource: that Consul has taken it, or why not."""
    refused = {} if synced else {"reason": "ConsulAgentError", "message": "the sum of all split weights must be 100"}
    condition = {"type": "Synced", "status": "True" if synced else "False", **refused}
    headers = {"Content-Type": "application/merge-patch+json"}
    path = f"{kind.path(namespace=namespace, name=name)}/status"
    body = {"status": {"conditions": [condition]}}
    async with api.session() as session, session.patch(path, json=body, headers=headers) as response:
        assert response.status == 200, await response.text()


async def spec(kube: KubeClient, kind: Resource, name: str = "web", namespace: str = "shop") -> Any:
    return (await kube.get(kind, name=name, namespace=namespace))["spec"]


async def reverted(routes: ConsulKubernetesRouter, release: Release = RELEASE) -> RevertOutcome:
    """By the daemon's own procedure, from looking to seeing the traffic leave."""
    located = (await routes.locate(release)).located
    return await reverting(confirm_seconds=0.5).run(routes, release, located=located)


async def test_a_splitter_that_begins_to_send_to_another_subset_is_a_release_that_nobody_announces(
    api: KubeApiServer, kube: KubeClient
) -> None:
    before, after = (unversioned(splitter(split(100 - canary, subset="v1"), split(canary, subset="v2"))) for canary in (0, 5))
    await delete(api, SERVICE_SPLITTERS.path(namespace="shop", name="web"))
    where = SERVICE_SPLITTERS.path(namespace="shop")
    release = await begins(api, kube, by=BY_CONSUL, collection=where, before=before, after=after, namespace="shop")
    assert (release.service, release.baseline.subset, release.canary.subset) == ("web", "v1", "v2")


async def test_the_canary_is_located_with_who_would_serve(kube: KubeClient) -> None:
    placement = await ConsulKubernetesRouter(kube).locate(RELEASE)
    assert [str(one) for one in placement.routes] == [
        "shop/web route #0: 100 % of the traffic",
        "shop/web split #1 of 2: 10 % of the traffic",
    ]
    assert placement.canary_percent == 10.0
    told = "1 ready endpoints behind Service web, of all its subsets; which of them are v1 is Consul's to tell"
    assert (placement.baseline, placement.elsewhere, placement.unread) == (told, (), ())


async def test_each_resource_is_taken_back_shown_before_and_put_back(api: KubeApiServer, kube: KubeClient) -> None:
    await written(api, resolver("old", subsets=(), redirect={"service": "web", "service_subset": "v2"}), namespace="other")
    before = [await spec(kube, kind) for kind in ROUTES]
    routes = ConsulKubernetesRouter(kube)
    located = (await routes.locate(RELEASE)).located
    assert [one.failure for one in await routes.plan(RELEASE, located=located)] == [None] * 3
    assert [await spec(kube, kind) for kind in ROUTES] == before
    receipt = await routes.revert(RELEASE, located=located)
    assert sorted(map(str, receipt.parts)) == [
        "other/old redirect: redirect to web/v2 -> web/v1",
        "shop/web route #0: destination web/v2 -> web/v1",
        "shop/web split #1 of 2: weight 10 of web/v2 -> web/v1",
    ]
    assert await routes.canary_gets_traffic(RELEASE, located=located) is None
    splits = await spec(kube, SERVICE_SPLITTERS)
    assert [one["weight"] for one in splits["splits"]] == [100, 0]
    assert splits["splits"][0]["responseHeaders"] == {"set": {"x-version": "v1"}}
    expected = before[0]
    expected["routes"][0]["destination"]["serviceSubset"] = "v1"
    assert await spec(kube, SERVICE_ROUTERS) == expected
    undos = [one.undo for one in receipt.parts if one.undo is not None]
    assert [one.failure for one in await routes.restore(undos)] == [None] * 3
    assert (await spec(kube, SERVICE_RESOLVERS, "old", "other"))["redirect"]["serviceSubset"] == "v2"
    assert (await reverted(routes)).action is Action.REVERT


async def test_a_writer_of_twenty_times_a_second_holds_up_no_revert(kube: KubeClient) -> None:
    async def meddle() -> None:
        for number in range(10_000):
            operations = [{"op": "add", "path": "/metadata/annotations", "value": {"number": str(number)}}]
            await kube.patch(SERVICE_SPLITTERS, name="web", namespace="shop", operations=operations)
            await asyncio.sleep(0.05)

    routes = ConsulKubernetesRouter(kube)
    async with background(meddle()):
        for _ in range(10):
            receipt = await routes.revert(RELEASE)
            assert not receipt.failed
            await routes.restore([one.undo for one in receipt.parts if one.undo is not None])
        assert not (await routes.revert(RELEASE)).failed
    assert [one["weight"] for one in (await spec(kube, SERVICE_SPLITTERS))["splits"]] == [100, 0]


async def test_another_process_says_what_may_still_reach_the_canary_by_what_was_kept(api: KubeApiServer, kube: KubeClient) -> None:
    await written(api, resolver("api", subsets=(), failover={"*": {"service": "web", "service_subset": "v2"}}))
    placement = await ConsulKubernetesRouter(kube).locate(RELEASE)
    said = ("service-resolver api: failover of every subset to web/v2",)
    assert placement.elsewhere == said
    assert (await ConsulKubernetesRouter(kube).revert(RELEASE, located=placement.located)).elsewhere == said


async def test_a_baseline_beside_which_none_was_is_added_as_a_split(api: KubeApiServer, kube: KubeClient) -> None:
    await written(api, splitter(split(33.33, service="web-v2"), split(66.67, service="third"), name="edge"))
    assert (await reverted(ConsulKubernetesRouter(kube), SERVICES)).action is Action.REVERT
    assert (await spec(kube, SERVICE_SPLITTERS, "edge"))["splits"] == [
        {"weight": 0, "service": "web-v2"},
        {"weight": 66.67, "service": "third"},
        {"weight": 33.33, "service": "web-v1"},
    ]


async def test_what_consul_has_refused_is_not_taken_for_what_is_in_force(api: KubeApiServer, kube: KubeClient) -> None:
    routes = ConsulKubernetesRouter(kube)
    await says(api, SERVICE_SPLITTERS, "web", synced=False)
    placement = await routes.locate(RELEASE)
    why = "ConsulAgentError the sum of all split weights must be 100"
    assert placement.unread == (f"what Consul has of ServiceSplitter shop/web, which is not synced: {why}",)
    outcome = await reverted(routes)
    assert outcome.action is Action.FAILED
    still = "ServiceSplitter shop/web, as Consul has it: it has refused what is written there now"
    assert f"but the canary still gets traffic: {still}" in outcome.reason
    by_default = Release(service="web", namespace="shop", baseline=ArmSpec(), canary=ArmSpec(subset="v2"))
    assert await routes.canary_gets_traffic(by_default) == still
    await says(api, SERVICE_SPLITTERS, "web", synced=True)
    assert await routes.canary_gets_traffic(RELEASE, located=placement.located) is None
    await written(api, splitter(split(100, service="web", subset="v2"), name="new"), synced=None)
    [unread] = (await routes.locate(RELEASE)).unread
    assert unread == "what Consul has of ServiceSplitter shop/new, which is not synced: consul-k8s has said nothing of it"


async def test_a_baseline_that_nobody_stands_behind_blocks_a_revert_unless_something_serves_in_its_place(
    api: KubeApiServer, kube: KubeClient
) -> None:
    routes = ConsulKubernetesRouter(kube)
    idle = Release(service="web", namespace="shop", baseline=ArmSpec(service="idle"), canary=ArmSpec(subset="v2"))
    located = (await routes.locate(idle)).located
    with pytest.raises(Blocked, match="none behind Service idle of shop is ready"):
        await routes.check_baseline(idle, located=located)
    await written(api, resolver("idle", subsets=(), failover={"*": {"datacenters": ["dc2"]}}))
    assert await routes.check_baseline(idle, located=located) == "0 ready endpoints behind Service idle"
    absent = Release(service="web", namespace="shop", baseline=ArmSpec(service="elsewhere"), canary=ArmSpec(subset="v2"))
    assert "no Service elsewhere of namespace shop has any" in await routes.check_baseline(absent)
    gone = Release(service="web", namespace="shop", baseline=ArmSpec(subset="v9"), canary=ArmSpec(subset="v2"))
    with pytest.raises(NotFound, match=re.escape("the resolver of web has no subset v9 (it has v1, v2)")):
        await routes.locate(gone)
    with pytest.raises(Blocked, match="has no subset v9"):
        await routes.check_baseline(gone)


async def test_arms_that_are_the_same_or_not_told_are_refused(api: KubeApiServer, kube: KubeClient) -> None:
    routes = ConsulKubernetesRouter(kube)
    whole = Release(service="web", namespace="shop", baseline=ArmSpec(), canary=ArmSpec(subset="v2"))
    assert (await routes.locate(whole)).baseline.endswith("which of them are v1 is Consul's to tell")
    assert (await routes.revert(whole)).changed
    value = {"filter": "Service.Meta.version == v2"}
    await kube.patch(
        SERVICE_RESOLVERS, name="web", namespace="shop", operations=[{"op": "add", "path": "/spec/subsets/v1", "value": value}]
    )
    with pytest.raises(InvalidInput, match="are the same instances"):
        await routes.locate(RELEASE)
    with pytest.raises(Blocked, match="are the same instances"):
        await routes.check_baseline(RELEASE)
    await kube.patch(SERVICE_RESOLVERS, name="web", namespace="shop", operations=[{"op": "remove", "path": "/spec/defaultSubset"}])
    with pytest.raises(Blocked, match="nothing that the traffic could go back to"):
        await routes.check_baseline(whole)
    with pytest.raises(NotFound, match="the nearest that is named is web/v2"):
        await routes.locate(Release(service="web", namespace="shop", baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v22")))


async def test_two_resources_of_one_name_are_refused_unless_namespaces_are_mirrored(api: KubeApiServer, kube: KubeClient) -> None:
    await written(api, SPLITTER, namespace="other")
    with pytest.raises(InvalidInput, match="ServiceSplitter web is in the namespaces other and shop") as caught:
        await ConsulKubernetesRouter(kube).locate(RELEASE)
    assert "mirrored_namespaces" in caught.value.fix
    mirrored = ConsulKubernetesRouter(kube, mirrored=True)
    assert {one.object.namespace for one in (await mirrored.locate(RELEASE)).routes} == {"shop"}
    await written(api, splitter(split(100, subset="v2", service="web", namespace="shop"), name="beyond"), namespace="other")
    assert (await reverted(mirrored)).action is Action.REVERT
    assert [one["weight"] for one in (await spec(kube, SERVICE_SPLITTERS, "beyond", "other"))["splits"]] == [0, 100]
    assert [one["weight"] for one in (await spec(kube, SERVICE_SPLITTERS, "web", "other"))["splits"]] == [90, 10]
