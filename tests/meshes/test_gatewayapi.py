"""The Gateway API's router: arms that are Services, their other names, and what may still reach the canary."""

from typing import Any

import pytest

from daemon.errors import Blocked, Forbidden, InvalidInput, NotFound, VerdictdError
from daemon.kube.client import KubeClient
from daemon.kube.resources import ENDPOINT_SLICES, SERVICES, Json
from daemon.meshes.gatewayapi.arms import completed, named
from daemon.meshes.gatewayapi.mesh import GROUP, GRPC_ROUTES, HTTP_ROUTES, REFERENCE_GRANTS, TCP_ROUTES
from daemon.meshes.gatewayapi.router import GatewayApiRouter
from daemon.meshes.gatewayapi.services import Services
from daemon.model import ArmSpec, Release
from tests.kube.stub import status
from tests.meshes.cluster import Cluster
from tests.meshes.objects import Item, behind, meta, pod, service

RELEASE = Release(service="web", namespace="shop", baseline=ArmSpec(service="web-v1"), canary=ArmSpec(service="web-v2"))
ON_SERVICE: Json = {"group": "", "kind": "Service", "name": "web"}


def to(name: str, weight: int | None = None, **more: Any) -> Json:
    return {"name": name, "port": 80, **({} if weight is None else {"weight": weight}), **more}


def route(*rules: list[Json], name: str = "web", namespace: str = "shop", parents: Any = (ON_SERVICE,)) -> Json:
    listed = [{"backendRefs": backends} for backends in rules]
    return {"metadata": meta(name, namespace), "spec": {"parentRefs": list(parents), "rules": listed}}


def listening(named: Item, *ports: int) -> Item:
    resource, item = named
    return resource, {**item, "spec": {**item["spec"], "ports": [{"port": port} for port in ports]}}


@pytest.fixture
def api(api: Cluster) -> Cluster:
    """Two versions behind Services of their own, and a split of 9 to 1 on the Service that clients call."""
    api.listed |= {"httproutes", "grpcroutes", "referencegrants"}
    api.groups = {
        f"/apis/{GROUP}/v1": {"httproutes", "grpcroutes"},
        f"/apis/{GROUP}/v1beta1": {"httproutes", "referencegrants"},
    }
    for resource, item in (
        listening(service("web", app="web"), 80),
        listening(service("web-v1", app="web", version="v1"), 80),
        listening(service("web-v2", app="web", version="v2"), 80),
        pod("a", app="web", version="v1"),
        pod("b", app="web", version="v2"),
        behind("web", "a", "b"),
        behind("web-v1", "a"),
        behind("web-v2", "b"),
    ):
        api.put(resource, item)
    api.put(HTTP_ROUTES, route([to("web-v1", 9), to("web-v2", 1)]))
    return api


@pytest.fixture
def router(kube: KubeClient) -> GatewayApiRouter:
    return GatewayApiRouter(kube)


def names(api: Cluster, name: str = "web", namespace: str = "shop") -> list[list[str]]:
    rules = api.get(HTTP_ROUTES, namespace, name)["spec"]["rules"]
    return [[f"{one['name']} {one.get('weight', '')}".strip() for one in rule["backendRefs"]] for rule in rules]


async def test_routes_of_every_namespace_that_name_the_canary_are_located(api: Cluster, router: GatewayApiRouter) -> None:
    api.put(HTTP_ROUTES, route([to("web-v2", namespace="shop")], name="consumer", namespace="clients"))
    api.put(HTTP_ROUTES, route([to("web-v2")], name="stranger", namespace="clients"))
    api.put(GRPC_ROUTES, route([to("web-v2")], name="calls"))
    placement = await router.locate(RELEASE)
    assert list(map(str, placement.routes)) == [
        "shop/web rule #0: 10 % of the traffic",
        "clients/consumer rule #0: 100 % of the traffic",
        "shop/calls rule #0: 100 % of the traffic",
    ]
    assert (placement.canary_percent, placement.baseline) == (10.0, "1 ready endpoints (the canary has 1)")


async def test_the_first_patch_reads_the_object_and_nothing_else(api: Cluster, router: GatewayApiRouter) -> None:
    located = (await router.locate(RELEASE)).located
    api.requests.clear()
    receipt = await router.revert(RELEASE, located=located)
    assert str(receipt) == "shop/web rule #0: weight 1 of web-v2.shop -> web-v1.shop"
    path = HTTP_ROUTES.path(namespace="shop", name="web")
    assert api.requests == [("GET", path), ("PATCH", path)]
    assert names(api) == [["web-v1 10", "web-v2 0"]]
    assert await router.canary_gets_traffic(RELEASE, located=located) is None


async def test_another_process_reverts_by_what_was_located(api: Cluster, kube: KubeClient, router: GatewayApiRouter) -> None:
    api.put(*listening(service("preview", app="web", version="v2"), 80))
    api.put(HTTP_ROUTES, route([to("preview")], name="preview"))
    located = (await router.locate(RELEASE)).located
    api.forbidden.add(SERVICES.path(namespace="shop"))
    after = GatewayApiRouter(kube)
    assert (await after.revert(RELEASE, located=located)).changed
    assert names(api, "preview") == [["web-v1"]]
    assert await after.canary_gets_traffic(RELEASE, located=located) is None


async def test_a_service_that_chooses_the_canarys_pods_by_the_same_labels_is_the_canary(
    api: Cluster, router: GatewayApiRouter
) -> None:
    api.put(*service("preview", app="web", version="v2"))
    api.put(HTTP_ROUTES, route([to("preview")], [to("web-v1", 4), to("preview", 1)], name="other"))
    assert [str(one) for one in (await router.locate(RELEASE)).routes][1:] == [
        "shop/other rule #0: 100 % of the traffic",
        "shop/other rule #1: 20 % of the traffic",
    ]
    assert (await router.revert(RELEASE)).changed
    assert names(api, "other") == [["web-v1"], ["web-v1 5", "preview 0"]]


async def test_what_chooses_the_canarys_pods_among_others_and_what_is_no_service_are_named_and_not_touched(
    api: Cluster, kube: KubeClient, router: GatewayApiRouter
) -> None:
    imported = to("web", 1, group="multicluster.x-k8s.io", kind="ServiceImport")
    elsewhere = to("web-v2", group="multicluster.x-k8s.io", kind="ServiceImport", namespace="shop")
    api.put(HTTP_ROUTES, route([to("web")], [imported, to("web-v1")], [to("web", 0)], name="whole"))
    api.put(HTTP_ROUTES, route([elsewhere], name="far", namespace="edge", parents=({"name": "gateway"},)))
    api.put(HTTP_ROUTES, route([to("pool", kind="InferencePool")], name="foreign", parents=({"name": "gateway"},)))
    before = names(api, "whole")
    placement = await router.locate(RELEASE)
    places = [
        "edge/far rule #0 (ServiceImport web-v2.shop)",
        "shop/whole rule #0 (Service web.shop, which chooses pods of the canary's among others)",
        "shop/whole rule #1 (ServiceImport web.shop)",
    ]
    assert (sorted(placement.elsewhere), placement.unread) == (places, ())
    receipt = await router.revert(RELEASE)
    assert receipt.changed
    assert sorted(receipt.elsewhere) == places
    again = await GatewayApiRouter(kube).revert(RELEASE, located=placement.located)
    assert sorted(again.elsewhere) == places, "also where another process has located it"
    assert names(api, "whole") == before


async def test_the_released_service_itself_may_be_the_baseline(api: Cluster, router: GatewayApiRouter) -> None:
    api.put(*listening(service("web", app="web", version="v1"), 80))
    api.put(*behind("web", "a"))
    api.put(HTTP_ROUTES, route([to("web", 9), to("web-v2", 1)], [to("web-v2")]))
    release = Release(service="web", namespace="shop", baseline=ArmSpec(), canary=ArmSpec(service="web-v2"))
    assert (await router.locate(release)).canary_percent == 10.0
    assert (await router.revert(release)).changed
    assert names(api) == [["web 10", "web-v2 0"], ["web"]]


async def test_a_baseline_that_chooses_the_canarys_pods_too_is_taken_only_where_it_is_named_outright(
    api: Cluster, router: GatewayApiRouter
) -> None:
    said = "Service web.shop chooses pods of the canary's too: 1 of its 2"
    implied = Release(service="web", namespace="shop", baseline=ArmSpec(), canary=ArmSpec(service="web-v2"))
    with pytest.raises(InvalidInput, match=said) as caught:
        await router.locate(implied)
    assert caught.value.path == "$.baseline.service"
    outright = Release(service="web", namespace="shop", baseline=ArmSpec(service="web"), canary=ArmSpec(service="web-v2"))
    assert said in (await router.locate(outright)).baseline
    assert said in await router.check_baseline(outright)


async def test_two_services_of_the_same_pods_are_no_arms(api: Cluster, router: GatewayApiRouter) -> None:
    api.put(*service("web-v1", app="web", version="v2"))
    with pytest.raises(InvalidInput, match=r"are the same pods \(app=web, version=v2\)"):
        await router.locate(RELEASE)
    with pytest.raises(Blocked, match="there is nothing to go back to"):
        await router.check_baseline(RELEASE)


async def test_a_baseline_that_came_to_mean_the_canarys_pods_blocks(api: Cluster, router: GatewayApiRouter) -> None:
    located = (await router.locate(RELEASE)).located
    api.put(*service("web-v1", app="web", version="v2"))
    api.put(*service("web-v2", app="web", version="v1"))
    with pytest.raises(Blocked, match="come to mean the canary's pods"):
        await router.check_baseline(RELEASE, located=located)


async def test_a_baseline_that_is_not_there_blocks_with_what_there_is(api: Cluster, router: GatewayApiRouter) -> None:
    slip = Release(service="web", namespace="shop", baseline=ArmSpec(service="web-v0"), canary=ArmSpec(service="web-v2"))
    said = r"there is no Service web-v0 in namespace shop \(there are web, web-v1, web-v2; did you mean web-v.\?\)"
    with pytest.raises(NotFound, match=said):
        await router.locate(slip)
    with pytest.raises(Blocked, match=said):
        await router.check_baseline(slip)


async def test_a_baseline_without_ready_pods_blocks(api: Cluster, router: GatewayApiRouter) -> None:
    api.put(*behind("web-v1", unready=("a",)))
    with pytest.raises(Blocked, match="none of the 1 behind it is ready"):
        await router.check_baseline(RELEASE)


async def test_what_cannot_be_read_of_the_arms_is_said_and_holds_nothing_up(api: Cluster, router: GatewayApiRouter) -> None:
    api.forbidden.add(ENDPOINT_SLICES.path(namespace="shop"))
    assert "its EndpointSlices could not be read" in await router.check_baseline(RELEASE)
    api.forbidden = {SERVICES.path(namespace="shop"), REFERENCE_GRANTS.path(namespace="shop").replace("/v1/", "/v1beta1/")}
    api.put(HTTP_ROUTES, route([to("web-v2")]))
    placement = await router.locate(RELEASE)
    assert placement.baseline == "1 ready endpoints (the canary has 1)"
    [unread] = placement.unread
    assert unread.startswith("the Services of namespace shop: GET ")
    assert placement.pods is not None
    assert "its Services could not be read" in placement.pods.canary.unknown
    assert (await router.revert(RELEASE)).changed
    assert names(api) == [["web-v1"]]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (service("web-v1"), "is a Service that selects no pods"),
        (
            (SERVICES, {"metadata": meta("web-v1", "shop"), "spec": {"type": "ExternalName", "externalName": "x"}}),
            "selects no pods",
        ),
    ],
)
async def test_a_service_without_pods_of_its_own_is_not_known_to_be_empty(
    api: Cluster, router: GatewayApiRouter, made: Item, said: str
) -> None:
    api.put(*made)
    api.put(*behind("web-v1"))
    assert said in await router.check_baseline(RELEASE)


async def test_endpoints_that_are_no_pods_are_counted_but_are_nobodys_pods(api: Cluster, router: GatewayApiRouter) -> None:
    _, slices = behind("web-v2", "b")
    slices["endpoints"][0].pop("targetRef")
    api.put(ENDPOINT_SLICES, slices)
    placement = await router.locate(RELEASE)
    assert placement.baseline == "1 ready endpoints (the canary has 1)"
    assert placement.pods is not None
    assert placement.pods.canary.unknown == "its endpoints are no pods"


@pytest.mark.parametrize(
    ("canary", "path", "said"),
    [
        (ArmSpec(subset="v2"), "$.canary.service", "is not given"),
        (ArmSpec(service="web-v1"), "$.canary.service", "baseline and canary are both web-v1.shop"),
        (ArmSpec(service="web-v2.shop"), "$.canary.service", "'web-v2.shop' is not the name of a Service"),
    ],
)
async def test_arms_that_are_no_two_services_are_refused_with_the_fix(
    api: Cluster, router: GatewayApiRouter, canary: ArmSpec, path: str, said: str
) -> None:
    release = Release(service="web", namespace="shop", baseline=ArmSpec(service="web-v1"), canary=canary)
    with pytest.raises(InvalidInput, match=said) as caught:
        await router.locate(release)
    assert (caught.value.path, bool(caught.value.fix)) == (path, True)


@pytest.mark.parametrize("written", ["web-v2.shop.svc", "WEB-V2.shop.svc.cluster.local", "web-v2.shop.svc.corp.example."])
async def test_a_service_may_be_named_in_full(api: Cluster, router: GatewayApiRouter, written: str) -> None:
    release = Release(service="web", namespace="shop", baseline=ArmSpec(service="web-v1"), canary=ArmSpec(service=written))
    assert (await router.locate(release)).canary_percent == 10.0


async def test_arms_of_two_namespaces_are_read_in_both(api: Cluster, router: GatewayApiRouter) -> None:
    api.put(*listening(service("web-v1", namespace="stables", app="web"), 8080))
    api.put(*behind("web-v1", "c", namespace="stables"))
    api.put(*pod("c", namespace="stables", app="web"))
    api.put(HTTP_ROUTES, route([to("web-v2")], parents=({"name": "gateway"},)))
    release = Release(service="web", namespace="shop", baseline=ArmSpec(service="web-v1.stables.svc"), canary=RELEASE.canary)
    located = (await router.locate(release)).located
    with pytest.raises(VerdictdError, match="no ReferenceGrant in stables lets a HTTPRoute of shop name"):
        await router.revert(release, located=located)
    still = await router.canary_gets_traffic(release, located=located)
    assert still is not None
    assert "it stays: no ReferenceGrant" in still
    grant = {
        "metadata": meta("shop", "stables"),
        "spec": {"from": [{"group": GROUP, "kind": "HTTPRoute", "namespace": "shop"}], "to": [{"group": "", "kind": "Service"}]},
    }
    resource = REFERENCE_GRANTS
    api.objects[resource.path(namespace="stables", name="shop").replace("/v1/", "/v1beta1/")] = grant
    await router.check_baseline(release, located=located)
    assert (await router.revert(release, located=located)).changed
    [rule] = api.get(HTTP_ROUTES, "shop", "web")["spec"]["rules"]
    assert rule["backendRefs"] == [{"name": "web-v1", "port": 8080, "namespace": "stables"}]


@pytest.mark.parametrize(
    ("to_what", "allowed"),
    [
        ({"group": "", "kind": "Service"}, True),
        ({"group": "", "kind": "Service", "name": "web-v1"}, True),
        ({"group": "", "kind": "Service", "name": "web-v2"}, False),
        ({"group": "", "kind": "Secret"}, False),
        ({"group": "multicluster.x-k8s.io", "kind": "Service"}, False),
    ],
)
def test_a_grant_counts_where_it_is_for_services_and_for_the_baseline_among_them(to_what: Json, allowed: bool) -> None:
    grant = {"spec": {"from": [{"group": GROUP, "kind": "HTTPRoute", "namespace": "edge"}], "to": [to_what]}}
    arms = completed(named(RELEASE), services=Services({}), grants=[grant])
    assert arms.may_name_baseline(kind="HTTPRoute", namespace="edge") is allowed


async def test_services_that_cannot_be_read_any_more_take_nothing_from_what_was_known(
    api: Cluster, router: GatewayApiRouter
) -> None:
    api.put(*service("preview", app="web", version="v2"))
    api.put(HTTP_ROUTES, route([to("preview")], name="preview"))
    located = (await router.locate(RELEASE)).located
    api.forbidden.add(SERVICES.path(namespace="shop"))
    await router.check_baseline(RELEASE, located=located)
    assert (await router.revert(RELEASE, located=located)).changed
    assert names(api, "preview") == [["web-v1"]]


async def test_a_version_that_goes_is_left_for_the_one_that_is_there(api: Cluster, kube: KubeClient) -> None:
    await kube.list(HTTP_ROUTES)
    newest, earlier = f"/apis/{GROUP}/v1", f"/apis/{GROUP}/v1beta1"
    del api.groups[newest]
    api.faults["GET"] = [status(404, "not found")]
    api.requests.clear()
    await kube.list(HTTP_ROUTES)
    assert [path for _, path in api.requests] == [f"{newest}/httproutes", newest, earlier, f"{earlier}/httproutes"]


async def test_kinds_that_a_cluster_does_not_serve_have_no_routes_and_are_found_when_they_come(
    api: Cluster, router: GatewayApiRouter
) -> None:
    await router.locate(RELEASE)
    api.listed.add("tcproutes")
    api.groups[f"/apis/{GROUP}/v1"].add("tcproutes")
    api.put(TCP_ROUTES, route([to("web-v2")], name="stream"))
    assert "shop/stream rule #0: 100 % of the traffic" in [str(one) for one in (await router.locate(RELEASE)).routes]


async def test_a_cluster_without_the_gateway_api_is_said_to_be_one(api: Cluster, router: GatewayApiRouter) -> None:
    api.listed -= {"httproutes", "grpcroutes"}
    api.groups.clear()
    with pytest.raises(NotFound, match="httproutes"):
        await router.locate(RELEASE)


async def test_a_canary_that_no_route_names_is_told_with_the_nearest_name(api: Cluster, router: GatewayApiRouter) -> None:
    slip = Release(service="web", namespace="shop", baseline=ArmSpec(service="web-v1"), canary=ArmSpec(service="web-v22"))
    with pytest.raises(NotFound) as caught:
        await router.locate(slip)
    assert str(caught.value) == (
        "no HTTPRoute or GRPCRoute or TLSRoute or TCPRoute in any namespace names the canary, web-v22.shop, "
        "as destination or mirror; the nearest that is named is web-v2.shop"
    )
    api.put(HTTP_ROUTES, route([to("entirely-different")]))
    with pytest.raises(NotFound, match=r"as destination or mirror$"):
        await router.locate(slip)


async def test_routes_may_be_read_in_the_releases_namespace_only(api: Cluster, router: GatewayApiRouter) -> None:
    api.forbidden |= {HTTP_ROUTES.path(), GRPC_ROUTES.path()}
    api.put(HTTP_ROUTES, route([to("web-v2", namespace="shop")], name="consumer", namespace="clients"))
    assert [str(one.object) for one in (await router.locate(RELEASE)).routes] == ["shop/web"]
    api.forbidden.add(HTTP_ROUTES.path(namespace="shop"))
    with pytest.raises(Forbidden):
        await router.locate(RELEASE)


async def test_the_weight_follows_the_routes_that_were_located(api: Cluster, router: GatewayApiRouter) -> None:
    located = (await router.locate(RELEASE)).located
    assert await router.weight(RELEASE, located=located) == 10.0
    api.put(HTTP_ROUTES, route([to("web-v1"), to("web-v2")]))
    assert await router.weight(RELEASE, located=located) == 50.0
