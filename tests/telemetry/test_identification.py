"""Arms are pods: the cheapest labels that tell them apart, and never a subset's name."""

from dataclasses import replace

import msgspec
import pytest

from daemon.armpods import ArmPod, ArmPods, PodsByArm
from daemon.measurements import Watch
from daemon.meshes.istio.telemetry import SCHEMA as ISTIO
from daemon.model import ArmSpec, Release
from daemon.telemetry.counters.series import BASELINE, CANARY, SeriesIndex
from daemon.telemetry.identification import KnownArms, identify
from daemon.telemetry.prometheus.query import queries
from daemon.telemetry.schema import View

SERVED = ISTIO.views[0]
SUBSETS = Release(service="web", namespace="shop", baseline=ArmSpec(subset="stable"), canary=ArmSpec(subset="canary"))


def pod(name: str, *workloads: str, revision: str = "latest", version: str = "") -> ArmPod:
    return ArmPod(
        name=name, namespace="shop", address="10.0.0.7", ready=True, workloads=workloads, revision=revision, version=version
    )


def arm(*pods: ArmPod, service: str = "", **labels: str) -> ArmPods:
    return ArmPods(pods=pods, labels=labels, service=service)


def known(pods: PodsByArm | None, *, release: Release = SUBSETS, view: View = SERVED) -> KnownArms:
    found = identify(view, release, pods, dialect="istio")
    assert isinstance(found, KnownArms), found
    return found


def told(found: KnownArms) -> list[list[dict[str, str]]]:
    """The selectors of both arms, without the namespace, which each has."""
    made = []
    for one in (found.baseline, found.canary):
        labels = [dict(selector) for selector in one.series]
        assert all(selector.pop("destination_workload_namespace") == "shop" for selector in labels)
        made.append(labels)
    return made


def test_a_subset_whose_name_is_no_version_is_known_by_its_pods_workload() -> None:
    pods = PodsByArm(baseline=arm(pod("a", "web"), version="2.0"), canary=arm(pod("b", "web-next"), version="2.1"))
    found = known(pods)
    assert told(found) == [[{"destination_workload": "web"}], [{"destination_workload": "web-next"}]]
    assert found.note == ""


def test_flaggers_canary_has_the_plain_name() -> None:
    pods = PodsByArm(baseline=arm(pod("a", "web-primary"), pod("b", "web-primary")), canary=arm(pod("c", "web")))
    assert told(known(pods)) == [[{"destination_workload": "web-primary"}], [{"destination_workload": "web"}]]


def test_an_arm_of_three_workloads_is_all_of_them() -> None:
    """As v1, v1-delay, v1-error behind one subset."""
    pods = PodsByArm(baseline=arm(pod("a", "v1"), pod("b", "v1-delay")), canary=arm(pod("c", "v2")))
    assert told(known(pods))[BASELINE] == [{"destination_workload": "v1"}, {"destination_workload": "v1-delay"}]


def test_arms_of_one_workload_are_known_by_their_canonical_revisions() -> None:
    pods = PodsByArm(baseline=arm(pod("a", "web", revision="1.0")), canary=arm(pod("b", "web", revision="1.1")))
    found = known(pods)
    assert told(found)[CANARY] == [{"destination_workload": "web", "destination_canonical_revision": "1.1"}]
    assert found.by == ("destination_workload", "destination_canonical_revision")


def test_arms_of_one_revision_are_known_by_the_label_version() -> None:
    one, other = pod("a", "web", revision="same", version="v1"), pod("b", "web", revision="same", version="v2")
    found = known(PodsByArm(baseline=arm(one), canary=arm(other)))
    assert told(found)[CANARY][0]["destination_version"] == "v2"


def argo(*, pods: int = 2, service: str = "web") -> PodsByArm:
    """Arms as Argo Rollouts makes them: one workload, one revision."""

    def many(letter: str, count: int) -> ArmPods:
        return arm(*(pod(f"{service}-{letter}-{n}", service, f"{service}-{letter}") for n in range(count)))

    return PodsByArm(baseline=many("6d", pods), canary=many("7c", 1))


def test_arms_that_share_their_workload_and_revision_are_known_pod_by_pod_and_asked_for_by_their_workload() -> None:
    found = known(argo())
    assert told(found) == [[{"pod": "web-6d-0"}, {"pod": "web-6d-1"}], [{"pod": "web-7c-0"}]]
    asked = {dict(selector)["destination_workload"] for one in (found.baseline, found.canary) for selector in one.asked}
    assert asked == {"web", "web-6d", "web-7c"}, "as Istio names the workload since 1.22, and as it did before"


def test_queries_are_as_many_and_as_long_for_a_thousand_pods_as_for_one() -> None:
    def asked(*watches: Watch) -> list[str]:
        index = SeriesIndex(ISTIO)
        index.watch(watches)
        made = queries(ISTIO, index.selectors, outcomes=index.outcomes, requests_seconds=15.0, latencies_seconds=15.0)
        return made.requests + made.latencies

    few, many = (asked(Watch(release_id="r", release=SUBSETS, pods=argo(pods=count))) for count in (1, 1000))
    assert few == many
    services = [f"web{n}" for n in range(1000)]
    releases = [msgspec.structs.replace(SUBSETS, service=name) for name in services]
    watches = [Watch(release_id=r.service, release=r, pods=argo(pods=10, service=r.service)) for r in releases]
    assert len(asked(*watches)) == len(few), "one query a family"
    assert max(map(len, asked(*watches))) < 64 * 1024


def learn(index: SeriesIndex, **labels: str) -> list[int]:
    always = {"reporter": "destination", "destination_workload_namespace": "shop", "response_code": "200"}
    series = index.learn(str(labels), "istio_requests_total", {**always, **labels})
    assert series is not None
    return [one.arm for one in series.label_set.arms]


def test_of_a_shared_workload_each_pods_series_are_its_own_arms_and_a_third_pods_are_nobodys() -> None:
    index = SeriesIndex(ISTIO)
    index.watch([Watch(release_id="r", release=SUBSETS, pods=argo())])
    assert learn(index, destination_workload="web", pod="web-6d-1") == [BASELINE]
    assert learn(index, destination_workload="web", pod="web-7c-0") == [CANARY]
    assert learn(index, destination_workload="web", pod="web-8e-0") == []


def test_pods_that_come_are_their_arms_from_then_on() -> None:
    index, before = SeriesIndex(ISTIO), argo()
    index.watch([Watch(release_id="r", release=SUBSETS, pods=before)])
    assert learn(index, destination_workload="web", pod="web-7c-1") == []
    canary = arm(*(before.canary.pods or ()), pod("web-7c-1", "web"))
    index.watch([Watch(release_id="r", release=SUBSETS, pods=replace(before, canary=canary))])
    series = index[str({"destination_workload": "web", "pod": "web-7c-1"})]
    assert series is not None
    assert [one.arm for one in series.label_set.arms] == [CANARY]


def test_a_part_of_the_baselines_pods_is_the_canarys() -> None:
    shared = pod("b", "web", revision="v2")
    found = known(PodsByArm(baseline=arm(pod("a", "web", revision="v1"), shared), canary=arm(shared)))
    assert [one[0]["destination_canonical_revision"] for one in told(found)] == ["v1", "v2"]


@pytest.mark.parametrize(
    ("pods", "said"),
    [
        (PodsByArm(baseline=arm(pod("a", "web")), canary=arm(app="web", version="2.1")), "canary: no pod is behind it"),
        (PodsByArm(baseline=arm(pod("a", "web")), canary=arm(app="web", version="2.1")), "(app=web, version=2.1)"),
        (PodsByArm(baseline=arm(pod("a", "web")), canary=arm(pod("a", "web"))), "baseline and canary are the same pods (a)"),
        (
            PodsByArm(baseline=arm(pod("a", "x"), pod("b", "x")), canary=arm(pod("b", "x"), pod("c", "x"))),
            "baseline and canary are the same pods (b)",
        ),
    ],
)
def test_arms_that_are_no_two_sets_of_pods_say_so(pods: PodsByArm, said: str) -> None:
    found = identify(SERVED, SUBSETS, pods, dialect="istio")
    assert isinstance(found, str)
    assert said in found


def test_a_canary_alone_is_known_by_its_own_pods_once_the_baseline_has_none() -> None:
    gone = PodsByArm(baseline=arm(app="web", version="2.0"), canary=arm(pod("b", "web-next")))
    found = identify(SERVED, SUBSETS, gone, dialect="istio", alone=True)
    assert isinstance(found, KnownArms)
    assert told(found) == [[], [{"destination_workload": "web-next"}]]
    both = PodsByArm(baseline=arm(pod("a", "web")), canary=gone.canary)
    assert identify(SERVED, SUBSETS, both, dialect="istio", alone=True) == known(both)
    nobody = PodsByArm(baseline=gone.baseline, canary=arm(app="web"))
    assert (
        identify(SERVED, SUBSETS, nobody, dialect="istio", alone=True)
        == "canary: no pod is behind it that has a label to be known by"
    )


def test_what_a_person_calls_two_workloads_is_taken_as_it_is() -> None:
    release = Release(service="web", namespace="shop", baseline=ArmSpec(workload="one"), canary=ArmSpec(workload="two"))
    pods = PodsByArm(baseline=arm(pod("a", "x")), canary=arm(pod("b", "y")))
    assert told(known(pods, release=release)) == [[{"destination_workload": "one"}], [{"destination_workload": "two"}]]


def test_where_pods_cannot_be_read_the_rules_labels_do_and_the_reason_is_said() -> None:
    unknown = "its pods could not be read: forbidden"
    pods = PodsByArm(
        baseline=ArmPods(labels={"version": "2.0"}, unknown=unknown), canary=ArmPods(labels={"version": "2.1"}, unknown=unknown)
    )
    found = known(pods)
    assert [one[0]["destination_version"] for one in told(found)] == ["2.0", "2.1"]
    assert unknown in found.note


def test_where_nobody_can_be_asked_the_subsets_name_is_all_that_there_is() -> None:
    found = known(None)
    assert [one[0]["destination_version"] for one in told(found)] == ["stable", "canary"]
    assert "its name is taken for that of a version" in found.note


@pytest.mark.parametrize(("services", "apart"), [(("web-stable", "web-canary"), True), (("web-stable", ""), False)])
def test_at_the_clients_side_a_service_tells_an_arm_only_where_no_other_has_its_pods(
    services: tuple[str, str], *, apart: bool
) -> None:
    pods = argo()
    pods = PodsByArm(baseline=replace(pods.baseline, service=services[0]), canary=replace(pods.canary, service=services[1]))
    found = identify(ISTIO.reporters["source"][0], SUBSETS, pods, dialect="istio")
    if apart:
        assert isinstance(found, KnownArms)
        assert [one[0]["destination_service_name"] for one in told(found)] == list(services)
    else:
        assert isinstance(found, str)
        assert "their pods share destination_workload web" in found


def test_pods_of_one_name_in_two_namespaces_are_two() -> None:
    """As those of a StatefulSet are, which a change of the mesh reaches in one namespace first."""
    trial = replace(pod("web-0", "web"), namespace="trial")
    found = known(PodsByArm(baseline=arm(pod("web-0", "web")), canary=arm(trial)))
    [selector] = found.canary.series
    assert dict(selector) == {"destination_workload": "web", "destination_workload_namespace": "trial"}


def test_pods_of_one_workload_that_only_a_change_of_the_mesh_tells_apart_are_known_one_by_one() -> None:
    found = known(PodsByArm(baseline=arm(pod("a", "web")), canary=arm(pod("b", "web"))))
    assert (told(found), found.by) == ([[{"pod": "a"}], [{"pod": "b"}]], ("pod",))
