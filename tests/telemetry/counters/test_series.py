"""Which series belong to whom: learnt once, brought up to date, never to the wrong arm."""

import math
from dataclasses import replace

import pytest

from daemon.errors import InvalidInput
from daemon.measurements import Watch
from daemon.meshes.envoy.telemetry import SCHEMA as ENVOY
from daemon.meshes.istio.telemetry import SCHEMA as ISTIO
from daemon.model import ArmSpec, Release
from daemon.telemetry.counters.series import BASELINE, CANARY, Series, SeriesIndex
from daemon.telemetry.counters.snapshot import assemble
from tests.telemetry.support import watch, workloads

LABELS = {
    "reporter": "destination",
    "destination_workload": "web-v2",
    "destination_workload_namespace": "default",
    "destination_version": "v2",
    "response_code": "200",
    "instance": "10.0.0.1:15020",
}


def learn(index: SeriesIndex, name: str = "istio_requests_total", **labels: str) -> Series | None:
    return index.learn(f"{name}{labels}", name, {**LABELS, **labels})


def test_a_series_is_its_arms_and_nobody_elses() -> None:
    index = SeriesIndex(ISTIO)
    index.watch([workloads(), workloads("web-2", canary="web-v3"), workloads("web-3", namespace="other")])
    series = learn(index)
    assert series is not None
    assert [(arm.release_id, arm.arm) for arm in series.label_set.arms] == [("web-1", CANARY)]
    shared = learn(index, destination_workload="web-v1")
    assert shared is not None
    assert [(arm.release_id, arm.arm) for arm in shared.label_set.arms] == [("web-1", BASELINE), ("web-2", BASELINE)]


@pytest.mark.parametrize(
    "labels",
    [
        {"reporter": "source"},
    ],
)
def test_series_that_never_concern_us_are_known_as_such(labels: dict[str, str]) -> None:
    index = SeriesIndex(ISTIO)
    index.watch([workloads()])
    assert learn(index, **labels) is None
    assert index[f"istio_requests_total{labels}"] is None


def test_foreign_metrics_are_known_as_such() -> None:
    assert learn(SeriesIndex(ISTIO), "istio_request_bytes_bucket", le="1") is None


def test_what_is_the_same_of_the_series_of_one_target_is_kept_once() -> None:
    index, labels = SeriesIndex(ISTIO), {"pod": "web-0", "cluster": "prod"}
    first, other = (
        learn(index, **{name: value.encode().decode() for name, value in {**LABELS, **labels, "response_code": code}.items()})
        for code in ("200", "503")
    )
    assert first is not None
    assert other is not None
    assert first.target == "web-0@prod"
    for name in ("target", "place", "pod", "instance", "cluster", "scraper"):
        assert getattr(first, name) is getattr(other, name), name


def test_buckets_and_sum_of_one_histogram_have_one_identity_and_each_scraper_its_own() -> None:
    index = SeriesIndex(ISTIO)
    name = "istio_request_duration_milliseconds"
    ours = [learn(index, f"{name}_bucket", le="5"), learn(index, f"{name}_bucket", le="+Inf"), learn(index, f"{name}_sum")]
    others = [learn(index, f"{name}_sum", prometheus_replica=replica) for replica in "ab"]
    assert len({found.identity for found in ours if found is not None}) == 1
    assert len({found.identity for found in (*ours, *others) if found is not None}) == 3
    assert len({found.scraper for found in (*ours, *others) if found is not None}) == 3


def test_the_form_of_a_series_is_the_same_for_all_callers_and_answers() -> None:
    index = SeriesIndex(ISTIO)
    same = [learn(index, source_workload="a"), learn(index, source_workload="b", response_code="503")]
    other = [learn(index, source_workload="a", region="eu"), learn(index), learn(index, source_workload="a", job="b")]
    forms = [found.form for found in (*same, *other) if found is not None]
    assert forms[0] == forms[1]
    assert len(set(forms)) == 4, "the others differ in a label's name, or in what their scraper has added"


def test_the_two_pages_of_a_sidecar_are_one_target_also_where_nobody_names_the_pod() -> None:
    index = SeriesIndex(ISTIO)
    found = [learn(index, instance=f"10.0.0.1:{port}") for port in (15020, 15090, 9090)]
    assert [one.target for one in found if one is not None] == ["10.0.0.1:15020", "10.0.0.1:15020", "10.0.0.1:9090"]


def test_targets_are_pods_where_there_are_pods() -> None:
    index = SeriesIndex(ISTIO)
    plain, named = learn(index), learn(index, pod="web-v2-abc")
    assert plain is not None
    assert named is not None
    assert (plain.target, plain.pod) == ("10.0.0.1:15020", "10.0.0.1:15020")
    assert (named.target, named.pod) == ("web-v2-abc", "web-v2-abc")


@pytest.mark.parametrize("labels", [{}, {"le": "fast"}, {"le": ""}])
def test_a_bucket_whose_bound_cannot_be_read_has_none_and_is_its_histograms_fault(labels: dict[str, str]) -> None:
    found = learn(SeriesIndex(ISTIO), "istio_request_duration_milliseconds_bucket", **labels)
    assert found is not None
    assert math.isnan(found.le)
    with pytest.raises(InvalidInput, match="label le"):
        assemble({found.le: 1.0, math.inf: 2.0}, None, unit_ms=1.0, path="h")


def test_when_releases_begin_and_end_known_series_change_hands() -> None:
    index = SeriesIndex(ISTIO)
    index.watch([workloads()])
    learn(index)
    index.watch([workloads("web-9", baseline="web-v2", canary="web-v3")])
    series = index["istio_requests_total{}"]
    assert series is not None
    assert [(arm.release_id, arm.arm) for arm in series.label_set.arms] == [("web-9", BASELINE)]
    index.watch([])
    series = index["istio_requests_total{}"]
    assert series is not None
    assert series.label_set.arms == ()


def test_the_same_watches_again_change_nothing() -> None:
    index = SeriesIndex(ISTIO)
    index.watch([workloads()])
    before = index.arms
    index.watch([workloads()])
    assert index.arms is before


def test_the_arm_told_more_exactly_has_the_series() -> None:
    """A baseline known by its workload only would swallow a canary that is a version of the same workload."""
    release = Release(service="web", baseline=ArmSpec(workload="web-v2"), canary=ArmSpec(workload="web-v2", version="v2"))
    index = SeriesIndex(ISTIO)
    index.watch([Watch(release_id="r", release=release)])
    canary, baseline = learn(index), learn(index, destination_version="v1")
    assert canary is not None
    assert baseline is not None
    assert [arm.arm for arm in canary.label_set.arms] == [CANARY]
    assert [arm.arm for arm in baseline.label_set.arms] == [BASELINE]


@pytest.mark.parametrize(
    ("baseline", "canary", "reason"),
    [
        (ArmSpec(labels={"track": "a"}), ArmSpec(workload="b"), "baseline: istio telemetry knows arms by workload, service"),
        (ArmSpec(workload="b"), ArmSpec(labels={"track": "a"}), "canary: istio telemetry"),
        (ArmSpec(workload="b", subset="v1"), ArmSpec(workload="b", subset="v2"), "cannot tell the arms apart"),
    ],
)
def test_arms_that_cannot_be_known_say_why(baseline: ArmSpec, canary: ArmSpec, reason: str) -> None:
    index = SeriesIndex(ISTIO)
    index.watch([Watch(release_id="r", release=Release(service="web", baseline=baseline, canary=canary))])
    assert reason in index.unknowable["r"]
    assert index.arms == {}


def test_a_dot_in_a_clusters_name_cannot_be_read_in_prometheus_format() -> None:
    """Measured: cluster ``web.v2`` appears as ``envoy_cluster_v2_upstream_rq_xx{envoy_cluster_name="web"}``."""
    index = SeriesIndex(ENVOY, as_text=True)
    index.watch([watch(canary="web.v2")])
    assert "histograms: bins" in index.unknowable["web-1"]
    exact = SeriesIndex(ENVOY)
    exact.watch([watch(canary="web.v2")])
    assert exact.unknowable == {}


def test_series_that_have_gone_are_forgotten_in_the_end() -> None:
    index = SeriesIndex(ISTIO)
    for number in range(2000):
        learn(index, destination_workload=f"w{number}")
    index.tidy(2000)
    assert index["istio_requests_total{'destination_workload': 'w7'}"] is not None
    index.tidy(10)
    with pytest.raises(KeyError):
        index["istio_requests_total{'destination_workload': 'w7'}"]


def test_requests_seen_from_two_places_are_counted_from_one() -> None:
    """Both ends know the arm by the same labels."""
    ends = tuple(replace(ISTIO.views[0], always=(("reporter", end),)) for end in ("destination", "source"))
    index = SeriesIndex(replace(ISTIO, views=ends))
    index.watch([workloads()])
    served, sent = learn(index), learn(index, reporter="source")
    assert served is not None
    assert sent is not None
    assert [arm.view for arm in served.label_set.arms] == [ends[0]]
    assert sent.label_set.arms == ()
