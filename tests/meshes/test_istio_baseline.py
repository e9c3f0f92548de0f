"""Where the traffic would go: an Istio whose objects do not say what the release does, at the door and at the revert."""

import asyncio
from dataclasses import replace

import pytest

from daemon.engine.reverting import RevertOutcome
from daemon.errors import InvalidInput, NotFound, VerdictdError
from daemon.kube.client import KubeClient
from daemon.kube.resources import ENDPOINT_SLICES, PODS, SERVICES, Resource
from daemon.meshes.istio import surveying
from daemon.meshes.istio.arms import Located
from daemon.meshes.istio.hosts import Destination
from daemon.meshes.istio.mesh import DESTINATION_RULES, SERVICE_ENTRIES, VIRTUAL_SERVICES, WORKLOAD_ENTRIES
from daemon.meshes.istio.router import IstioRouter
from daemon.meshes.kuberoutes import decode, encode
from daemon.meshes.ports import Port
from daemon.model import Action, ArmSpec, Release
from tests.hand.procedures import reverting
from tests.hand.servers import silence
from tests.kube.stub import status
from tests.meshes.cluster import Cluster
from tests.meshes.objects import (
    Item,
    behind,
    machine,
    pod,
    rule,
    service,
    service_entry,
    to,
    two_versions,
    versions,
    virtual_service,
)

SUBSETS = Release(service="web", namespace="shop", baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))
VERSIONS = Release(service="web", namespace="shop", baseline=ArmSpec(version="v1"), canary=ArmSpec(version="v2"))
HOSTS = Release(service="web", namespace="shop", baseline=ArmSpec(service="web-stable"), canary=ArmSpec(service="web-canary"))
SPLIT = virtual_service(to("web", "v1", 90), to("web", "v2", 10))


def put(api: Cluster, *items: Item) -> None:
    for resource, item in items:
        api.put(resource, item)


def weights(api: Cluster) -> list[int]:
    return [target["weight"] for target in api.get(VIRTUAL_SERVICES, "shop", "web")["spec"]["http"][0]["route"]]


async def revert(router: IstioRouter, release: Release, *, located: str = "") -> RevertOutcome:
    return await reverting(confirm_seconds=2.0, revert_attempts=4).run(router, release, located=located)


async def assert_stopped(
    api: Cluster,
    router: IstioRouter,
    release: Release,
    *said: str,
    door: type[VerdictdError] | None = NotFound,
    located: str = "",
) -> None:
    """Refused at the door; and a revert of it, asked for all the same, is blocked: nothing is patched, all of it is said."""
    if door is not None:
        with pytest.raises(door) as refused:
            await router.locate(release)
        assert all(one in str(refused.value) for one in said), str(refused.value)
    outcome = await revert(router, release, located=located)
    assert outcome.action is Action.BLOCKED, outcome.reason
    assert all(one in outcome.reason for one in said), outcome.reason
    assert api.count("PATCH") == 0


async def test_a_baseline_subset_that_was_deleted_does_not_get_the_traffic(api: Cluster, router: IstioRouter) -> None:
    put(api, SPLIT, versions("v2"), *two_versions())
    await assert_stopped(api, router, SUBSETS, "DestinationRule shop/web", "does not define subset v1", "there is v2")


async def test_a_slip_in_the_baselines_subset_is_answered_with_what_there_is(api: Cluster, router: IstioRouter) -> None:
    put(api, SPLIT, versions("v1", "v2"), *two_versions())
    slip = Release(service="web", namespace="shop", baseline=ArmSpec(subset="v0"), canary=ArmSpec(subset="v2"))
    await assert_stopped(api, router, slip, "does not define subset v0", "there are v1, v2")


async def test_a_subset_without_any_rule_does_not_get_the_traffic(api: Cluster, router: IstioRouter) -> None:
    put(api, SPLIT, *two_versions())
    await assert_stopped(api, router, SUBSETS, "no DestinationRule for web.shop.svc defines subset v1: there is none for it")


async def test_a_slip_in_the_baselines_service_is_answered_with_what_there_is(api: Cluster, router: IstioRouter) -> None:
    put(api, virtual_service(to("web-canary")), service("web-canary", app="web"), service("web-stable", app="web", v="1"))
    put(api, behind("web-canary", "b"))
    slip = Release(service="web", namespace="shop", baseline=ArmSpec(service="web-stabel"), canary=ArmSpec(service="web-canary"))
    await assert_stopped(api, router, slip, "there is no Service web-stabel in namespace shop", "did you mean web-stable?")


async def test_a_version_that_no_subset_has_any_more_does_not_get_the_traffic(api: Cluster, router: IstioRouter) -> None:
    put(api, SPLIT, versions("v1", "v2"), *two_versions())
    located = (await router.locate(VERSIONS)).located
    put(api, versions("v2"))
    await assert_stopped(api, router, VERSIONS, "the baseline is no subset of web.shop.svc", "(v2)", located=located)


async def test_a_service_that_another_registry_may_know_is_not_known_and_not_blocked(api: Cluster, router: IstioRouter) -> None:
    put(
        api,
        virtual_service(to("web-stable", weight=90), to("web-canary", weight=10)),
        service_entry("web-stable.shop.svc.cluster.local"),
    )
    placement = await router.locate(HOSTS)
    assert placement.baseline.endswith("is not known: web-stable.shop.svc is of ServiceEntry shop/outside")
    outcome = await revert(router, HOSTS)
    assert outcome.action is Action.REVERT
    assert "is of ServiceEntry shop/outside" in outcome.reason


async def test_a_host_outside_the_cluster_is_not_known_and_not_blocked(api: Cluster, router: IstioRouter) -> None:
    put(api, virtual_service(to("api-v1.example.com", weight=90), to("api-v2.example.com", weight=10)))
    outside = ArmSpec(service="api-v1.example.com"), ArmSpec(service="api-v2.example.com")
    release = Release(service="api", namespace="shop", baseline=outside[0], canary=outside[1])
    assert (await router.locate(release)).baseline.endswith("is not known: api-v1.example.com is no Kubernetes service")
    assert (await revert(router, release)).action is Action.REVERT


async def test_a_revert_whose_routes_are_clean_finds_nothing_to_take(api: Cluster, router: IstioRouter) -> None:
    put(api, virtual_service(to("web", "v1", 100), to("web", "v2", 0)), versions("v1", "v2"), *two_versions())
    receipt = await router.revert(SUBSETS)
    assert (receipt.changed, str(receipt)) == (False, "no route gives the canary anything")


async def test_in_a_mesh_of_several_clusters_nobody_here_is_not_nobody(api: Cluster, kube: KubeClient) -> None:
    router = IstioRouter(kube, multi_cluster=True)
    put(api, virtual_service(to("web-stable", weight=90), to("web-canary", weight=10)), service("web-canary", app="web"))
    assert "the mesh has others" in (await router.locate(HOSTS)).baseline
    put(api, service("web-stable", app="web", v="1"))
    assert "the mesh has others" in await router.check_baseline(HOSTS)
    assert (await revert(router, HOSTS)).action is Action.REVERT


async def test_in_a_mesh_of_several_clusters_a_subset_that_no_rule_has_is_nobodys(api: Cluster, kube: KubeClient) -> None:
    put(api, SPLIT, versions("v2"), *two_versions())
    await assert_stopped(api, IstioRouter(kube, multi_cluster=True), SUBSETS, "does not define subset v1")


@pytest.mark.parametrize("kind", [DESTINATION_RULES, PODS])
async def test_what_may_not_be_read_is_said_and_does_not_hold_the_revert_up(
    api: Cluster, router: IstioRouter, kind: Resource
) -> None:
    put(api, SPLIT, versions("v1", "v2"), *two_versions())
    api.forbidden.add(kind.path(namespace="shop"))
    assert "could not be read" in (await router.locate(SUBSETS)).baseline
    outcome = await revert(router, SUBSETS)
    assert outcome.action is Action.REVERT
    assert "is not known" in outcome.reason
    assert "could not be read" in outcome.reason


async def test_a_missing_service_is_not_sure_where_service_entries_may_not_be_read(api: Cluster, router: IstioRouter) -> None:
    put(api, virtual_service(to("web-stable", weight=90), to("web-canary", weight=10)))
    api.forbidden.add(SERVICE_ENTRIES.path())
    assert "the ServiceEntries could not be read" in (await router.locate(HOSTS)).baseline


async def test_rules_of_the_root_namespace_are_not_needed_where_the_service_has_its_own(api: Cluster, router: IstioRouter) -> None:
    put(api, SPLIT, versions("v1", "v2"), *two_versions())
    api.forbidden.add(DESTINATION_RULES.path(namespace="istio-system"))
    assert (await router.locate(VERSIONS)).baseline == "1 ready endpoints (the canary has 1)"


async def test_a_baseline_without_ready_pods_is_told_at_the_door_and_blocks(api: Cluster, router: IstioRouter) -> None:
    """Pods come and go: the watch may begin, the traffic may not go there."""
    put(api, SPLIT, versions("v1", "v2"), pod("a", version="v1"), pod("b", version="v2"), behind("web", "b", unready=("a",)))
    assert (await router.locate(SUBSETS)).baseline == "0 ready endpoints (the canary has 1)"
    await assert_stopped(api, router, SUBSETS, "no ready endpoints (none of the 1 behind it is ready)", door=None)


async def test_machines_that_are_no_pods_may_serve_the_baseline(api: Cluster, router: IstioRouter) -> None:
    """As in a move from virtual machines into the cluster: the old version has no pods."""
    put(api, SPLIT, versions("v1", "v2"), pod("b", version="v2"), behind("web", "b"))
    put(api, machine("other", version="v2"))
    await assert_stopped(api, router, SUBSETS, "no ready endpoints (no pod is behind it)", door=None)
    put(api, machine("vm", app="web", version="v1"))
    assert (await router.locate(SUBSETS)).baseline.endswith("no pod is ready, but WorkloadEntry shop/vm has its labels")
    api.forbidden.add(WORKLOAD_ENTRIES.path(namespace="shop"))
    outcome = await revert(router, SUBSETS)
    assert outcome.action is Action.REVERT
    assert "the WorkloadEntries could not be read" in outcome.reason


async def test_a_subset_by_a_label_that_istio_adds_itself_is_not_known_and_not_blocked(api: Cluster, router: IstioRouter) -> None:
    """As Istio's guide for several clusters partitions a service: the pods carry no such label."""
    put(
        api,
        SPLIT,
        rule({"v1": {"topology.istio.io/cluster": "east"}, "v2": {"topology.istio.io/cluster": "west"}}),
        *two_versions(),
    )
    assert "labels that Istio adds by itself" in (await router.locate(SUBSETS)).baseline
    outcome = await revert(router, SUBSETS)
    assert (outcome.action, weights(api)) == (Action.REVERT, [100, 0]), outcome.reason


@pytest.mark.parametrize("named", [VERSIONS, SUBSETS])
async def test_colours_that_changed_places_since_the_last_release_are_resolved_anew(
    api: Cluster, router: IstioRouter, named: Release
) -> None:
    """The good version is always the one that the release calls its baseline, whatever it is called in the mesh."""
    by_version = named is VERSIONS
    put(api, pod("a", version="v1"), pod("b", version="v2"), behind("web", "a", "b"))
    put(
        api,
        rule({"blue": {"version": "v1"}, "green": {"version": "v2"}}),
        virtual_service(to("web", "blue", 90), to("web", "green", 10)),
    )
    first = (
        named
        if by_version
        else Release(service="web", namespace="shop", baseline=ArmSpec(subset="blue"), canary=ArmSpec(subset="green"))
    )
    assert (await router.locate(first)).canary_percent == 10.0
    put(
        api,
        rule({"green": {"version": "v1"}, "blue": {"version": "v2"}}),
        virtual_service(to("web", "green", 90), to("web", "blue", 10)),
    )
    second = (
        named
        if by_version
        else Release(service="web", namespace="shop", baseline=ArmSpec(subset="green"), canary=ArmSpec(subset="blue"))
    )
    assert (await router.locate(second)).canary_percent == 10.0
    assert (await revert(router, second)).action is Action.REVERT
    assert weights(api) == [100, 0]


async def test_colours_that_change_places_during_the_watch_are_seen_at_the_revert(api: Cluster, router: IstioRouter) -> None:
    put(api, pod("a", version="v1"), pod("b", version="v2"), behind("web", "a", "b"))
    put(
        api,
        rule({"blue": {"version": "v1"}, "green": {"version": "v2"}}),
        virtual_service(to("web", "blue", 90), to("web", "green", 10)),
    )
    located = (await router.locate(VERSIONS)).located
    put(
        api,
        rule({"green": {"version": "v1"}, "blue": {"version": "v2"}}),
        virtual_service(to("web", "green", 90), to("web", "blue", 10)),
    )
    assert await router.canary_gets_traffic(VERSIONS, located=located) == "shop/web http #0: 10 % of the traffic"
    outcome = await revert(router, VERSIONS, located=located)
    assert outcome.action is Action.REVERT
    assert weights(api) == [100, 0]
    assert "subset blue -> web.shop.svc subset green" in outcome.reason


async def test_a_subset_that_came_to_mean_the_canarys_pods_does_not_get_the_traffic(api: Cluster, kube: KubeClient) -> None:
    """Subsets named outright: the release cannot say which version they are now; what was judged is known, also after a restart."""
    put(api, SPLIT, versions("v1", "v2"), *two_versions())
    located = (await IstioRouter(kube).locate(SUBSETS)).located
    put(api, rule({"v1": {"version": "v2"}, "v2": {"version": "v3"}}), pod("c", version="v3"), behind("web", "a", "b", "c"))
    said = "subset v1 has come to mean the canary's pods"
    await assert_stopped(api, IstioRouter(kube), SUBSETS, said, door=None, located=located)


async def test_a_host_that_came_to_mean_the_canarys_pods_does_not_get_the_traffic(api: Cluster, kube: KubeClient) -> None:
    put(api, virtual_service(to("web-stable", weight=90), to("web-canary", weight=10)))
    put(api, service("web-stable", v="1"), service("web-canary", v="2"), behind("web-stable", "a"), behind("web-canary", "b"))
    located = (await IstioRouter(kube).locate(HOSTS)).located
    put(api, service("web-stable", v="2"), service("web-canary", v="3"), behind("web-stable", "b"), behind("web-canary", "c"))
    await assert_stopped(
        api, IstioRouter(kube), HOSTS, "web-stable.shop.svc has come to mean the canary's pods", door=None, located=located
    )


async def test_a_newer_release_with_the_same_arms_does_not_speak_for_the_older_one(api: Cluster, router: IstioRouter) -> None:
    """Its canary is another version: what the older one convicted stays what it was."""
    put(api, SPLIT, versions("v1", "v2"), *two_versions())
    older = (await router.locate(SUBSETS)).located
    put(api, rule({"v1": {"version": "v2"}, "v2": {"version": "v3"}}), pod("c", version="v3"), behind("web", "a", "b", "c"))
    newer = (await router.locate(SUBSETS)).located
    assert newer != older
    await assert_stopped(api, router, SUBSETS, "subset v1 has come to mean the canary's pods", door=None, located=older)


async def test_what_another_version_kept_of_the_arms_is_taken_for_nothing(api: Cluster, router: IstioRouter) -> None:
    put(api, SPLIT, versions("v1", "v2"), *two_versions())
    assert (await revert(router, SUBSETS, located='{"arms": "in other words"}')).action is Action.REVERT


async def test_a_canary_that_no_rule_knows_is_not_taken_for_a_missing_baseline(api: Cluster, router: IstioRouter) -> None:
    """Nobody knows what it was: nothing can be taken back, but there is something to go back to."""
    put(api, SPLIT, versions("v1"), *two_versions())
    outcome = await revert(router, VERSIONS)
    assert (outcome.action, api.count("PATCH")) == (Action.FAILED, 0)
    assert "the canary is no subset of web.shop.svc" in outcome.reason
    assert "go back to" not in outcome.reason


async def test_rules_that_hang_hold_the_patch_up_for_a_moment_only(
    api: Cluster, router: IstioRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(api, SPLIT, versions("v1", "v2"), *two_versions())
    located = (await router.locate(VERSIONS)).located
    monkeypatch.setattr(surveying, "RULES_SECONDS", 0.05)
    api.faults["GET"] = [silence()]
    async with asyncio.timeout(10.0):  # the client's own limit is twice as long
        assert (await router.revert(VERSIONS, located=located)).changed
    assert weights(api) == [100, 0]


async def test_arms_that_cannot_be_resolved_just_now_are_what_they_were(api: Cluster, router: IstioRouter) -> None:
    put(api, SPLIT, versions("v1", "v2"), *two_versions())
    located = (await router.locate(VERSIONS)).located
    api.forbidden |= {DESTINATION_RULES.path(namespace=one) for one in ("shop", "istio-system")}
    assert (await revert(router, VERSIONS, located=located)).action is Action.REVERT
    with pytest.raises(NotFound, match="could not be read"):
        located = (await router.locate(VERSIONS)).located


async def test_a_new_router_that_may_not_read_the_rules_says_so_and_patches_nothing(api: Cluster, router: IstioRouter) -> None:
    put(api, SPLIT, versions("v1", "v2"), *two_versions())
    api.forbidden |= {DESTINATION_RULES.path(namespace=one) for one in ("shop", "istio-system")}
    outcome = await revert(router, VERSIONS)
    assert (outcome.action, api.count("PATCH")) == (Action.FAILED, 0)
    assert "could not be read" in outcome.reason


async def test_a_new_router_tries_again_when_the_rules_cannot_be_read_for_a_moment(api: Cluster, router: IstioRouter) -> None:
    """After a restart nobody knows what the arms were: that a server fails now does not mean that there are none."""
    put(api, SPLIT, versions("v1", "v2"), *two_versions())
    api.failing[DESTINATION_RULES.path(namespace="shop")] = 3
    outcome = await revert(router, VERSIONS)
    assert (outcome.action, weights(api)) == (Action.REVERT, [100, 0]), outcome.reason
    assert outcome.attempts > 1


async def test_a_canary_whose_subset_was_removed_during_the_watch_is_taken_back(api: Cluster, router: IstioRouter) -> None:
    """What is still sent to it is answered 503: the canary is convicted for that, and its routes are named as before."""
    put(api, SPLIT, versions("v1", "v2"), *two_versions())
    located = (await router.locate(VERSIONS)).located
    put(api, versions("v1"))
    outcome = await revert(router, VERSIONS, located=located)
    assert (outcome.action, weights(api)) == (Action.REVERT, [100, 0]), outcome.reason


async def test_a_canary_whose_subset_is_another_versions_by_now_is_left_alone(api: Cluster, router: IstioRouter) -> None:
    put(api, SPLIT, versions("v1", "v2"), *two_versions())
    located = (await router.locate(VERSIONS)).located
    put(api, rule({"v1": {"version": "v1"}, "v2": {"version": "v3"}}))
    assert (await revert(router, VERSIONS, located=located)).action is Action.FAILED
    assert api.count("PATCH") == 0


async def test_two_subsets_with_the_same_labels_are_the_same_pods(api: Cluster, router: IstioRouter) -> None:
    """As a controller leaves them at the end of a promotion: all goes from bad to bad, and looks like a success."""
    chosen = {"app": "web", "hash": "bbb"}
    put(api, virtual_service(to("web", "stable", 0), to("web", "canary", 100)), rule({"stable": chosen, "canary": chosen}))
    put(api, pod("b", app="web", hash="bbb"), behind("web", "b"))
    promoted = Release(service="web", namespace="shop", baseline=ArmSpec(subset="stable"), canary=ArmSpec(subset="canary"))
    await assert_stopped(api, router, promoted, "are the same pods (app=web, hash=bbb)", door=InvalidInput)


async def test_two_services_with_the_same_selector_are_the_same_pods(api: Cluster, router: IstioRouter) -> None:
    put(api, virtual_service(to("web-stable", weight=0), to("web-canary", weight=100)))
    put(api, service("web-stable", hash="bbb"), service("web-canary", hash="bbb"))
    put(api, behind("web-stable", "b"), behind("web-canary", "b"))
    await assert_stopped(api, router, HOSTS, "are the same pods (hash=bbb)", door=InvalidInput)


async def test_a_service_over_the_pods_of_the_subset_is_the_same_pods(api: Cluster, router: IstioRouter) -> None:
    """Chosen by other labels, and the same in fact."""
    put(api, virtual_service(to("web", "v1", 90), to("web-v2", weight=10)), versions("v1"), *two_versions())
    put(api, service("web", app="web"), service("web-v2", tier="new"), behind("web-v2", "a"))
    alias = Release(service="web", namespace="shop", baseline=ArmSpec(subset="v1"), canary=ArmSpec(service="web-v2"))
    await assert_stopped(api, router, alias, "are the same pods (a)", door=InvalidInput)


async def test_a_whole_service_is_not_its_part_though_the_rest_is_not_there_now(api: Cluster, router: IstioRouter) -> None:
    put(api, virtual_service(to("web-stable", weight=90), to("web", weight=10)))
    put(api, service("web", app="web"), service("web-stable", app="web", v="1"), behind("web", "a"), behind("web-stable", "a"))
    part = Release(service="web", namespace="shop", baseline=ArmSpec(service="web-stable"), canary=ArmSpec(service="web"))
    await router.locate(part)
    assert (await revert(router, part)).action is Action.REVERT


async def test_a_promotion_during_the_watch_is_seen_at_the_revert(api: Cluster, router: IstioRouter) -> None:
    put(api, SPLIT, versions("v1", "v2"), *two_versions())
    located = (await router.locate(SUBSETS)).located
    put(api, rule({"v1": {"version": "v2"}, "v2": {"version": "v2"}}))
    await assert_stopped(
        api, router, SUBSETS, "are the same pods (version=v2): there is nothing to go back to", door=None, located=located
    )


async def test_a_release_that_its_controller_undid_first_is_reverted_and_not_blocked(api: Cluster, router: IstioRouter) -> None:
    """Both subsets choose the old version again: nobody gets the bad one, and nothing keeps the weights from being put right."""
    old, new = {"app": "web", "hash": "aaa"}, {"app": "web", "hash": "bbb"}
    put(api, virtual_service(to("web", "stable", 90), to("web", "canary", 10)), rule({"stable": old, "canary": new}))
    put(api, pod("a", **old), pod("b", **new), behind("web", "a", "b"))
    undone = Release(service="web", namespace="shop", baseline=ArmSpec(subset="stable"), canary=ArmSpec(subset="canary"))
    located = (await router.locate(undone)).located
    put(api, rule({"stable": old, "canary": old}))
    outcome = await revert(router, undone, located=located)
    assert (outcome.action, weights(api)) == (Action.REVERT, [100, 0]), outcome.reason


@pytest.mark.parametrize("namespace", ["istio-ingress", "istio-system"])
async def test_rules_are_found_where_istiod_finds_them(api: Cluster, router: IstioRouter, namespace: str) -> None:
    """Beside the VirtualService of a shared gateway, or in the mesh's root namespace."""
    host = "web.shop.svc.cluster.local"
    put(api, virtual_service(to(host, "v1", 90), to(host, "v2", 10), namespace="istio-ingress"), *two_versions())
    put(api, versions("v1", "v2", namespace=namespace))
    placement = await router.locate(VERSIONS)
    assert (placement.canary_percent, placement.baseline) == (10.0, "1 ready endpoints (the canary has 1)")
    assert (await revert(router, VERSIONS)).action is Action.REVERT


async def test_rules_beside_the_gateway_that_the_route_is_for_are_found(api: Cluster, router: IstioRouter) -> None:
    put(api, virtual_service(to("web", "v1", 90), to("web", "v2", 10), gateways=["edge/public", "mesh"]), *two_versions())
    put(api, versions("v1", "v2", namespace="edge"))
    said = (await router.locate(VERSIONS)).baseline
    assert said == "1 ready endpoints (the canary has 1); clients of shop have no subset v1 of web.shop.svc"


async def test_a_subset_that_clients_elsewhere_may_have_is_not_known_and_not_blocked(api: Cluster, router: IstioRouter) -> None:
    """A Gateway in one namespace, its proxies with rules of their own in another: no object says where the proxies are."""
    put(api, virtual_service(to("web", "v1", 90), to("web", "v2", 10), gateways=["public"]), versions("v2"), *two_versions())
    put(api, versions("v1", "v2", namespace="ingress-pods"))
    assert (await router.locate(SUBSETS)).baseline.endswith("clients elsewhere may, by ingress-pods/web")
    assert (await revert(router, SUBSETS)).action is Action.REVERT


async def test_a_subset_is_not_surely_missing_where_the_rules_of_the_cluster_may_not_be_read(
    api: Cluster, router: IstioRouter
) -> None:
    put(api, SPLIT, versions("v2"), *two_versions())
    api.forbidden.add(DESTINATION_RULES.path())
    assert "whether clients elsewhere have it could not be read" in (await router.locate(SUBSETS)).baseline


async def test_half_a_host_in_a_release_is_refused_with_the_whole_one(api: Cluster, router: IstioRouter) -> None:
    put(
        api,
        virtual_service(to("web-stable", weight=90), to("web-canary", weight=10)),
        service("web-stable", v="1"),
        behind("web-stable", "a"),
    )
    both = Release(
        service="web", namespace="shop", baseline=ArmSpec(service="web-stable.shop"), canary=ArmSpec(service="web-canary.shop")
    )
    with pytest.raises(
        NotFound, match=r"names the canary, web-canary\.shop, .*the nearest that is named is web-canary\.shop\.svc$"
    ):
        await router.locate(both)
    one = Release(
        service="web", namespace="shop", baseline=ArmSpec(service="web-stable.shop"), canary=ArmSpec(service="web-canary")
    )
    await assert_stopped(api, router, one, "Istio takes web-stable.shop for a host outside the cluster: write web-stable.shop.svc")


async def test_half_a_host_that_a_service_entry_names_is_served_and_not_blocked(api: Cluster, router: IstioRouter) -> None:
    """People who write ``web.shop`` everywhere make it true with a ServiceEntry."""
    put(api, virtual_service(to("web-stable.shop", weight=90), to("web-canary", weight=10)), service("web-stable", v="1"))
    put(api, service_entry("web-stable.shop"))
    half = Release(
        service="web", namespace="shop", baseline=ArmSpec(service="web-stable.shop"), canary=ArmSpec(service="web-canary")
    )
    assert (await router.locate(half)).baseline.endswith("is not known: web-stable.shop is of ServiceEntry shop/outside")
    assert (await revert(router, half)).action is Action.REVERT


async def test_half_a_host_in_a_route_is_named(api: Cluster, router: IstioRouter) -> None:
    put(api, virtual_service(to("web.shop", "v1", 90), to("web.shop", "v2", 10)), versions("v1", "v2"), *two_versions())
    with pytest.raises(NotFound, match=r"is named is web\.shop subset v2, which Istio takes for a host outside the cluster"):
        await router.locate(SUBSETS)


async def test_one_pod_for_the_load_of_many_is_said(api: Cluster, router: IstioRouter) -> None:
    many = [f"b{number}" for number in range(9)]
    put(api, virtual_service(to("web", "v1", 10), to("web", "v2", 90)), versions("v1", "v2"), pod("a", version="v1"))
    put(api, *(pod(name, version="v2") for name in many), behind("web", "a", *many))
    assert (await router.locate(SUBSETS)).baseline == "1 ready endpoints (the canary has 9): 1 will have the load of 10"
    assert "(the canary has 9): 1 will have the load of 10" in (await revert(router, SUBSETS)).reason


async def test_the_check_asks_for_no_more_than_it_needs(api: Cluster, router: IstioRouter) -> None:
    put(api, SPLIT, versions("v1", "v2"), service("web", app="web"), *two_versions())
    located = (await router.locate(SUBSETS)).located
    api.requests.clear()
    await router.check_baseline(SUBSETS, located=located)
    first, then = [path for _, path in api.requests[:2]], [path for _, path in api.requests[2:]]
    assert set(first) == {DESTINATION_RULES.path(namespace="shop"), ENDPOINT_SLICES.path(namespace="shop")}
    assert then == [PODS.path(namespace="shop")]


async def test_the_check_of_two_whole_services_asks_for_no_rules_and_no_pods(api: Cluster, router: IstioRouter) -> None:
    put(api, virtual_service(to("web-stable", weight=90), to("web-canary", weight=10)))
    put(api, service("web-stable", v="1"), service("web-canary", v="2"), behind("web-stable", "a"), behind("web-canary", "b"))
    located = (await router.locate(HOSTS)).located
    api.requests.clear()
    await router.check_baseline(HOSTS, located=located)
    asked = [path for _, path in api.requests]
    assert sorted(asked) == sorted(
        [
            ENDPOINT_SLICES.path(namespace="shop"),  # of both in one question
            SERVICES.path(namespace="shop", name="web-stable"),
            SERVICES.path(namespace="shop", name="web-canary"),
        ]
    )


async def test_a_server_that_fails_during_the_check_is_said_and_does_not_hold_it_up(api: Cluster, router: IstioRouter) -> None:
    put(api, SPLIT, versions("v1", "v2"), service("web", app="web"), *two_versions())
    located = (await router.locate(SUBSETS)).located
    api.faults["GET"] = [status(500, "etcd is away")] * 2
    assert "could not be read" in await router.check_baseline(SUBSETS, located=located)


async def test_a_check_that_was_never_located_looks_whose_rules_count(api: Cluster, router: IstioRouter) -> None:
    host = "web.shop.svc.cluster.local"
    put(api, virtual_service(to(host, "v1", 90), to(host, "v2", 10), namespace="istio-ingress"), *two_versions())
    put(api, versions("v1", "v2", namespace="istio-ingress"))
    assert await router.check_baseline(VERSIONS) == "1 ready endpoints (the canary has 1)"


def test_what_was_kept_with_a_session_is_read_back_to_the_last_label() -> None:
    """As it stands in sessions that are running now: other words for it would make a restart forget who is convicted."""
    kept = (
        '{"arms":{"baseline":{"host":"web.shop.svc","subset":"v1"},"canary":{"host":"web.shop.svc","subset":"v2"}},'
        '"clients":["shop"],'
        '"canary":{"host":"web.shop.svc","labels":[["version","v2"]],"selector":["shop",[["app","web"]]]}}'
    )
    located = decode(kept, kind=Located)
    assert located is not None
    assert (located.clients, str(located.canary)) == (("shop",), "app=web, version=v2")
    assert located.arms.aliases == ()
    more = replace(
        located,
        arms=replace(located.arms, aliases=(Destination(host="web-v2.shop.svc"),), ports={"web.shop.svc": (Port(number=80),)}),
        elsewhere=("shop/web http #1 (web.shop.svc)",),
    )
    assert decode(encode(more), kind=Located) == more
