"""Arms that no route tells apart: pods of one application, some of which have a change of the mesh."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from daemon.armpods import ArmPods
from daemon.cli import main
from daemon.errors import Blocked, InvalidInput, NotFound
from daemon.kube.client import KubeClient
from daemon.kube.resources import PODS, SERVICES, Json
from daemon.meshes import registry
from daemon.meshes.kind import MeshKind
from daemon.meshes.podarms import Choice, PodsRouter, are_versions, placed
from daemon.model import ArmSpec, Release
from tests.meshes.cluster import Cluster
from tests.meshes.objects import service

REV = "istio.io/rev"
OLD = Choice(namespace="shop", labels={REV: "1-24"}, workload=None)
NEW = Choice(namespace="shop", labels={REV: "1-25"}, workload=None)


def pod(
    workload: str,
    number: int,
    *,
    rev: str = "",
    proxy: str = "proxy:1",
    image: str = "web:1",
    namespace: str = "shop",
    ended: bool = False,
    annotations: Mapping[str, str] | None = None,
) -> Json:
    """As a ReplicaSet makes it, with the proxy that was added."""
    owner = {"kind": "ReplicaSet", "name": f"{workload}-6d", "controller": True}
    return {
        "metadata": {
            "name": f"{workload}-6d-{number}",
            "generateName": f"{workload}-6d-",
            "namespace": namespace,
            "labels": {"app": workload, "pod-template-hash": "6d", **({REV: rev} if rev else {})},
            "annotations": annotations or {},
            "ownerReferences": [owner],
        },
        "spec": {"containers": [{"name": "web", "image": image}, {"name": "istio-proxy", "image": proxy}]},
        "status": {
            "podIP": f"10.1.0.{number}",
            "phase": "Failed" if ended else "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def names(arm: ArmPods) -> list[str]:
    return [one.name for one in arm.pods or ()]


def test_the_arms_are_the_pods_of_one_application_that_have_the_new_revision_and_those_that_have_the_old_one() -> None:
    there = [pod("web", 1, rev="1-24"), pod("web", 2, rev="1-24"), pod("web", 3, rev="1-25", proxy="proxy:2")]
    found = placed(there, baseline=OLD, canary=NEW)
    assert found.pods is not None
    assert (names(found.pods.baseline), names(found.pods.canary)) == (["web-6d-1", "web-6d-2"], ["web-6d-3"])
    [new] = found.pods.canary.pods or ()
    assert (new.workloads, new.address, new.ready) == (("web",), "10.1.0.3", True)
    assert (found.routes, found.canary_percent, found.baseline) == ((), 0.0, "2 pods beside the canary's 1, of web")


def test_what_a_mesh_writes_of_a_pod_as_an_annotation_chooses_as_a_label_does() -> None:
    there = [pod("web", number, annotations={REV: f"1-2{number}"}) for number in (4, 5)]
    found = placed(there, baseline=OLD, canary=NEW)
    assert found.pods is not None
    assert (names(found.pods.baseline), names(found.pods.canary)) == (["web-6d-4"], ["web-6d-5"])


def test_a_baseline_that_is_the_whole_workload_is_what_is_left_of_it() -> None:
    there = [pod("web", 1), pod("web", 2, rev="1-25"), pod("web", 3, ended=True)]
    found = placed(there, baseline=Choice(namespace="shop", labels={}, workload="web"), canary=NEW)
    assert found.pods is not None
    assert (names(found.pods.baseline), names(found.pods.canary)) == (["web-6d-1"], ["web-6d-2"])


def test_of_several_workloads_together_one_that_has_pods_in_one_arm_only_is_left_out_and_named() -> None:
    both = [pod(of, number, rev=rev) for of in ("api", "web") for number, rev in enumerate(("1-24", "1-25"))]
    found = placed([*both, pod("jobs", 1, rev="1-25")], baseline=OLD, canary=NEW)
    assert found.pods is not None
    assert (names(found.pods.baseline), names(found.pods.canary)) == (["api-6d-0", "web-6d-0"], ["api-6d-1", "web-6d-1"])
    assert found.baseline == "2 pods beside the canary's 2, of api, web; left out, with pods in one arm only: jobs"


def test_one_workload_of_them_is_compared_alone_where_the_arms_name_it() -> None:
    there = [pod(of, number, rev=rev) for of in ("api", "web") for number, rev in enumerate(("1-24", "1-25"))]
    web = [Choice(namespace="shop", labels={REV: rev}, workload="web") for rev in ("1-24", "1-25")]
    found = placed(there, baseline=web[0], canary=web[1])
    assert found.pods is not None
    assert (names(found.pods.baseline), names(found.pods.canary)) == (["web-6d-0"], ["web-6d-1"])


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (
            [pod("web", 1, rev="1-24")],
            r"the canary has no pods: .* 1 there has istio.io/rev=1-25 \(istio.io/rev is 1-24\)",
        ),
        ([pod("web", 1, rev="1-25")], r"the baseline has no pods: none of the 1 there has istio.io/rev=1-24"),
        (
            [pod("api", 1, rev="1-24"), pod("web", 2, rev="1-25")],
            r"no workload has pods in both .* of api, the canary's of web",
        ),
    ],
)
def test_an_arm_that_is_not_there_yet_is_told_with_what_is(there: list[Json], said: str) -> None:
    with pytest.raises(NotFound, match=said):
        placed(there, baseline=OLD, canary=NEW)


def test_arms_that_differ_in_the_application_too_are_refused_since_what_the_mesh_did_could_not_be_told() -> None:
    there = [pod("web", 1, rev="1-24"), pod("web", 2, rev="1-25", image="web:2")]
    with pytest.raises(InvalidInput) as caught:
        placed(there, baseline=OLD, canary=NEW)
    assert str(caught.value).startswith(
        "$.canary: the pods of web are not of one application version: the baseline's run web: web:1, the canary's web: web:2"
    )


def hashed(value: str, workload: str = "web") -> Choice:
    return Choice(namespace="shop", labels={"app": "web", "pod-template-hash": value}, workload=workload)


def revised(number: int, value: str, image: str, *, workload: str = "web") -> Json:
    made = pod(workload, number, image=image)
    made["metadata"]["labels"] |= {"app": "web", "pod-template-hash": value}
    made["metadata"]["ownerReferences"][0]["name"] = f"{workload}-{value}"
    return made


def test_pods_of_two_templates_of_one_workload_are_two_versions_of_its_application() -> None:
    there = [revised(1, "6d", "web:1"), revised(2, "6d", "web:1"), revised(3, "7e", "web:2")]
    found = placed(there, baseline=hashed("6d"), canary=hashed("7e"))
    assert found.pods is not None
    assert [len(arm.pods or ()) for arm in (found.pods.baseline, found.pods.canary)] == [2, 1]
    assert found.baseline == (
        "2 pods of app=web, pod-template-hash=6d of web beside the canary's 1, of app=web, pod-template-hash=7e of web"
    )


def test_two_workloads_that_are_named_are_two_versions_and_pods_of_one_template_are_not() -> None:
    there = [revised(1, "6d", "web:1", workload="web-blue"), revised(2, "7e", "web:2", workload="web-green")]
    blue, green = (Choice(namespace="shop", labels={"app": "web"}, workload=f"web-{color}") for color in ("blue", "green"))
    found = placed(there, baseline=blue, canary=green)
    assert found.pods is not None
    assert [one.workloads for arm in (found.pods.baseline, found.pods.canary) for one in arm.pods or ()] == [
        ("web-blue",),
        ("web-green",),
    ]
    assert not are_versions(hashed("6d"), hashed("6d"))
    assert not are_versions(OLD, NEW)
    with pytest.raises(NotFound, match="the canary has no pods"):
        placed(there[:1], baseline=blue, canary=green)


async def test_an_arm_may_be_a_services_pods_in_another_namespace_that_was_given_the_change_first(
    api: Cluster, kube: KubeClient
) -> None:
    for namespace in ("shop", "trial"):
        api.put(PODS, pod("web", 1, namespace=namespace))
        api.put(*service("web", namespace=namespace, app="web"))
    api.put(PODS, pod("other", 2, namespace="trial"))
    release = Release(
        service="web", namespace="shop", baseline=ArmSpec(service="web"), canary=ArmSpec(service="web.trial.svc"), strategy="pods"
    )
    found = (await PodsRouter(kube).locate(release)).pods
    assert found is not None
    assert [[(one.namespace, one.name) for one in arm.pods or ()] for arm in (found.baseline, found.canary)] == [
        [("shop", "web-6d-1")],
        [("trial", "web-6d-1")],
    ]
    del api.objects[SERVICES.path(namespace="trial", name="web")]
    with pytest.raises(NotFound, match="there is no Service web in namespace trial that selects pods"):
        await PodsRouter(kube).locate(release)


async def test_pods_are_chosen_by_labels_version_and_workload_in_the_releases_namespace(api: Cluster, kube: KubeClient) -> None:
    api.put(PODS, pod("web", 1, rev="1-24"))
    api.put(PODS, pod("web", 2, rev="1-25"))
    baseline, canary = [ArmSpec(workload="web", labels={REV: rev}) for rev in ("1-24", "1-25")]
    release = Release(service="istio", namespace="shop", strategy="pods", baseline=baseline, canary=canary)
    found = await PodsRouter(kube).locate(release)
    assert found.baseline == "1 pods beside the canary's 1, of web"


async def test_nothing_of_them_is_ever_taken_back_and_what_to_do_is_said(kube: KubeClient) -> None:
    router = PodsRouter(kube)
    release = Release(service="web", baseline=ArmSpec(labels={REV: "a"}), canary=ArmSpec(labels={REV: "b"}), strategy="pods")
    for ask in (router.check_baseline, router.revert, router.canary_gets_traffic):
        with pytest.raises(Blocked, match="no route tells these pods apart: take the change back where it was made"):
            await ask(release)


@pytest.mark.parametrize("kind", registry.BUILT_IN, ids=lambda kind: kind.name)
def test_a_mesh_knows_pods_where_it_may_list_them(kind: MeshKind) -> None:
    settings = kind.settings if kind.needs_kubernetes else None
    known = settings is not None and registry.knows_pods(settings(telemetry="t"))
    assert known is (kind.name in {"gateway-api", "istio", "linkerd", "osm"})


def test_to_take_a_change_of_the_mesh_back_by_hand_is_refused_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "release.json"
    arms = {"baseline": {"labels": {REV: "1-24"}}, "canary": {"labels": {REV: "1-25"}}}
    file.write_text(json.dumps({"service": "istio", "strategy": "pods", "policy": "watch", **arms}), encoding="utf-8")
    assert main(["revert", "--release", str(file), "--yes"]) == 64
    told = capsys.readouterr().err
    assert "by the strategy pods no route tells the arms apart" in told
    assert "take the change back where it was made (the revision, the proxy, the policy)" in told
