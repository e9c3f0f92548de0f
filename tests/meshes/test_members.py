"""An arm's pods by Istio's own rules: whose endpoints, which workload's name, which revision."""

from typing import Any

import pytest

from daemon.armpods import PodsByArm
from daemon.kube.client import KubeClient
from daemon.kube.resources import ENDPOINT_SLICES, PODS, SERVICES, Json
from daemon.meshes.istio.router import IstioRouter
from daemon.meshes.members import revision, workloads
from daemon.model import ArmSpec, Release
from tests.meshes.cluster import Cluster
from tests.meshes.objects import Item, behind, pod, rule, service, to, virtual_service

SUBSETS = Release(service="web", namespace="shop", baseline=ArmSpec(subset="stable"), canary=ArmSpec(subset="canary"))
HOSTS = Release(service="web", namespace="shop", baseline=ArmSpec(service="web-primary"), canary=ArmSpec(service="web-canary"))


def owned(name: str, kind: str, owner: str, **labels: str) -> Json:
    reference = {"kind": kind, "name": owner, "controller": True}
    return {"metadata": {"name": name, "generateName": f"{owner}-", "labels": labels, "ownerReferences": [reference]}}


@pytest.mark.parametrize(
    ("item", "named"),
    [
        (owned("web-6d-x", "ReplicaSet", "web-6d", **{"pod-template-hash": "6d"}), ("web",)),
        (owned("web-6d-x", "ReplicaSet", "web-6d", **{"rollouts-pod-template-hash": "6d"}), ("web", "web-6d")),
        (owned("web-6d-x", "ReplicaSet", "web-6d", **{"pod-template-hash": "7c"}), ("web-6d",)),
        (owned("web-0", "StatefulSet", "web"), ("web",)),
        (owned("web-1-x", "ReplicationController", "web-1", deploymentconfig="web"), ("web",)),
        (owned("tidy-1700000000-x", "Job", "tidy-1700000000"), ("tidy",)),
        (owned("tidy-once-x", "Job", "tidy-once"), ("tidy-once",)),
        ({"metadata": {"name": "alone"}}, ("alone",)),
        ({"metadata": {"name": "static", "ownerReferences": [{"kind": "Node", "name": "n1", "controller": True}]}}, ("static",)),
        (
            owned("web-6d-x", "ReplicaSet", "web-6d", **{"pod-template-hash": "6d", "service.istio.io/workload-name": "shop"}),
            ("shop",),
        ),
    ],
)
def test_a_workloads_name_is_what_istio_makes_of_the_pods_owner(item: Json, named: tuple[str, ...]) -> None:
    assert workloads(item) == named


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ({"service.istio.io/canonical-revision": "a", "app.kubernetes.io/version": "b", "version": "c"}, "a"),
        ({"app.kubernetes.io/version": "b", "version": "c"}, "b"),
        ({"version": "c"}, "c"),
        ({}, "latest"),
    ],
)
def test_a_revision_is_taken_from_the_first_label_that_istio_looks_at(labels: dict[str, str], found: str) -> None:
    assert revision(labels) == found


def of_set(name: str, workload: str, digest: str, **labels: str) -> Item:
    item = owned(name, "ReplicaSet", f"{workload}-{digest}", **{"pod-template-hash": digest, **labels})
    item["metadata"]["namespace"] = "shop"
    return PODS, item


def put(api: Cluster, *items: Item) -> None:
    for resource, item in items:
        api.put(resource, item)


async def located(kube: KubeClient, release: Release, **settings: Any) -> PodsByArm:
    placement = await IstioRouter(kube, **settings).locate(release)
    assert placement.pods is not None
    return placement.pods


def names(pods: PodsByArm) -> list[list[tuple[str, tuple[str, ...]]]]:
    return [[(pod.name, pod.workloads) for pod in arm.pods or ()] for arm in (pods.baseline, pods.canary)]


async def test_a_subset_is_the_pods_with_its_labels_behind_the_service_whatever_its_name_is(api: Cluster, kube: KubeClient) -> None:
    put(
        api,
        virtual_service(to("web", "stable", 90), to("web", "canary", 10)),
        rule({"stable": {"version": "2.0"}, "canary": {"version": "2.1"}}),
        of_set("web-a", "web", "6d", app="web", version="2.0"),
        of_set("web-b", "web-next", "7c", app="web", version="2.1"),
        of_set("job-c", "job", "8e", app="job", version="2.1"),
        behind("web", "web-a", unready=("web-b",)),
    )
    found = await located(kube, SUBSETS)
    assert names(found) == [[("web-a", ("web",))], [("web-b", ("web-next",))]]
    (canary,) = found.canary.pods or ()
    assert (canary.revision, canary.ready, canary.namespace) == ("2.1", False, "shop")
    assert canary.address == "10.0.1.205"
    assert found.canary.labels == {"version": "2.1"}


async def test_services_of_their_own_are_their_pods_and_each_is_told_by_name_where_no_other_selects_them(
    api: Cluster, kube: KubeClient
) -> None:
    put(
        api,
        virtual_service(to("web-primary", None, 90), to("web-canary", None, 10)),
        service("web", app="web-primary"),
        service("web-primary", app="web-primary"),
        service("web-canary", app="web"),
        of_set("p", "web-primary", "6d", app="web-primary"),
        of_set("c", "web", "7c", app="web"),
        behind("web", "p"),
        behind("web-primary", "p"),
        behind("web-canary", "c"),
    )
    found = await located(kube, HOSTS)
    assert names(found) == [[("p", ("web-primary",))], [("c", ("web",))]]
    assert (found.baseline.service, found.canary.service) == ("", "web-canary"), "Flagger's apex has the primary's pods too"
    assert found.canary.labels == {"app": "web"}


async def test_pods_that_may_not_be_read_are_unknown_with_the_reason_and_the_rules_labels(api: Cluster, kube: KubeClient) -> None:
    put(
        api,
        virtual_service(to("web", "stable", 90), to("web", "canary", 10)),
        rule({"stable": {"version": "2.0"}, "canary": {"version": "2.1"}}),
        pod("a", app="web", version="2.0"),
        behind("web", "a"),
    )
    api.forbidden.add(PODS.path(namespace="shop"))
    found = await located(kube, SUBSETS)
    assert found.canary.pods is None
    assert "its pods could not be read" in found.canary.unknown
    assert found.canary.labels == {"version": "2.1"}


async def test_pods_that_come_and_go_are_there_at_the_next_look(api: Cluster, kube: KubeClient) -> None:
    put(
        api,
        virtual_service(to("web", "stable", 90), to("web", "canary", 10)),
        rule({"stable": {"version": "2.0"}, "canary": {"version": "2.1"}}),
        of_set("a", "web", "6d", version="2.0"),
        of_set("b", "web", "7c", version="2.1"),
        of_set("c", "web", "7c", version="2.1"),
        behind("web", "a", "b"),
    )
    router = IstioRouter(kube)
    seen = []
    for there in (("a", "b"), ("a", "b", "c"), ("a", "c"), ("a",)):
        put(api, behind("web", *there))
        placement = await router.locate(SUBSETS)
        assert placement.pods is not None
        seen.append([pod.name for pod in placement.pods.canary.pods or ()])
    assert seen == [["b"], ["b", "c"], ["c"], []]


async def test_endpoints_that_are_no_pods_are_not_known_as_pods(api: Cluster, kube: KubeClient) -> None:
    put(
        api, virtual_service(to("web-primary", None, 90), to("web-canary", None, 10)), service("web-primary"), service("web-canary")
    )
    for name in ("web-primary", "web-canary"):
        slices, item = behind(name, "x")
        del item["endpoints"][0]["targetRef"]
        item["endpoints"][0]["addresses"] = [f"10.9.0.{len(name)}"]
        api.put(slices, item)
    found = await located(kube, HOSTS)
    assert found.canary.pods is None
    assert found.canary.unknown == "its endpoints are no pods"


async def test_a_revert_reads_no_pods_that_it_does_not_need(api: Cluster, kube: KubeClient) -> None:
    put(
        api,
        virtual_service(to("web-primary", None, 90), to("web-canary", None, 10)),
        service("web-primary", app="p"),
        service("web-canary", app="c"),
        of_set("p", "web-primary", "6d", app="p"),
        of_set("c", "web", "7c", app="c"),
        behind("web-primary", "p"),
        behind("web-canary", "c"),
    )
    await IstioRouter(kube).check_baseline(HOSTS)
    asked = {path for _, path in api.requests}
    assert ENDPOINT_SLICES.path(namespace="shop") in asked
    assert PODS.path(namespace="shop") not in asked
    assert SERVICES.path(namespace="shop") not in asked
