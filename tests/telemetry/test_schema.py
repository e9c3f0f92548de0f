"""The tables: which series are an arm's, and which requests have failed."""

import pytest

from daemon.meshes.envoy.telemetry import SCHEMA as ENVOY
from daemon.meshes.istio.telemetry import SCHEMA as ISTIO
from daemon.meshes.registry import schemas
from daemon.model import ArmSpec, Release
from daemon.telemetry.schema import Ended, selectors


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
    (found,) = selectors(ISTIO.views[0].arms, arm, release(arm))
    assert dict(found) == {**expected, "destination_workload_namespace": "shop"}
    assert [label for label, _ in found] == sorted(label for label, _ in found)


def test_an_arm_that_names_nothing_this_telemetry_carries_cannot_be_known() -> None:
    arm = ArmSpec(labels={"track": "canary"})
    assert selectors(ISTIO.views[0].arms, arm, release(arm)) == ()
    arm = ArmSpec(workload="reviews-v2", version="v2", subset="v2")
    assert selectors(ENVOY.views[0].arms, arm, release(arm)) == ()


def test_envoy_arms_are_clusters() -> None:
    arm = ArmSpec(service="reviews-v2", version="v2")
    assert selectors(ENVOY.views[0].arms, arm, release(arm)) == ((("envoy_cluster_name", "reviews-v2"),),)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"response_code": "200"}, Ended.SERVED),
        ({"response_code": "404"}, Ended.SERVED),
        ({"response_code": "503", "response_flags": "-"}, Ended.FAILED),
        ({"response_code": "503", "response_flags": "UF,URX"}, Ended.FAILED),
        ({"response_code": "503", "response_flags": "FI"}, Ended.EXCUSED),
        ({"response_code": "0", "response_flags": "DC"}, Ended.EXCUSED),
        ({"response_code": "0", "response_flags": "UR"}, Ended.FAILED),
        ({"response_code": "200", "response_flags": "DC"}, Ended.SERVED),
        ({"response_code": "200", "grpc_response_status": "0"}, Ended.SERVED),
        ({"response_code": "200", "grpc_response_status": ""}, Ended.SERVED),
        ({"response_code": "200", "grpc_response_status": "5"}, Ended.SERVED),
        ({"response_code": "200", "grpc_response_status": "7"}, Ended.FORBIDDEN),
        ({"response_code": "403", "response_flags": "-"}, Ended.FORBIDDEN),
        ({"response_code": "403", "response_flags": "FI"}, Ended.EXCUSED),
        ({"response_code": "200", "grpc_response_status": "13"}, Ended.FAILED),
        ({"response_code": "200", "grpc_response_status": "14"}, Ended.FAILED),
        ({}, Ended.SERVED),
    ],
)
def test_what_istio_counts_as_failed(labels: dict[str, str], expected: Ended) -> None:
    assert ISTIO.ended(labels) is expected


def test_envoy_fails_by_class() -> None:
    classes = {code: ENVOY.ended({"envoy_response_code_class": code}) for code in "2345"}
    assert classes == {"2": Ended.SERVED, "3": Ended.SERVED, "4": Ended.SERVED, "5": Ended.FAILED}


def test_the_counter_that_forgets_what_envoy_failed_itself_is_never_asked_for() -> None:
    names = [name for schema in schemas().values() for view in schema.views for name in view.names]
    assert not [name for name in names if name.endswith("upstream_rq_total")]
