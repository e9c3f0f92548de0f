"""The router of TrafficSplits, as Open Service Mesh is steered by them: on an API server that serves one version or another."""

from typing import Any

import pytest

from daemon.errors import Blocked, Forbidden, InvalidInput, NotFound
from daemon.kube.client import KubeClient
from daemon.kube.resources import SERVICES, Json
from daemon.meshes.osm.mesh import OSM, OsmMesh
from daemon.meshes.registry import router_for
from daemon.meshes.smi.router import TrafficSplitRouter
from daemon.meshes.smi.trafficsplit import TRAFFIC_SPLITS
from daemon.model import ArmSpec, Release
from tests.kube.stub import status
from tests.meshes.cluster import Cluster
from tests.meshes.objects import behind, meta, pod, service

GROUP = "/apis/split.smi-spec.io"
RELEASE = Release(service="web", namespace="shop", baseline=ArmSpec(service="web-v1"), canary=ArmSpec(service="web-v2"))
WEB = TRAFFIC_SPLITS.path(namespace="shop", name="web")


def split(*backends: tuple[str, Any], name: str = "web", namespace: str = "shop", **spec: Any) -> Json:
    listed = [{"service": named, "weight": weight} for named, weight in backends]
    return {"metadata": meta(name, namespace), "spec": {"service": "web", "backends": listed, **spec}}


@pytest.fixture
def api(api: Cluster) -> Cluster:
    """Two versions behind Services of their own, and a split of 9 to 1 of the Service that clients call."""
    api.listed |= {"trafficsplits"}
    api.groups = {f"{GROUP}/v1alpha4": {"trafficsplits"}}
    for resource, item in (
        service("web", app="web"),
        service("web-v1", app="web", version="v1"),
        service("web-v2", app="web", version="v2"),
        pod("a", app="web", version="v1"),
        pod("b", app="web", version="v2"),
        behind("web", "a", "b"),
        behind("web-v1", "a"),
        behind("web-v2", "b"),
    ):
        api.put(resource, item)
    api.put(TRAFFIC_SPLITS, split(("web-v1", 9), ("web-v2", 1)))
    return api


@pytest.fixture
def router(kube: KubeClient) -> TrafficSplitRouter:
    found = router_for(OsmMesh(telemetry="t"), kube=kube)
    assert isinstance(found, TrafficSplitRouter)
    return found


def weights(api: Cluster, name: str = "web") -> dict[str, Any]:
    return {one["service"]: one["weight"] for one in api.get(TRAFFIC_SPLITS, "shop", name)["spec"]["backends"]}


async def test_the_split_is_located_and_taken_back_by_one_patch(api: Cluster, router: TrafficSplitRouter) -> None:
    placement = await router.locate(RELEASE)
    assert list(map(str, placement.routes)) == ["shop/web: 10 % of the traffic"]
    assert (placement.canary_percent, placement.baseline) == (10.0, "1 ready endpoints (the canary has 1)")
    assert (placement.elsewhere, placement.unread) == ((), ())
    api.requests.clear()
    receipt = await router.revert(RELEASE, located=placement.located)
    assert str(receipt) == "shop/web: weight 1 of web-v2.shop -> web-v1.shop"
    assert api.requests == [("GET", WEB), ("PATCH", WEB)]
    assert weights(api) == {"web-v1": 10, "web-v2": 0}
    assert await router.canary_gets_traffic(RELEASE, located=placement.located) is None


async def test_no_right_is_needed_for_what_a_split_does_not_have(api: Cluster, router: TrafficSplitRouter) -> None:
    await router.locate(RELEASE)
    asked = {path for _, path in api.requests}
    granted = {one for right in OSM.rights for one in right.resources}
    assert asked <= {f"{GROUP}/v1alpha4", *(one.path() for one in granted), *(one.path(namespace="shop") for one in granted)}


@pytest.mark.parametrize("version", ["v1alpha4", "v1alpha3", "v1alpha2", "v1alpha1"])
async def test_it_is_read_and_written_in_the_version_that_is_served(api: Cluster, router: TrafficSplitRouter, version: str) -> None:
    api.groups = {f"{GROUP}/{version}": {"trafficsplits"}}
    path = f"{GROUP}/{version}/namespaces/shop/trafficsplits/web"
    api.objects[path] = api.objects.pop(WEB)
    assert (await router.revert(RELEASE)).changed
    assert api.requests[-1] == ("PATCH", path)


async def test_weights_that_are_text_are_written_in_the_version_that_takes_them(api: Cluster, router: TrafficSplitRouter) -> None:
    document = api.put(TRAFFIC_SPLITS, split(("web-v1", "900m"), ("web-v2", "100m")))
    older = WEB.replace("v1alpha4", "v1alpha1")
    api.objects[older] = document
    assert (await router.revert(RELEASE)).changed
    assert api.requests[-1] == ("PATCH", older)
    assert [one["weight"] for one in api.objects[older]["spec"]["backends"]] == ["1", "0"]


async def test_several_splits_of_one_root_are_each_taken_back_and_one_that_fails_holds_up_no_other(
    api: Cluster, router: TrafficSplitRouter
) -> None:
    api.put(TRAFFIC_SPLITS, split(("web-v2", 1), name="second"))
    second = TRAFFIC_SPLITS.path(namespace="shop", name="second")
    api.faults[f"PATCH {second}"] = [status(403, "forbidden")]
    receipt = await router.revert(RELEASE)
    assert (receipt.changed, [str(one.object) for one in receipt.failed]) == (True, ["shop/second"])
    assert weights(api) == {"web-v1": 10, "web-v2": 0}
    assert (await router.revert(RELEASE)).changed
    assert weights(api, "second") == {"web-v1": 1}


async def test_the_root_as_a_backend_is_named_since_it_chooses_the_canarys_pods_too(
    api: Cluster, router: TrafficSplitRouter
) -> None:
    api.put(TRAFFIC_SPLITS, split(("web", 5), ("web-v1", 4), ("web-v2", 1)))
    placement = await router.locate(RELEASE)
    assert placement.elsewhere == ("shop/web (Service web.shop, which chooses pods of the canary's among others)",)
    assert (await router.revert(RELEASE, located=placement.located)).elsewhere == placement.elsewhere
    assert weights(api) == {"web": 5, "web-v1": 5, "web-v2": 0}


async def test_the_root_is_the_baseline_only_where_it_is_named_outright_and_it_is_said_whom_it_reaches(
    api: Cluster, router: TrafficSplitRouter
) -> None:
    api.put(TRAFFIC_SPLITS, split(("web", 9), ("web-v2", 1)))
    said = "Service web.shop chooses pods of the canary's too: 1 of its 2"
    with pytest.raises(InvalidInput, match=said):
        await router.locate(Release(service="web", namespace="shop", baseline=ArmSpec(), canary=RELEASE.canary))
    outright = Release(service="web", namespace="shop", baseline=ArmSpec(service="web"), canary=RELEASE.canary)
    assert said in (await router.locate(outright)).baseline
    assert (await router.revert(outright)).changed
    assert weights(api) == {"web": 10, "web-v2": 0}


@pytest.mark.parametrize("written", ["web-v2", "web-v2.shop.svc", "shop/web-v2|8080", "shop/web-v2"])
async def test_an_arm_is_named_as_a_service_or_as_envoys_cluster_of_it(
    api: Cluster, router: TrafficSplitRouter, written: str
) -> None:
    release = Release(
        service="web", namespace="shop", baseline=ArmSpec(service="shop/web-v1|8080"), canary=ArmSpec(service=written)
    )
    assert (await router.locate(release)).canary_percent == 10.0


async def test_a_canary_that_no_split_names_is_not_found_and_what_may_be_meant_is(api: Cluster, router: TrafficSplitRouter) -> None:
    api.put(*service("web-v3", app="web", version="v3"))
    release = Release(service="web", namespace="shop", baseline=ArmSpec(service="web-v1"), canary=ArmSpec(service="web-v3"))
    with pytest.raises(NotFound, match=r"no TrafficSplit in any namespace names the canary, web-v3\.shop.*web-v2\.shop"):
        await router.locate(release)


async def test_what_may_not_be_read_is_named(api: Cluster, router: TrafficSplitRouter) -> None:
    api.forbidden |= {TRAFFIC_SPLITS.path(), SERVICES.path(namespace="shop")}
    unread = (await router.locate(RELEASE)).unread
    assert unread[0] == "TrafficSplits of other namespaces than shop, which may not be listed"
    assert unread[1].startswith("the Services of namespace shop: ")
    api.forbidden.add(TRAFFIC_SPLITS.path(namespace="shop"))
    with pytest.raises(Forbidden):
        await router.locate(RELEASE)


async def test_a_baseline_without_ready_pods_blocks(api: Cluster, router: TrafficSplitRouter) -> None:
    api.put(*behind("web-v1", unready=("a",)))
    with pytest.raises(Blocked, match="none of the 1 behind it is ready"):
        await router.check_baseline(RELEASE)
