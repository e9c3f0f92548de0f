"""The Gateway API's router on a real API server with its definitions: the four kinds, in the versions that are served."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from config.settings import Limits
from daemon.aio.clock import SystemClock
from daemon.engine.reverting import Reverting, RevertOutcome
from daemon.kube.client import KubeClient
from daemon.kube.resources import Json, Resource
from daemon.meshes.gatewayapi.mesh import GRPC_ROUTES, HTTP_ROUTES, REFERENCE_GRANTS, ROUTES, TCP_ROUTES, TLS_ROUTES
from daemon.meshes.gatewayapi.router import GatewayApiRouter
from daemon.model import Action
from tests.hand import gateway_objects
from tests.hand.gateway_objects import ON_GATEWAY, RELEASE, backend, http_route, route
from tests.hand.istio_cluster import client_of, gateway_cluster, post
from tests.hand.istio_objects import NAMESPACE
from tests.servers.kube_apiserver import KubeApiServer

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
    async with api.session() as session:
        for kind in (*ROUTES, REFERENCE_GRANTS):
            for item in (await client.list(kind)).items:
                version = item["apiVersion"].rpartition("/")[2]
                metadata = item["metadata"]
                await session.delete(
                    f"{gateway_objects.routes(kind.plural, version=version, namespace=metadata['namespace'])}/{metadata['name']}"
                )
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
    limits = Limits(confirm_seconds=1.0)
    return await Reverting(clock=SystemClock(), limits=limits, random=lambda: 0.5).run(router, RELEASE, located=located)


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
