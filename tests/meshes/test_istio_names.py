"""Shapes of routes that people really have, each with its right outcome: arms are pods, and a pod may have many names."""

from dataclasses import dataclass
from typing import Any

import pytest

from daemon.engine.reverting import RevertOutcome
from daemon.errors import InvalidInput, NotFound
from daemon.kube.client import KubeClient
from daemon.kube.resources import PODS, SERVICES
from daemon.meshes.gatewayapi.mesh import HTTP_ROUTES
from daemon.meshes.istio.mesh import DESTINATION_RULES, VIRTUAL_SERVICES
from daemon.meshes.istio.router import IstioRouter
from daemon.model import Action, ArmSpec, Release
from daemon.placement import Placement
from tests.hand.procedures import reverting
from tests.meshes.cluster import Cluster
from tests.meshes.objects import Item, behind, meta, pod, rule, service, to, two_versions, versions, virtual_service

Json = dict[str, Any]

SUBSETS = Release(service="web", namespace="shop", baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))
HOSTS = Release(service="web", namespace="shop", baseline=ArmSpec(service="web-stable"), canary=ArmSpec(service="web-canary"))
GATEWAY = "/apis/gateway.networking.k8s.io/v1"
SPLIT = [to("web", "v1", 90), to("web", "v2", 10)]
TESTERS = {"match": [{"headers": {"x-t": {"exact": "1"}}}], "route": [to("web", "v2")]}
HOST_SPLIT = [to("web-stable", weight=90), to("web-canary", weight=10)]


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of one release: where it was found, what the revert said, and the objects afterwards."""

    placement: Placement
    outcome: RevertOutcome
    api: Cluster

    def http(self, name: str = "web", namespace: str = "shop") -> list[Json]:
        found: list[Json] = self.api.get(VIRTUAL_SERVICES, namespace, name)["spec"]["http"]
        return found


async def taken_back(api: Cluster, kube: KubeClient, release: Release, *items: Item) -> Taken:
    """Located and reverted; a restart comes in between, so that what a process remembers is not what counts."""
    for resource, item in items:
        api.put(resource, item)
    placement = await IstioRouter(kube).locate(release)
    outcome = await reverting(confirm_seconds=0.1, revert_attempts=1).run(IstioRouter(kube), release, located=placement.located)
    return Taken(placement=placement, outcome=outcome, api=api)


def host_arms(*, ports: tuple[int, int] = (80, 80)) -> list[Item]:
    """Two Services of their own with a pod each."""
    services = []
    for name, version, port in (("web-stable", "v1", ports[0]), ("web-canary", "v2", ports[1])):
        resource, item = service(name, app="web", version=version)
        services.append((resource, {**item, "spec": {**item["spec"], "ports": [{"port": port}]}}))
    return [*services, pod("a", app="web", version="v1"), pod("b", app="web", version="v2"), *slices("web-stable", "web-canary")]


def slices(*services: str) -> list[Item]:
    return [behind(name, one) for name, one in zip(services, "ab", strict=True)]


def alias(name: str, external: str) -> Item:
    """A Service that is another name of a host."""
    return SERVICES, {"metadata": meta(name, "shop"), "spec": {"type": "ExternalName", "externalName": external}}


def http_route(*backends: Json, name: str = "web", namespace: str = "shop") -> Item:
    return HTTP_ROUTES, {"metadata": meta(name, namespace), "spec": {"rules": [{"backendRefs": list(backends)}]}}


async def test_a_default_route_to_all_pods_goes_to_the_baseline_where_they_are_the_arms(api: Cluster, kube: KubeClient) -> None:
    """Testers are pinned to the new version, and everybody else is sent to the host: a part of them to the new version too."""
    http = [TESTERS, {"route": [to("web")]}]
    found = await taken_back(api, kube, SUBSETS, virtual_service(http=http), versions("v1", "v2"), *two_versions())
    assert list(map(str, found.placement.routes)) == [
        "shop/web http #0: 100 % of the traffic",
        "shop/web http #1: 50 % of the traffic",
    ]
    assert (found.outcome.action, found.outcome.remarks) == (Action.REVERT, ())
    assert found.http() == [{**TESTERS, "route": [to("web", "v1")]}, {"route": [to("web", "v1")]}]


async def test_a_default_route_to_all_pods_is_told_where_some_of_them_are_nobodys(api: Cluster, kube: KubeClient) -> None:
    http = [TESTERS, {"route": [to("web")]}]
    others = [pod("c", app="web", version="v0"), behind("web", "a", "b", "c")]
    found = await taken_back(api, kube, SUBSETS, virtual_service(http=http), versions("v1", "v2"), *two_versions(), *others)
    told = "shop/web http #1 (web.shop.svc, which has pods of the canary's among others)"
    assert found.placement.elsewhere == (told,)
    assert found.outcome.action is Action.REVERT
    assert found.outcome.remarks == (f"may still reach the canary, and is not touched: {told}",)
    assert found.outcome.reason.endswith(f"no route in force sends to the canary; {found.outcome.remarks[0]}")
    assert found.outcome.steps[-1].detail == found.outcome.remarks[0]
    assert found.http()[1] == {"route": [to("web")]}


async def test_all_pods_that_are_no_longer_the_arms_alone_are_left_and_told(api: Cluster, kube: KubeClient) -> None:
    """A third version came between the look and the revert."""
    router = IstioRouter(kube)
    for resource, item in (virtual_service(http=[TESTERS, {"route": [to("web")]}]), versions("v1", "v2"), *two_versions()):
        api.put(resource, item)
    await router.locate(SUBSETS)
    api.put(*behind("web", "a", "b", "c"))
    assert "web.shop.svc has pods of others by now: it may still reach the canary" in await router.check_baseline(SUBSETS)
    await router.revert(SUBSETS)
    assert api.get(VIRTUAL_SERVICES, "shop", "web")["spec"]["http"][1] == {"route": [to("web")]}


@pytest.mark.parametrize("labels", [{"version": "v2"}, {"version": "v2", "track": "mobile"}, {"app": "web", "version": "v2"}])
async def test_another_subset_of_the_canarys_pods_is_the_canary(api: Cluster, kube: KubeClient, labels: dict[str, str]) -> None:
    subsets = rule({"v1": {"version": "v1"}, "v2": {"version": "v2"}, "v2-mobile": labels})
    http = [{"match": [{"headers": {}}], "route": [to("web", "v2-mobile")]}, {"route": SPLIT}]
    found = await taken_back(api, kube, SUBSETS, virtual_service(http=http), subsets, *two_versions())
    assert [one.kind for one in found.placement.routes] == ["pin", "weight"]
    assert found.http()[0]["route"] == [to("web", "v1")]
    assert (found.outcome.action, found.outcome.remarks) == (Action.REVERT, ())


async def test_a_subset_of_other_labels_has_the_canarys_pods_where_they_carry_them(api: Cluster, kube: KubeClient) -> None:
    subsets = rule({"v1": {"version": "v1"}, "v2": {"version": "v2"}, "blue": {"colour": "blue"}, "red": {"colour": "red"}})
    http = [{"route": SPLIT}, {"route": [to("web", "blue")]}, {"route": [to("web", "red")]}]
    pods = [pod("a", app="web", version="v1"), pod("b", app="web", version="v2", colour="blue"), pod("c", colour="blue")]
    found = await taken_back(api, kube, SUBSETS, virtual_service(http=http), subsets, *pods, behind("web", "a", "b", "c"))
    assert found.placement.elsewhere == (
        "shop/web http #1 (web.shop.svc subset blue, which has pods of the canary's among others)",
    )


@pytest.mark.parametrize("named", ["web-v2", "preview"], ids=["service", "external name of it"])
async def test_another_service_of_the_canarys_pods_is_the_canary(api: Cluster, kube: KubeClient, named: str) -> None:
    also = [
        service("web", app="web"),
        service("web-v2", app="web", version="v2"),
        alias("preview", "web-v2.shop.svc.cluster.local"),
    ]
    direct = virtual_service(to(named), name="direct", hosts=["v2.example.com"])
    found = await taken_back(api, kube, SUBSETS, virtual_service(*SPLIT), direct, versions("v1", "v2"), *two_versions(), *also)
    assert [one.object.name for one in found.placement.routes] == ["web", "direct"]
    assert found.http("direct")[0]["route"] == [to("web", "v1")]
    assert (found.outcome.action, found.outcome.remarks) == (Action.REVERT, ())


async def test_another_service_with_the_canarys_pods_among_others_is_told(api: Cluster, kube: KubeClient) -> None:
    """By its selector alone it cannot be told whether it has any; the canary's pods say so."""
    also = [service("web", app="web"), service("by-version", version="v2"), service("others", app="web", version="v9")]
    direct = [virtual_service(to(one), name=f"to-{one}") for one in ("by-version", "others", "web")]
    found = await taken_back(api, kube, SUBSETS, virtual_service(*SPLIT), *direct, versions("v1", "v2"), *two_versions(), *also)
    told = "shop/to-by-version http #0 (by-version.shop.svc, which has pods of the canary's among others)"
    assert found.placement.elsewhere == (told,)
    assert found.http("to-others")[0]["route"] == [to("others")]
    assert found.http("to-web")[0]["route"] == [to("web", "v1")], "a host that has the pods of both arms and no others"


async def test_a_service_whose_own_is_not_there_is_told_by_the_pods_it_has(api: Cluster, kube: KubeClient) -> None:
    direct = virtual_service(to("web-v2"), name="direct")
    also = [service("web-v2", version="v2"), behind("web-v2", "b")]
    found = await taken_back(api, kube, SUBSETS, virtual_service(*SPLIT), direct, versions("v1", "v2"), *two_versions(), *also)
    assert found.placement.elsewhere == ("shop/direct http #0 (web-v2.shop.svc, which has pods of the canary's among others)",)
    assert found.http("direct")[0]["route"] == [to("web-v2")]


async def test_a_subset_of_another_host_may_be_the_canary_too(api: Cluster, kube: KubeClient) -> None:
    """The arms are Services, and a route sends to a subset of a third one that chooses them both."""
    also = [service("web", app="web"), versions("v1", "v2"), virtual_service(to("web", "v2"), name="direct")]
    found = await taken_back(api, kube, HOSTS, virtual_service(*HOST_SPLIT), *host_arms(), *also)
    assert [one.object.name for one in found.placement.routes] == ["web", "direct"]
    assert found.http("direct")[0]["route"] == [to("web-stable")]
    assert (found.outcome.action, found.placement.elsewhere) == (Action.REVERT, ())


async def test_copies_to_all_pods_are_told(api: Cluster, kube: KubeClient) -> None:
    """Pointed at the baseline, it would get what it is sent already."""
    route = virtual_service(http=[{"route": SPLIT, "mirror": {"host": "web"}}])
    found = await taken_back(api, kube, SUBSETS, route, versions("v1", "v2"), *two_versions())
    told = "shop/web http #0 (copies to web.shop.svc, which has pods of the canary's among others)"
    assert found.placement.elsewhere == (told,)
    assert found.http()[0]["mirror"] == {"host": "web"}


async def test_a_baseline_that_has_the_canarys_pods_itself_is_told(api: Cluster, kube: KubeClient) -> None:
    whole = Release(service="web", namespace="shop", baseline=ArmSpec(service="web"), canary=ArmSpec(subset="v2"))
    route = virtual_service(to("web", weight=90), to("web", "v2", 10))
    found = await taken_back(api, kube, whole, route, versions("v2"), *two_versions())
    assert found.placement.elsewhere == ("the baseline itself (web.shop.svc): 1 of its 2 pods are the canary's",)


async def test_a_delegate_that_may_not_be_read_is_named_to_the_last_line(api: Cluster, kube: KubeClient) -> None:
    api.forbidden |= {VIRTUAL_SERVICES.path(), VIRTUAL_SERVICES.path(namespace="parts", name="cart")}
    root = virtual_service(
        http=[{"match": [{}], "delegate": {"name": "cart", "namespace": "parts"}}, {"route": SPLIT}], name="root"
    )
    host = "web.shop.svc.cluster.local"
    cart = virtual_service(to(host, "v1", 50), to(host, "v2", 50), name="cart", namespace="parts")
    found = await taken_back(api, kube, SUBSETS, root, cart, versions("v1", "v2"), *two_versions())
    others, delegate = found.placement.unread
    assert others == "VirtualServices of other namespaces than shop, which may not be listed"
    assert delegate.startswith("VirtualService parts/cart, which shop/root hands requests on to: ")
    assert found.outcome.action is Action.REVERT
    assert "no route that could be read sends to the canary; could not be read: VirtualServices of other" in found.outcome.reason


async def test_a_delegate_that_is_gone_is_nothing_that_could_not_be_read(api: Cluster, kube: KubeClient) -> None:
    api.forbidden.add(VIRTUAL_SERVICES.path())
    root = virtual_service(
        http=[{"match": [{}], "delegate": {"name": "cart", "namespace": "parts"}}, {"route": SPLIT}], name="root"
    )
    found = await taken_back(api, kube, SUBSETS, root, versions("v1", "v2"), *two_versions())
    assert found.placement.unread == ("VirtualServices of other namespaces than shop, which may not be listed",)


@pytest.mark.parametrize(
    ("kind", "said"), [(SERVICES, "the Services of namespace shop: "), (DESTINATION_RULES, "which pods the canary")]
)
async def test_where_names_cannot_be_told_that_is_said(api: Cluster, kube: KubeClient, kind: Any, said: str) -> None:
    api.forbidden.add(kind.path(namespace="shop"))
    direct = virtual_service(to("web-v2"), name="direct")
    found = await taken_back(api, kube, SUBSETS, virtual_service(*SPLIT), direct, versions("v1", "v2"), *two_versions())
    assert found.placement.unread[0].startswith(said)
    assert found.outcome.action is Action.REVERT
    assert f"no route that could be read sends to the canary; could not be read: {said}" in found.outcome.reason


async def test_two_subsets_of_the_same_pods_are_refused(api: Cluster, kube: KubeClient) -> None:
    """As a controller leaves them at the last step of a promotion, or in other words that come to the same."""
    same = rule({"v1": {"app": "web", "hash": "bbb"}, "v2": {"hash": "bbb"}})
    for resource, item in (
        virtual_service(*SPLIT),
        same,
        service("web", app="web"),
        pod("b", app="web", hash="bbb"),
        behind("web", "b"),
    ):
        api.put(resource, item)
    with pytest.raises(InvalidInput, match="are the same pods"):
        await IstioRouter(kube).locate(SUBSETS)


async def test_two_services_of_the_same_pods_are_refused(api: Cluster, kube: KubeClient) -> None:
    arms = [
        service("web-stable", hash="bbb"),
        service("web-canary", hash="bbb"),
        behind("web-stable", "b"),
        behind("web-canary", "b"),
    ]
    for resource, item in (virtual_service(*HOST_SPLIT), *arms):
        api.put(resource, item)
    with pytest.raises(InvalidInput, match="are the same pods"):
        await IstioRouter(kube).locate(HOSTS)


async def test_the_canarys_port_is_not_sent_to_a_baseline_that_listens_elsewhere(api: Cluster, kube: KubeClient) -> None:
    pinned = {"destination": {"host": "web-canary", "port": {"number": 8081}}}
    found = await taken_back(api, kube, HOSTS, virtual_service(pinned), *host_arms(ports=(8080, 8081)))
    assert found.http()[0]["route"] == [{"destination": {"host": "web-stable", "port": {"number": 8080}}}]


async def test_the_clusters_domain_is_the_one_that_the_release_is_written_with(api: Cluster, kube: KubeClient) -> None:
    baseline = ArmSpec(service="web-old.legacy.svc.corp.example")
    release = Release(service="web", namespace="shop", baseline=baseline, canary=ArmSpec(service="web-canary"))
    old = [service("web-old", namespace="legacy", v="1"), behind("web-old", "a", namespace="legacy")]
    found = await taken_back(api, kube, release, virtual_service(to("web-canary")), *host_arms(), *old)
    assert found.http()[0]["route"] == [to("web-old.legacy.svc.corp.example")]


async def test_a_route_that_is_named_may_lie_in_any_namespace_and_limits_nothing(api: Cluster, kube: KubeClient) -> None:
    """As where routes lie beside their gateway. A preview's address is a place that sends to the canary like any other."""
    host = "web.shop.svc.cluster.local"
    edge = virtual_service(to(host, "v1", 90), to(host, "v2", 10), name="edge", namespace="istio-ingress")
    preview = virtual_service(to("web", "v2"), name="preview", hosts=["preview.example.com"])
    named = Release(service="web", namespace="shop", baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"), route="edge")
    found = await taken_back(api, kube, named, edge, preview, versions("v1", "v2"), *two_versions())
    assert [one.object.name for one in found.placement.routes] == ["edge", "preview"]
    assert found.http("preview")[0]["route"] == [to("web", "v1")]
    with pytest.raises(NotFound, match="nowhere"):
        await IstioRouter(kube).locate(
            Release(service="web", namespace="shop", baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"), route="nowhere")
        )


async def test_a_mirror_of_nothing_is_nothing_to_take_back(api: Cluster, kube: KubeClient) -> None:
    route = {"route": [to("web", "v1")], "mirror": {"host": "web", "subset": "v2"}, "mirrorPercentage": {"value": 0}}
    found = await taken_back(api, kube, SUBSETS, virtual_service(http=[route]), versions("v1", "v2"), *two_versions())
    assert "no route gives the canary anything" in found.outcome.reason
    assert found.http() == [route]


async def test_weights_that_are_all_absent_are_written(api: Cluster, kube: KubeClient) -> None:
    route = virtual_service(to("web", "v1"), to("web", "v2"))
    found = await taken_back(api, kube, SUBSETS, route, versions("v1", "v2"), *two_versions())
    assert str(found.placement.routes[0]) == "shop/web http #0 (no weights): 50 % of the traffic"
    assert found.http()[0]["route"] == [to("web", "v1", 2), to("web", "v2", 0)]


async def test_the_entry_of_the_baseline_that_serves_gets_the_traffic(api: Cluster, kube: KubeClient) -> None:
    release = Release(service="web", namespace="shop", baseline=ArmSpec(service="web"), canary=ArmSpec(service="web-canary"))
    route = virtual_service(to("web", "blue", 0), to("web", "green", 90), to("web-canary", weight=10))
    colours = rule({"blue": {"c": "blue"}, "green": {"c": "green"}})
    pods = [pod("g", c="green"), behind("web", "g"), service("web", c="green"), service("web-canary", c="canary")]
    found = await taken_back(api, kube, release, route, colours, *pods)
    assert [one["weight"] for one in found.http()[0]["route"]] == [0, 100, 0]


async def test_routes_of_the_gateway_api_beside_virtual_services_are_taken_back_with_them(api: Cluster, kube: KubeClient) -> None:
    api.listed.add("httproutes")
    api.groups[GATEWAY] = {"httproutes"}
    beside = http_route({"name": "web-stable", "port": 80, "weight": 9}, {"name": "web-canary", "port": 80, "weight": 1})
    pinned = http_route({"name": "web-canary", "port": 8081}, name="pinned")
    found = await taken_back(api, kube, HOSTS, virtual_service(*HOST_SPLIT), *host_arms(ports=(8080, 8081)), beside, pinned)
    assert [one.object.kind for one in found.placement.routes] == ["VirtualService", "HTTPRoute", "HTTPRoute"]
    assert (found.outcome.action, found.outcome.remarks) == (Action.REVERT, ())
    split, only = (api.get(HTTP_ROUTES, "shop", name)["spec"]["rules"][0]["backendRefs"] for name in ("web", "pinned"))
    assert [one["weight"] for one in split] == [10, 0]
    assert only == [{"name": "web-stable", "port": 8080}]


async def test_routes_of_the_gateway_api_that_cannot_name_a_subset_are_told(api: Cluster, kube: KubeClient) -> None:
    api.listed.add("httproutes")
    api.groups[GATEWAY] = {"httproutes"}
    also = [service("web", app="web"), service("web-v2", app="web", version="v2")]
    beside = http_route({"name": "web-v2", "port": 80}, {"name": "web", "port": 80})
    found = await taken_back(api, kube, SUBSETS, virtual_service(*SPLIT), versions("v1", "v2"), *two_versions(), *also, beside)
    assert found.placement.elsewhere == (
        "HTTPRoute shop/web rule #0 (web-v2.shop.svc, which is the canary; no Service is the baseline)",
        "HTTPRoute shop/web rule #0 (web.shop.svc, which has pods of the canary's among others)",
    )


async def test_routes_of_the_gateway_api_that_may_not_be_read_are_named_and_stop_nothing(api: Cluster, kube: KubeClient) -> None:
    api.groups[GATEWAY] = {"httproutes"}
    api.forbidden |= {HTTP_ROUTES.path(), HTTP_ROUTES.path(namespace="shop")}
    found = await taken_back(api, kube, SUBSETS, virtual_service(*SPLIT), versions("v1", "v2"), *two_versions())
    [unread] = found.placement.unread
    assert unread.startswith("HTTPRoutes, which may send to the same pods: ")
    assert found.outcome.action is Action.REVERT
    assert "no route that could be read sends to the canary" in found.outcome.reason


async def test_a_release_that_only_the_gateway_api_routes_is_none_of_istios(api: Cluster, kube: KubeClient) -> None:
    """Else it would be found twice, by both kinds of mesh, and a person be asked which is meant."""
    api.listed.add("httproutes")
    api.groups[GATEWAY] = {"httproutes"}
    for resource, item in (*host_arms(), http_route({"name": "web-canary", "port": 80})):
        api.put(resource, item)
    with pytest.raises(NotFound, match="no VirtualService in any namespace names the canary"):
        await IstioRouter(kube).locate(HOSTS)


async def test_pods_that_may_not_be_read_leave_names_by_definition(api: Cluster, kube: KubeClient) -> None:
    api.forbidden.add(PODS.path(namespace="shop"))
    subsets = rule({"v1": {"version": "v1"}, "v2": {"version": "v2"}, "also": {"version": "v2"}})
    found = await taken_back(
        api, kube, SUBSETS, virtual_service(http=[{"route": [to("web", "also")]}, {"route": SPLIT}]), subsets, *two_versions()
    )
    assert found.http()[0]["route"] == [to("web", "v1")]
