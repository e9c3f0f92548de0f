"""The tables: which series are an arm's."""

from dataclasses import replace

import pytest

from daemon.meshes.envoy.telemetry import SCHEMA as ENVOY
from daemon.meshes.istio.telemetry import SCHEMA as ISTIO
from daemon.meshes.registry import schemas
from daemon.model import ArmSpec, Release
from daemon.telemetry.identification import named_selectors
from daemon.telemetry.schema import Schema


def release(arm: ArmSpec) -> Release:
    return Release(service="reviews", namespace="shop", baseline=ArmSpec(service="other"), canary=arm)


@pytest.mark.parametrize(
    ("arm", "expected"),
    [
        (ArmSpec(workload="reviews-v2"), {"destination_workload": "reviews-v2"}),
        (
            ArmSpec(workload="reviews", version="v2", service="reviews-canary", subset="b"),
            {"destination_workload": "reviews", "destination_version": "v2"},
        ),
        (ArmSpec(service="reviews-canary"), {"destination_service_name": "reviews-canary"}),
        (ArmSpec(version="v2"), {"destination_version": "v2", "destination_service_name": "reviews"}),
        (ArmSpec(subset="v2"), {"destination_version": "v2", "destination_service_name": "reviews"}),
        (ArmSpec(labels={"version": "v2"}), {"destination_version": "v2", "destination_service_name": "reviews"}),
        (
            ArmSpec(subset="canary", labels={"service.istio.io/canonical-revision": "v2", "track": "x"}),
            {"destination_canonical_revision": "v2", "destination_service_name": "reviews"},
        ),
    ],
)
def test_istio_arms_are_known_by_what_they_name(arm: ArmSpec, expected: dict[str, str]) -> None:
    (found,) = named_selectors(ISTIO.views[0].arms, arm, release(arm))
    assert dict(found) == {**expected, "destination_workload_namespace": "shop"}
    assert [label for label, _ in found] == sorted(label for label, _ in found)


def test_an_arm_that_names_nothing_this_telemetry_carries_cannot_be_known() -> None:
    arm = ArmSpec(labels={"track": "canary"})
    assert named_selectors(ISTIO.views[0].arms, arm, release(arm)) == ()
    arm = ArmSpec(workload="reviews-v2", version="v2", subset="v2")
    assert named_selectors(ENVOY.views[0].arms, arm, release(arm)) == ()


def test_envoy_arms_are_clusters() -> None:
    arm = ArmSpec(service="reviews-v2", version="v2")
    assert named_selectors(ENVOY.views[0].arms, arm, release(arm)) == ((("envoy_cluster_name", "reviews-v2"),),)


def test_the_counter_that_forgets_what_envoy_failed_itself_is_never_asked_for() -> None:
    names = [name for schema in schemas().values() for view in schema.views for name in view.names]
    assert not [name for name in names if name.endswith("upstream_rq_total")]


@pytest.mark.parametrize("schema", schemas().values(), ids=schemas().keys())
def test_requests_have_latencies_in_every_dialect_and_connections_in_none(schema: Schema) -> None:
    assert {protocol: schema.has_latency(protocol) for protocol in schema.protocols} == {"http": True, "tcp": False}


def test_requests_without_a_latency_are_no_view() -> None:
    with pytest.raises(ValueError, match="requests_total: requests have a histogram of latency"):
        replace(ENVOY.views[0], requests="requests_total", latency=None)
