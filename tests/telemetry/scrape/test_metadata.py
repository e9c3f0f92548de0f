"""Denials and ages on the proxies' own pages, in all spellings."""

import pytest

from config.settings import EnvoyTelemetry, PrometheusTelemetry
from daemon.measurements import Reading
from daemon.meshes.registry import schemas
from daemon.ports.telemetry import Telemetry
from daemon.telemetry.factory import telemetry_from
from tests.hand.clock import HandClock
from tests.hand.servers import Stub, stub
from tests.telemetry.support import workloads

SPELLINGS = [
    'envoy_http_rbac{authz_enforce_result="denied",http_conn_manager_prefix="inbound_0.0.0.0_8080"}',
    'envoy_http_inbound_0_0_0_0_8080_rbac{authz_enforce_result="denied"}',
    'envoy_http_rbac_denied{envoy_http_conn_manager_prefix="inbound_0.0.0.0_8080"}',
]


def page(arm: str, served: int, forbidden: int, *of_itself: str) -> str:
    lines = [
        f'istio_requests_total{{reporter="destination",destination_workload="{arm}",'
        f'destination_workload_namespace="default",response_code="{code}"}} {count}'
        for code, count in (("200", served), ("403", forbidden))
    ]
    return "\n".join([*lines, *of_itself]) + "\n"


async def read(source: Telemetry, clock: HandClock) -> Reading:
    clock.time += 1
    return (await source.read([workloads()]))["web-1"]


def say(pods: tuple[Stub, Stub], served: int, forbidden: int, *of_itself: str) -> None:
    pods[0].says(page("web-v1", 100 + served, 0))
    pods[1].says(page("web-v2", served, forbidden, *of_itself))


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_denials_and_age_are_read_from_the_page(spelling: str) -> None:
    clock = HandClock()
    async with stub() as baseline, stub() as canary:
        settings = EnvoyTelemetry(endpoints=[baseline.url, canary.url], dialect="istio", histograms="text")
        async with telemetry_from(settings, clock=clock, schemas=schemas()) as source:
            pods = (baseline, canary)
            say(pods, 10, 5, f"{spelling} 5", "envoy_server_uptime{} 20", 'envoy_http_rbac{authz_enforce_result="allowed"} 7')
            await read(source, clock)
            say(pods, 12, 9, f"{spelling} 8", "envoy_server_uptime{} 21", 'envoy_http_rbac{authz_enforce_result="allowed"} 9')
            reading = await read(source, clock)
            assert reading.canary is not None
            assert reading.baseline is not None
            assert (reading.canary.requests, reading.canary.denied) == (3, 3)
            (pod,) = (reading.canary.pods or {}).values()
            assert (pod.denied, pod.age_seconds) == (3, 21.0)
            (pod,) = (reading.baseline.pods or {}).values()
            assert (pod.denied, pod.age_seconds) == (0, None)
            assert canary.asked[0]["filter"].endswith(r"|^http\..*rbac\.denied$|^server\.uptime$")


async def test_where_denials_cannot_be_told_it_is_said_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="daemon.telemetry.factory")
    async with telemetry_from(PrometheusTelemetry(url="http://127.0.0.1:1", dialect="istio"), clock=HandClock(), schemas=schemas()):
        assert not caplog.records
    async with telemetry_from(EnvoyTelemetry(endpoints=["http://127.0.0.1:1"]), clock=HandClock(), schemas=schemas()):
        assert [record.message for record in caplog.records if "cannot tell" in record.message]
