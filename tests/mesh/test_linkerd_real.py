"""Linkerd's router on a real API server with the definitions of Linkerd, of the Gateway API and of SMI."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from daemon.cli import main
from daemon.engine.reverting import RevertOutcome
from daemon.kube.client import KubeClient
from daemon.kube.resources import Json, Resource
from daemon.meshes.linkerd.kinds import HTTP_LIKE, POLICY_ROUTES, SPLITS
from daemon.meshes.linkerd.mesh import LinkerdMesh
from daemon.meshes.linkerd.router import LinkerdRouter
from daemon.meshes.linkerd.serviceprofile import SERVICE_PROFILES
from daemon.meshes.registry import router_for
from daemon.model import Action
from tests.hand import gateway_objects, split_objects
from tests.hand.gateway_objects import RELEASE, backend
from tests.hand.istio_cluster import client_of, cluster_of, post
from tests.hand.istio_objects import NAMESPACE
from tests.hand.linkerd_objects import ON_SERVER, PROFILE, policy_route, policy_routes, profile, profiles
from tests.hand.procedures import reverting
from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.locate import require_crds

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("linkerd"),
]

HTTP_ROUTES = HTTP_LIKE[0]
COLLECTIONS = (
    gateway_objects.routes("httproutes"),
    policy_routes("v1beta2"),
    profiles(),
    split_objects.splits("v1alpha1"),
)
SPLIT = ({"backendRefs": [backend("web-v1", 90), backend("web-v2", 10)]},)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KubeApiServer]:
    smi = Path(__file__).parents[1] / "hand" / "crds" / "smi-v1alpha1.yaml"
    crds = [*map(require_crds, ("gateway-api", "linkerd-routes", "linkerd-profiles")), smi]
    async with cluster_of(tmp_path_factory.mktemp("cluster"), crds=crds, objects=split_objects.created()) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def kube(api: KubeApiServer, tmp_path: Path) -> AsyncIterator[KubeClient]:
    """The administrator's client, and no route."""
    client = client_of(api, tmp_path / "admin.json")
    async with api.session() as session:
        for collection in COLLECTIONS:
            async with session.delete(collection) as response:
                assert response.status == 200
    yield client
    await client.close()


@pytest.fixture
def router(kube: KubeClient) -> LinkerdRouter:
    found = router_for(LinkerdMesh(telemetry="t"), kube=kube)
    assert isinstance(found, LinkerdRouter)
    return found


async def spec(kube: KubeClient, kind: Resource, name: str = "web") -> Json:
    found: Json = (await kube.get(kind, name=name, namespace=NAMESPACE))["spec"]
    return found


async def reverted(router: LinkerdRouter) -> RevertOutcome:
    """By the daemon's own procedure, from looking to seeing the traffic leave."""
    located = (await router.locate(RELEASE)).located
    return await reverting(confirm_seconds=1.0).run(router, RELEASE, located=located)


async def test_routes_of_both_groups_are_taken_back_and_nothing_else_is_written(
    api: KubeApiServer, kube: KubeClient, router: LinkerdRouter
) -> None:
    await post(api, gateway_objects.routes("httproutes"), gateway_objects.http_route())
    pinned = {"matches": [gateway_objects.header(x_canary="always")], "backendRefs": [backend("web-v2")]}
    await post(api, policy_routes("v1beta2"), policy_route("v1beta2", pinned, *SPLIT, name="own"))
    before = await spec(kube, POLICY_ROUTES, "own")
    outcome = await reverted(router)
    assert outcome.action is Action.REVERT, outcome.reason
    before["rules"][0]["backendRefs"][0]["name"] = "web-v1"
    before["rules"][1]["backendRefs"][0]["weight"] = 100
    before["rules"][1]["backendRefs"][1]["weight"] = 0
    assert await spec(kube, POLICY_ROUTES, "own") == before
    assert [one["weight"] for one in (await spec(kube, HTTP_ROUTES))["rules"][2]["backendRefs"]] == [100, 0]


async def test_a_route_of_a_server_is_left_as_it_is(api: KubeApiServer, kube: KubeClient, router: LinkerdRouter) -> None:
    await post(api, policy_routes("v1beta2"), policy_route("v1beta2", *SPLIT))
    inbound = policy_route("v1beta2", {"backendRefs": [backend("web-v2", 1)]}, name="inbound", parent=ON_SERVER)
    before = await post(api, policy_routes("v1beta2"), inbound)
    outcome = await reverted(router)
    assert outcome.action is Action.REVERT, outcome.reason
    after = await kube.get(POLICY_ROUTES, name="inbound", namespace=NAMESPACE)
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert await router.canary_gets_traffic(RELEASE) is None


async def test_a_profile_by_hand_is_taken_back_exactly_and_can_be_put_back(
    api: KubeApiServer, kube: KubeClient, router: LinkerdRouter
) -> None:
    await post(api, profiles(), profile(("web-v2", "100m"), ("web-v1", "850m"), ("other", "50m"), skip=True))
    before = await spec(kube, SERVICE_PROFILES, PROFILE)
    [found] = (await router.locate(RELEASE)).routes
    assert (found.percent, found.owner) == (10.0, "")
    receipt = await router.revert(RELEASE)
    after = await spec(kube, SERVICE_PROFILES, PROFILE)
    assert [one["weight"] for one in after["dstOverrides"]] == ["0", "950m", "50m"]
    assert after["routes"] == before["routes"]
    undos = [part.undo for part in receipt.parts if part.undo is not None]
    assert [part.failure for part in await router.restore(undos)] == [None]
    assert await spec(kube, SERVICE_PROFILES, PROFILE) == before


async def test_a_profile_that_linkerd_smi_keeps_is_written_after_its_split(
    api: KubeApiServer, kube: KubeClient, router: LinkerdRouter
) -> None:
    split = split_objects.split("v1alpha1", ("web-v1", "900m"), ("web-v2", "100m"))
    await post(api, split_objects.splits("v1alpha1"), split)
    await post(api, profiles(), profile(("web-v1", "900m"), ("web-v2", "100m")))
    owners = {one.object.kind: one.owner for one in (await router.locate(RELEASE)).routes}
    assert owners == {"ServiceProfile": "linkerd-smi, from TrafficSplit shop/web", "TrafficSplit": ""}
    receipt = await router.revert(RELEASE)
    written = {part.object.kind: (part.sent_at, part.acknowledged_at) for part in receipt.parts}
    assert written["TrafficSplit"][1] <= written["ServiceProfile"][0]
    assert [one["weight"] for one in (await spec(kube, SPLITS))["backends"]] == ["1", "0"]
    assert [one["weight"] for one in (await spec(kube, SERVICE_PROFILES, PROFILE))["dstOverrides"]] == ["1", "0"]


async def test_what_linkerd_smi_writes_after_the_split_is_no_conflict(
    api: KubeApiServer, kube: KubeClient, router: LinkerdRouter
) -> None:
    """In the form of its own update: all destinations anew, as soon as the split has changed."""
    split = split_objects.split("v1alpha1", ("web-v1", 90), ("web-v2", 10))
    await post(api, split_objects.splits("v1alpha1"), split)
    await post(api, profiles(), profile(("web-v1", 90), ("web-v2", 10)))
    located = (await router.locate(RELEASE)).located

    async def adaptor() -> None:
        while (weights := [one["weight"] for one in (await spec(kube, SPLITS))["backends"]]) == [90, 10]:
            await asyncio.sleep(0.005)
        destinations = profile(*zip(("web-v1", "web-v2"), weights, strict=True))["spec"]["dstOverrides"]
        write = [{"op": "add", "path": "/spec/dstOverrides", "value": destinations}]
        await kube.patch(SERVICE_PROFILES, name=PROFILE, namespace=NAMESPACE, operations=write)

    _, receipt = await asyncio.gather(adaptor(), router.revert(RELEASE, located=located))
    assert not receipt.failed
    assert await router.canary_gets_traffic(RELEASE, located=located) is None
    assert [one["weight"] for one in (await spec(kube, SERVICE_PROFILES, PROFILE))["dstOverrides"]] == [100, 0]


async def test_a_profile_before_the_routes_is_named(api: KubeApiServer, kube: KubeClient, router: LinkerdRouter) -> None:
    await post(api, gateway_objects.routes("httproutes"), gateway_objects.http_route())
    await post(api, profiles(), profile(skip=True))
    [place] = (await router.locate(RELEASE)).elsewhere
    assert place.startswith(f"shop/{PROFILE} (it stands before the HTTPRoutes of web.shop")


async def test_the_command_takes_back_what_several_meshes_would(
    api: KubeApiServer, kube: KubeClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await post(api, gateway_objects.routes("httproutes"), gateway_objects.http_route())
    await post(api, profiles(), profile(("web-v1", 9), ("web-v2", 1), skip=True))
    kubeconfig = api.write_kubeconfig(tmp_path / "command.json")
    arms = ("--service", "web", "--namespace", NAMESPACE, "--baseline", "service=web-v1", "--canary", "service=web-v2")
    assert await asyncio.to_thread(main, ["revert", "--kubeconfig", str(kubeconfig), *arms, "--yes"]) == 0
    told = capsys.readouterr().out
    assert "shop/web rule #2: weight 10 of web-v2.shop -> web-v1.shop" in told
    assert f"shop/{PROFILE}: weight 1 of web-v2.shop -> web-v1.shop" in told
