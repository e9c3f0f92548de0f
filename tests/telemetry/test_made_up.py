"""A mesh's telemetry is data: schemas of other forms than Istio's are read through Prometheus and from targets' own pages."""

import pytest

from daemon.model import ArmSpec
from tests.telemetry.made_up import SCHEMAS
from tests.telemetry.scenes import arms, scene, watching

INBOUND, OUTBOUND = {"direction": "inbound", "namespace": "shop"}, {"direction": "outbound", "dst_namespace": "shop"}

BY_WORKLOAD = watching(baseline=ArmSpec(workload="web-v1"), canary=ArmSpec(workload="web-v2"))
BY_SERVICE = watching(baseline=ArmSpec(service="web-v1"), canary=ArmSpec(service="web-v2"))
BY_SUBSET = watching(baseline=ArmSpec(service="web", subset="v1"), canary=ArmSpec(subset="v2"))


@pytest.mark.parametrize("through", ["prometheus", "text"])
async def test_requests_by_classification_denials_and_a_date_of_birth_are_read_at_the_pods(through: str) -> None:
    async with scene("linked", through=through, schemas=SCHEMAS) as it:
        began = it.clock.time - 100.0

        def shows(baseline: int, canary: int, failed: int) -> None:
            v1 = {**INBOUND, "statefulset": "web-v1", "instance": "a"}
            v2 = {**INBOUND, "deployment": "web-v2", "instance": "b"}
            it.exporter.shows("response_total", baseline, classification="success", status_code="200", **v1)
            it.exporter.shows("response_total", canary, classification="success", status_code="200", **v2)
            it.exporter.shows("response_total", failed, classification="failure", status_code="200", **v2)
            it.exporter.shows("response_total", 2 * failed, classification="success", status_code="403", **v2)
            # The same requests as those who sent them count them.
            sent = {**OUTBOUND, "dst_deployment": "web-v2", "instance": "a"}
            it.exporter.shows("response_total", 7 * canary, classification="failure", **sent)
            for labels, total in ((v1, baseline), (v2, canary)):
                it.exporter.shows_latency("response_latency_ms", total, le=("1", "10"), status_code="200", **labels)
            it.exporter.shows_latency("response_latency_ms", 9 * failed, le=("1", "10"), status_code="500", **v2)
            it.exporter.shows("inbound_http_authz_deny_total", failed, instance="b")
            it.exporter.shows("process_start_time_seconds", began, instance="b")

        reading = await it.counted(BY_WORKLOAD, shows)
        assert arms(reading) == {"baseline": (40, 0), "canary": (6 + 3 + 3, 3)}, "of six 403 the filter had denied three"
        assert reading.canary is not None
        assert reading.canary.denied == 3
        assert reading.canary.latency is not None
        assert (reading.bounds_ms, reading.canary.latency.counts) == ((1.0, 10.0), (6, 0, 0))
        assert {pod.age_seconds for pod in (reading.canary.pods or {}).values()} == {110.0}
        assert it.telemetry.split
        if through == "text":
            assert it.exporter.asked[0] == {"path": "/metrics"}


@pytest.mark.parametrize("through", ["prometheus", "text"])
async def test_arms_that_only_those_who_send_know_are_counted_there(through: str) -> None:
    async with scene("linked", through=through, schemas=SCHEMAS) as it:

        def shows(baseline: int, canary: int, failed: int) -> None:
            v1, v2 = ({**OUTBOUND, "dst_service": service, "instance": "a"} for service in ("web-v1", "web-v2"))
            it.exporter.shows("response_total", baseline, classification="success", status_code="200", **v1)
            it.exporter.shows("response_total", canary, classification="success", status_code="200", **v2)
            it.exporter.shows("response_total", failed, classification="failure", status_code="", **v2)
            it.exporter.shows("inbound_http_authz_deny_total", 50 * failed, instance="a")
            it.exporter.shows("process_start_time_seconds", 5.0, instance="a")

        reading = await it.counted(BY_SERVICE, shows)
        assert arms(reading) == {"baseline": (40, 0), "canary": (9, 3)}
        assert reading.canary is not None
        assert (reading.canary.denied, reading.canary.pods) == (0, None), "what a client says of itself is not the arm's"


@pytest.mark.parametrize("through", ["prometheus", "text"])
async def test_a_subset_beside_the_service_tells_the_arms_apart(through: str) -> None:
    async with scene("subsets", through=through, schemas=SCHEMAS) as it:

        def shows(baseline: int, canary: int, failed: int) -> None:
            web = {"consul_destination_service": "web", "consul_destination_namespace": "shop", "instance": "a"}
            for subset, status, value in (("v1", "2", baseline), ("v2", "2", canary), ("v2", "5", failed)):
                labels = {**web, "consul_destination_service_subset": subset}
                it.exporter.shows("envoy_cluster_upstream_rq_xx", value, envoy_response_code_class=status, **labels)
            for subset, total in (("v1", baseline), ("v2", canary + failed)):
                labels = {**web, "consul_destination_service_subset": subset}
                it.exporter.shows_latency("envoy_cluster_upstream_rq_time", total, le=("0.5", "1"), **labels)

        reading = await it.counted(BY_SUBSET, shows)
        assert arms(reading) == {"baseline": (40, 0), "canary": (9, 3)}
        assert reading.canary is not None
        assert reading.canary.latency is not None
        assert reading.canary.latency.counts == (9, 0, 0)
        assert not it.telemetry.split
        if through == "text":
            assert it.exporter.asked[0]["filter"] == r"^cluster\.(.*\.)?(shop|v1|v2|web)\..*upstream_rq_(\dxx|time)$"


async def test_arms_that_no_view_can_tell_apart_say_so_of_each() -> None:
    async with scene("linked", through="prometheus", schemas=SCHEMAS) as it:
        reading = await it.read(watching(baseline=ArmSpec(service="web"), canary=ArmSpec(service="web")))
        assert reading.gap == (
            "baseline: linked telemetry knows arms by workload; it names none; linked telemetry cannot tell the arms apart: "
            'both are dst_namespace="shop", dst_service="web"'
        )
        assert not it.exporter.asked
