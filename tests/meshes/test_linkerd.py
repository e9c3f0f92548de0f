"""Linkerd's router: routes of both groups, profiles, and splits that are copied into them."""

from typing import Any

import pytest

from daemon.kube.client import KubeClient
from daemon.kube.resources import Json
from daemon.meshes.gatewayapi.mesh import GROUP
from daemon.meshes.linkerd.kinds import HTTP_LIKE, POLICY_ROUTES, SPLITS
from daemon.meshes.linkerd.mesh import LinkerdMesh
from daemon.meshes.linkerd.router import LinkerdRouter
from daemon.meshes.linkerd.serviceprofile import SERVICE_PROFILES
from daemon.meshes.registry import router_for
from daemon.model import ArmSpec, Release
from tests.meshes.cluster import Cluster
from tests.meshes.objects import behind, meta, pod, service

HTTP_ROUTES = HTTP_LIKE[0]
RELEASE = Release(service="web", namespace="shop", baseline=ArmSpec(service="web-v1"), canary=ArmSpec(service="web-v2"))
ON_SERVICE: Json = {"group": "core", "kind": "Service", "name": "web", "port": 80}
ON_SERVER: Json = {"group": "policy.linkerd.io", "kind": "Server", "name": "web-http"}
ON_GATEWAY: Json = {"name": "edge"}
SUFFIX = "shop.svc.cluster.local"
AMONG_OTHERS = "which chooses pods of the canary's among others"


def route(*backends: tuple[str, int], name: str = "web", parents: Any = (ON_SERVICE,)) -> Json:
    listed = [{"name": named, "port": 80, "weight": weight} for named, weight in backends]
    return {"metadata": meta(name, "shop"), "spec": {"parentRefs": list(parents), "rules": [{"backendRefs": listed}]}}


def profile(*destinations: tuple[str, Any], skip: bool = False) -> Json:
    listed = [{"authority": f"{named}.{SUFFIX}", "weight": weight} for named, weight in destinations]
    metadata = {**meta(f"web.{SUFFIX}", "shop"), "annotations": {"smi.linkerd.io/skip": "true"} if skip else {}}
    return {"metadata": metadata, "spec": {"routes": [], **({"dstOverrides": listed} if listed else {})}}


def split(*backends: tuple[str, Any], root: str = "web") -> Json:
    listed = [{"service": named, "weight": weight} for named, weight in backends]
    return {"metadata": meta("web", "shop"), "spec": {"service": root, "backends": listed}}


@pytest.fixture
def api(api: Cluster) -> Cluster:
    """Two versions behind Services of their own, and no route yet."""
    api.listed |= {"httproutes", "serviceprofiles", "trafficsplits", "referencegrants"}
    api.groups = {
        f"/apis/{GROUP}/v1": {"httproutes"},
        f"/apis/{GROUP}/v1beta1": {"referencegrants"},
        "/apis/policy.linkerd.io/v1beta3": {"httproutes"},
        "/apis/linkerd.io/v1alpha2": {"serviceprofiles"},
        "/apis/split.smi-spec.io/v1alpha4": {"trafficsplits"},
    }
    for resource, item in (
        service("web", app="web"),
        service("web-v1", app="web", version="v1"),
        service("web-v2", app="web", version="v2"),
        pod("a", app="web", version="v1"),
        pod("b", app="web", version="v2"),
        behind("web-v1", "a"),
        behind("web-v2", "b"),
    ):
        api.put(resource, item)
    return api


@pytest.fixture
def router(kube: KubeClient) -> LinkerdRouter:
    found = router_for(LinkerdMesh(telemetry="t"), kube=kube)
    assert isinstance(found, LinkerdRouter)
    return found


def weights(api: Cluster, resource: Any, name: str = "web") -> list[Any]:
    spec = api.get(resource, "shop", name)["spec"]
    return [one["weight"] for one in spec.get("dstOverrides") or spec.get("backends") or spec["rules"][0]["backendRefs"]]


async def test_routes_of_both_groups_a_profile_and_a_split_are_taken_back_at_once(api: Cluster, router: LinkerdRouter) -> None:
    api.put(HTTP_ROUTES, route(("web-v1", 9), ("web-v2", 1)))
    api.put(POLICY_ROUTES, route(("web-v1", 9), ("web-v2", 1)))
    api.put(SERVICE_PROFILES, profile(("web-v1", "900m"), ("web-v2", "100m"), skip=True))
    api.put(SPLITS, split(("web-v1", 9), ("web-v2", 1), root="books"))
    placement = await router.locate(RELEASE)
    assert [(one.object.kind, one.percent, one.owner) for one in placement.routes] == [
        ("HTTPRoute", 10.0, ""),
        ("HTTPRoute", 10.0, ""),
        ("ServiceProfile", 10.0, ""),
        ("TrafficSplit", 10.0, ""),
    ]
    receipt = await router.revert(RELEASE, located=placement.located)
    assert len(receipt.parts) == 4
    assert not receipt.failed
    assert await router.canary_gets_traffic(RELEASE, located=placement.located) is None
    assert weights(api, HTTP_ROUTES) == weights(api, POLICY_ROUTES) == weights(api, SPLITS) == [10, 0]
    assert weights(api, SERVICE_PROFILES, f"web.{SUFFIX}") == ["1", "0"]


async def test_a_route_of_a_server_is_authorization_and_no_traffic(api: Cluster, router: LinkerdRouter) -> None:
    api.put(HTTP_ROUTES, route(("web-v1", 9), ("web-v2", 1)))
    api.put(POLICY_ROUTES, route(("web-v2", 1), ("web", 1), name="inbound", parents=(ON_SERVER,)))
    api.put(HTTP_ROUTES, route(("web-v2", 1), name="inbound", parents=(ON_SERVER,)))
    before = api.get(POLICY_ROUTES, "shop", "inbound")
    placement = await router.locate(RELEASE)
    assert ([str(one.object) for one in placement.routes], placement.elsewhere) == (["shop/web"], ())
    assert (await router.revert(RELEASE)).changed
    assert api.get(POLICY_ROUTES, "shop", "inbound") == before


@pytest.mark.parametrize("parents", [(), (ON_GATEWAY,), (ON_SERVER, ON_SERVICE)])
async def test_a_route_of_anything_else_is_traffic(api: Cluster, router: LinkerdRouter, parents: tuple[Json, ...]) -> None:
    api.put(POLICY_ROUTES, route(("web-v2", 1), parents=parents))
    assert (await router.locate(RELEASE)).canary_percent == 100.0


async def test_a_profile_that_is_copied_from_a_split_is_said_to_be_and_written_after_it(
    api: Cluster, router: LinkerdRouter
) -> None:
    api.put(SERVICE_PROFILES, profile(("web-v1", 9), ("web-v2", 1)))
    api.put(SPLITS, split(("web-v1", 9), ("web-v2", 1)))
    placement = await router.locate(RELEASE)
    assert [str(one) for one in placement.routes] == [
        f"shop/web.{SUFFIX}: 10 % of the traffic (owned by linkerd-smi, from TrafficSplit shop/web)",
        "shop/web: 10 % of the traffic",
    ]
    api.requests.clear()
    await router.revert(RELEASE, located=placement.located)
    patched = [path for method, path in api.requests if method == "PATCH"]
    assert patched == [
        SPLITS.path(namespace="shop", name="web"),
        SERVICE_PROFILES.path(namespace="shop", name=f"web.{SUFFIX}"),
    ]


async def test_a_profile_that_linkerd_smi_leaves_alone_is_no_copy_and_who_else_writes_one_is_said_too(
    api: Cluster, router: LinkerdRouter
) -> None:
    api.put(SPLITS, split(("web-v1", 9), ("web-v2", 1)))
    by_hand = api.put(SERVICE_PROFILES, profile(("web-v1", 9), ("web-v2", 1), skip=True))
    assert [one.owner for one in (await router.locate(RELEASE)).routes] == ["", ""]
    owner = {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": "web", "controller": True}
    metadata = {**by_hand["metadata"], "annotations": {}, "ownerReferences": [owner]}
    api.put(SERVICE_PROFILES, {**by_hand, "metadata": metadata})
    copied, _ = (await router.locate(RELEASE)).routes
    assert copied.owner == "Canary web, linkerd-smi, from TrafficSplit shop/web"


async def test_a_copy_that_follows_its_split_by_itself_is_left_nothing_to_write_in(api: Cluster, router: LinkerdRouter) -> None:
    api.put(SERVICE_PROFILES, profile(("web-v1", 10), ("web-v2", 0)))
    api.put(SPLITS, split(("web-v1", 9), ("web-v2", 1)))
    located = (await router.locate(RELEASE)).located
    receipt = await router.revert(RELEASE, located=located)
    assert [one.object.kind for one in receipt.parts] == ["TrafficSplit"]


async def test_a_profile_that_stands_before_the_routes_is_named_where_it_sends_to_every_version(
    api: Cluster, router: LinkerdRouter
) -> None:
    api.put(HTTP_ROUTES, route(("web-v1", 9), ("web-v2", 1)))
    api.put(SERVICE_PROFILES, profile())
    said = f"it stands before the HTTPRoutes of web.shop: what they split goes to Service web.shop, {AMONG_OTHERS}"
    assert (await router.locate(RELEASE)).elsewhere == (f"shop/web.{SUFFIX} ({said})",)
    api.put(SERVICE_PROFILES, profile(("web-v1", 1)))
    assert (await router.locate(RELEASE)).elsewhere == ()
    api.put(SERVICE_PROFILES, profile(("web-v1", 1), ("web", 1)))
    assert (await router.locate(RELEASE)).elsewhere == (f"shop/web.{SUFFIX} (Service web.shop, {AMONG_OTHERS})",)


async def test_a_cluster_with_profiles_alone_is_enough(api: Cluster, router: LinkerdRouter) -> None:
    api.listed -= {"httproutes", "trafficsplits"}
    api.groups = {"/apis/linkerd.io/v1alpha2": {"serviceprofiles"}}
    api.put(SERVICE_PROFILES, profile(("web-v1", 9), ("web-v2", 1), skip=True))
    assert (await router.locate(RELEASE)).canary_percent == 10.0


async def test_what_is_written_of_policy_is_in_the_version_that_is_served(api: Cluster, router: LinkerdRouter) -> None:
    api.groups["/apis/policy.linkerd.io/v1beta2"] = api.groups.pop("/apis/policy.linkerd.io/v1beta3")
    path = POLICY_ROUTES.path(namespace="shop", name="web")
    item = api.put(POLICY_ROUTES, route(("web-v1", 9), ("web-v2", 1)))
    del api.objects[path]
    api.objects[path.replace("v1beta3", "v1beta2")] = item
    assert (await router.revert(RELEASE)).changed
    assert api.requests[-1] == ("PATCH", path.replace("v1beta3", "v1beta2"))
