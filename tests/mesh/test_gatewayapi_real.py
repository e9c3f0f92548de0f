"""The Gateway API's router on a real API server with its definitions: the four kinds, in the versions that are served."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from daemon.aio.tasks import background
from daemon.cli import main
from daemon.engine.reasserting import PUT_BACK
from daemon.engine.reverting import RevertOutcome
from daemon.errors import Conflict
from daemon.kube.client import KubeClient
from daemon.kube.resources import SERVICES, Json, Resource
from daemon.meshes.gatewayapi.mesh import GRPC_ROUTES, HTTP_ROUTES, REFERENCE_GRANTS, ROUTES, TCP_ROUTES, TLS_ROUTES
from daemon.meshes.gatewayapi.router import GatewayApiRouter, GatewayApiRoutes, ServiceArms
from daemon.model import Action
from tests.hand import gateway_objects
from tests.hand.gateway_objects import ON_GATEWAY, RELEASE, backend, grant, http_route, mirror, route
from tests.hand.istio_cluster import client_of, delete, gateway_cluster, post
from tests.hand.istio_objects import NAMESPACE
from tests.hand.procedures import guarded, reverting
from tests.servers.crds import DEFINITIONS
from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.run import until

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("gatewayapi"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KubeApiServer]:
    async with gateway_cluster(tmp_path_factory.mktemp("cluster")) as running:
        for namespace in ("edge", "clients"):
            await post(running, "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def kube(api: KubeApiServer, tmp_path: Path) -> AsyncIterator[KubeClient]:
    """The administrator's client, and the objects as they were in the beginning."""
    client = client_of(api, tmp_path / "admin.json")
    for kind in (*ROUTES, REFERENCE_GRANTS):
        for item in (await client.list(kind)).items:
            version = item["apiVersion"].rpartition("/")[2]
            metadata = item["metadata"]
            folder = gateway_objects.routes(kind.plural, version=version, namespace=metadata["namespace"])
            await delete(api, f"{folder}/{metadata['name']}")
    await create(api, HTTP_ROUTES, http_route())
    yield client
    await client.close()


async def create(api: KubeApiServer, kind: Resource, item: Json, *, version: str = "v1") -> Json:
    namespace = item["metadata"]["namespace"]
    collection = gateway_objects.routes(kind.plural, version=version, namespace=namespace)
    return await post(api, collection, {**item, "kind": kind.kind, "apiVersion": f"{gateway_objects.GROUP}/{version}"})


async def read(kube: KubeClient, kind: Resource = HTTP_ROUTES, name: str = "web", namespace: str = NAMESPACE) -> list[Json]:
    """The rules of a route."""
    rules: list[Json] = (await kube.get(kind, name=name, namespace=namespace))["spec"]["rules"]
    return rules


async def reverted(kube: KubeClient) -> RevertOutcome:
    """By the daemon's own procedure, from looking to seeing the traffic leave."""
    router = GatewayApiRouter(kube)
    located = (await router.locate(RELEASE)).located
    return await reverting(confirm_seconds=1.0).run(router, RELEASE, located=located)


def weights(rule: Json) -> dict[str, int]:
    return {one["name"]: one["weight"] for one in rule["backendRefs"]}


async def test_the_canary_is_located_with_who_would_serve(kube: KubeClient) -> None:
    placement = await GatewayApiRouter(kube).locate(RELEASE)
    assert [str(one) for one in placement.routes] == [
        "shop/web rule #0: 100 % of the traffic",
        "shop/web rule #2: 10 % of the traffic",
    ]
    assert placement.canary_percent == 10.0
    assert placement.baseline == "1 ready endpoints (the canary has 1)"
    assert placement.pods is not None
    assert placement.pods.canary.pods is not None
    assert [(one.name, one.workloads, one.version) for one in placement.pods.canary.pods] == [("web-v2-0", ("web-v2",), "v2")]


async def test_the_split_and_the_header_rule_are_taken_back_and_nothing_else_is_written(kube: KubeClient) -> None:
    before = await kube.get(HTTP_ROUTES, name="web", namespace=NAMESPACE)
    outcome = await reverted(kube)
    assert outcome.action is Action.REVERT, outcome.reason
    after = await kube.get(HTTP_ROUTES, name="web", namespace=NAMESPACE)
    before["spec"]["rules"][0]["backendRefs"][0]["name"] = "web-v1"
    before["spec"]["rules"][2]["backendRefs"][0]["weight"] = 100
    before["spec"]["rules"][2]["backendRefs"][1]["weight"] = 0
    assert after["spec"] == before["spec"]
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]
    assert await GatewayApiRouter(kube).canary_gets_traffic(RELEASE) is None


async def test_weights_that_the_server_filled_in_are_shares_of_their_sum(api: KubeApiServer, kube: KubeClient) -> None:
    await create(api, HTTP_ROUTES, route({"backendRefs": [backend("web-v1"), backend("web-v2"), backend("other")]}, name="even"))
    placement = await GatewayApiRouter(kube).locate(RELEASE)
    assert placement.canary_percent == pytest.approx(100 / 3)
    assert (await reverted(kube)).action is Action.REVERT
    [rule] = await read(kube, name="even")
    assert weights(rule) == {"web-v1": 2, "web-v2": 0, "other": 1}


@pytest.mark.parametrize("kind", [GRPC_ROUTES, TLS_ROUTES, TCP_ROUTES], ids=lambda kind: kind.kind)
async def test_routes_of_the_other_kinds_are_taken_back_in_the_version_that_is_served(
    api: KubeApiServer, kube: KubeClient, kind: Resource
) -> None:
    version = "v1" if kind is GRPC_ROUTES else "v1alpha2"
    split = route({"backendRefs": [backend("web-v1", 9), backend("web-v2", 1)]}, name="other")
    pinned = route({"backendRefs": [backend("web-v2")]}, name="pinned", parentRefs=[ON_GATEWAY])
    await create(api, kind, split, version=version)
    await create(api, kind, pinned, version=version)
    outcome = await reverted(kube)
    assert outcome.action is Action.REVERT, outcome.reason
    assert weights((await read(kube, kind, "other"))[0]) == {"web-v1": 10, "web-v2": 0}
    assert weights((await read(kube, kind, "pinned"))[0]) == {"web-v1": 1}


async def test_mirrors_to_the_canary_go_from_rules_and_backends_and_others_stay(api: KubeApiServer, kube: KubeClient) -> None:
    stable = backend("web-v1", 1, filters=[mirror("web-v2"), mirror("audit")])
    await create(api, HTTP_ROUTES, route({"backendRefs": [stable], "filters": [mirror("web-v2")]}, name="shadow"))
    outcome = await reverted(kube)
    assert outcome.action is Action.REVERT, outcome.reason
    [rule] = await read(kube, name="shadow")
    assert rule["filters"] == []
    [left] = rule["backendRefs"][0]["filters"]
    assert left["requestMirror"]["backendRef"]["name"] == "audit"


async def test_a_route_on_a_gateway_of_another_namespace_is_pointed_only_where_a_grant_lets_it_name_the_baseline(
    api: KubeApiServer, kube: KubeClient
) -> None:
    pinned = route(
        {"backendRefs": [backend("web-v2", namespace=NAMESPACE)]}, name="beta", namespace="edge", parentRefs=[ON_GATEWAY]
    )
    await create(api, HTTP_ROUTES, pinned)
    await create(api, REFERENCE_GRANTS, grant("edge", name="web-v2"), version="v1beta1")
    outcome = await reverted(kube)
    assert outcome.action is Action.FAILED
    assert "no ReferenceGrant in shop lets a HTTPRoute of edge name web-v1.shop" in outcome.reason
    assert weights((await read(kube))[2]) == {"web-v1": 100, "web-v2": 0}, "it holds up no other object"
    assert weights((await read(kube, name="beta", namespace="edge"))[0]) == {"web-v2": 1}
    await create(api, REFERENCE_GRANTS, {**grant("edge"), "metadata": {"name": "whole", "namespace": NAMESPACE}}, version="v1beta1")
    outcome = await reverted(kube)
    assert outcome.action is Action.REVERT, outcome.reason
    assert weights((await read(kube, name="beta", namespace="edge"))[0]) == {"web-v1": 1}


async def test_a_consumers_route_in_its_own_namespace_is_taken_back_without_a_grant(api: KubeApiServer, kube: KubeClient) -> None:
    parent = {**gateway_objects.ON_SERVICE, "namespace": NAMESPACE}
    named = [backend("web-v2", namespace=NAMESPACE)]
    await create(api, HTTP_ROUTES, route({"backendRefs": named}, name="consumer", namespace="clients", parentRefs=[parent]))
    outcome = await reverted(kube)
    assert outcome.action is Action.REVERT, outcome.reason
    assert weights((await read(kube, name="consumer", namespace="clients"))[0]) == {"web-v1": 1}


async def test_another_service_of_the_canarys_pods_is_taken_back_and_what_is_no_service_is_named(
    api: KubeApiServer, kube: KubeClient
) -> None:
    await post(api, SERVICES.path(namespace=NAMESPACE), gateway_objects.service("preview", app="web", version="v2"))
    imported = backend("web", 1, group="multicluster.x-k8s.io", kind="ServiceImport")
    await create(api, HTTP_ROUTES, route({"backendRefs": [backend("preview")]}, {"backendRefs": [imported]}, name="others"))
    outcome = await reverted(kube)
    assert outcome.action is Action.REVERT, outcome.reason
    assert "may still reach the canary, and is not touched: shop/others rule #1 (ServiceImport web.shop)" in outcome.reason
    aliased, foreign = await read(kube, name="others")
    assert (weights(aliased), weights(foreign)) == ({"web-v1": 1}, {"web": 1})
    await delete(api, f"{SERVICES.path(namespace=NAMESPACE)}/preview")


async def test_a_canary_that_is_given_traffic_again_is_taken_back_again(kube: KubeClient) -> None:
    router = GatewayApiRouter(kube)
    located = (await router.locate(RELEASE)).located
    assert (await reverting().run(router, RELEASE, located=located)).action is Action.REVERT

    async def meddle() -> None:
        await asyncio.sleep(0.5)
        operations = [{"op": "replace", "path": "/spec", "value": http_route(canary_weight=40)["spec"]}]
        await kube.patch(HTTP_ROUTES, name="web", namespace=NAMESPACE, operations=operations)

    _, steps = await asyncio.gather(meddle(), guarded(router, RELEASE, located=located))
    assert PUT_BACK in [step.step for step in steps]
    assert weights((await read(kube))[2]) == {"web-v1": 100, "web-v2": 0}


async def test_a_changed_weight_is_heard_of_and_known_without_being_read(kube: KubeClient) -> None:
    router = GatewayApiRouter(kube)
    located = (await router.locate(RELEASE)).located
    changed = asyncio.Event()

    async def weighs(percent: float) -> bool:
        return await router.weight(RELEASE, located=located) == percent

    async with background(router.follow(changed.set)):
        await until(lambda: weighs(10.0), 60)
        changed.clear()
        operations = [{"op": "replace", "path": "/spec", "value": http_route(canary_weight=50)["spec"]}]
        await kube.patch(HTTP_ROUTES, name="web", namespace=NAMESPACE, operations=operations)
        async with asyncio.timeout(60.0):
            await changed.wait()
        await until(lambda: weighs(50.0), 60)


async def test_a_route_that_somebody_else_wrote_meanwhile_is_read_and_planned_anew(kube: KubeClient) -> None:
    router = GatewayApiRouter(kube)
    stale = await kube.get(HTTP_ROUTES, name="web", namespace=NAMESPACE)
    arms = (await ServiceArms(kube).survey(RELEASE, objects={})).arms
    operations = [{"op": "replace", "path": "/spec", "value": http_route(canary_weight=40)["spec"]}]
    await kube.patch(HTTP_ROUTES, name="web", namespace=NAMESPACE, operations=operations)
    plan = GatewayApiRoutes(HTTP_ROUTES).revert(stale, arms=arms)
    with pytest.raises(Conflict, match="409"):
        await kube.patch(HTTP_ROUTES, name="web", namespace=NAMESPACE, operations=plan.operations)
    assert (await router.revert(RELEASE)).changed
    assert weights((await read(kube))[2]) == {"web-v1": 100, "web-v2": 0}


async def test_the_command_finds_the_routes_and_shows_them_before_it_takes_the_traffic_back(
    api: KubeApiServer, kube: KubeClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kubeconfig = api.write_kubeconfig(tmp_path / "command.json")
    arms = ("--service", "web", "--namespace", NAMESPACE, "--baseline", "service=web-v1", "--canary", "service=web-v2")

    async def command(how: str) -> int:
        return await asyncio.to_thread(main, ["revert", "--kubeconfig", str(kubeconfig), *arms, how])

    assert await command("--dry-run") == 0
    told = capsys.readouterr().out
    assert "shop/web rule #2: 10 % of the traffic" in told
    assert "the baseline: 1 ready endpoints (the canary has 1)" in told
    assert weights((await read(kube))[2]) == {"web-v1": 90, "web-v2": 10}
    assert await command("--yes") == 0
    assert "shop/web rule #2: weight 10 of web-v2.shop -> web-v1.shop" in capsys.readouterr().out
    assert weights((await read(kube))[2]) == {"web-v1": 100, "web-v2": 0}


async def test_a_version_that_is_no_longer_served_is_left_for_an_earlier_one(api: KubeApiServer, kube: KubeClient) -> None:
    definition = f"{DEFINITIONS}/{HTTP_ROUTES}"
    router = GatewayApiRouter(kube)
    located = (await router.locate(RELEASE)).located

    async def serve(version: str, *, served: bool) -> None:
        async with api.session() as session:
            async with session.get(definition) as response:
                at = [one["name"] for one in (await response.json())["spec"]["versions"]].index(version)
            body = json.dumps([{"op": "replace", "path": f"/spec/versions/{at}/served", "value": served}])
            async with session.patch(definition, data=body, headers={"Content-Type": "application/json-patch+json"}) as response:
                assert response.status == 200
            path = gateway_objects.routes("httproutes", version=version)

            async def is_so() -> bool:
                async with session.get(path) as response:
                    return (response.status == 200) is served

            await until(is_so, 60)

    await serve("v1", served=False)
    try:
        assert (await router.canary_gets_traffic(RELEASE, located=located) or "").startswith("shop/web rule #0: 100 %")
        outcome = await reverted(kube)
        assert outcome.action is Action.REVERT, outcome.reason
        assert weights((await read(kube))[2]) == {"web-v1": 100, "web-v2": 0}
    finally:
        await serve("v1", served=True)
