"""Denials and age from a real Envoy with a policy filter, under the names that stock Envoy and Istio's bootstrap give them."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from config.settings import EnvoyTelemetry, PrometheusTelemetry
from daemon.aio.clock import SystemClock
from daemon.measurements import Reading
from daemon.meshes.registry import schemas
from daemon.ports.telemetry import Telemetry
from daemon.telemetry.factory import telemetry_from
from tests.hand.servers import app_of, serving
from tests.live.telemetry_world import MANAGER, ROUTER
from tests.live.test_telemetry_envoy import PATIENCE_SECONDS
from tests.servers.envoy import envoy
from tests.servers.prometheus import prometheus
from tests.servers.run import LOOPBACK, free_ports
from tests.telemetry.support import workloads

pytestmark = pytest.mark.live

RBAC = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
ISTIO_TAGS = [
    {"tag_name": "authz_enforce_result", "regex": r"rbac(\.(allowed|denied))"},
    {"tag_name": "http_conn_manager_prefix", "regex": r"^http\.((.*?);\.)"},
]
NAMES = {
    "stock": ("inbound_8080", [], 'envoy_http_rbac_denied{envoy_http_conn_manager_prefix="inbound_8080"}'),
    "stock, dots": ("inbound_0.0.0.0_8080", [], "envoy_http_0_0_0_8080_rbac_denied{"),
    "istio": ("inbound_0.0.0.0_8080;", ISTIO_TAGS, 'envoy_http_rbac{authz_enforce_result="denied",'),
}


@dataclass
class Sidecar:
    """An Envoy that lets friends through, and the page that a pod shows: Envoy's own with the mesh's counters."""

    workload: str
    port: int
    admin: str
    page_port: int
    client: aiohttp.ClientSession
    answered: Counter[int] = field(default_factory=Counter)
    page: str = ""
    _counting: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Envoy's counter and the mesh's move together: no page is made in between."""

    async def send(self, *, friends: int = 0, strangers: int = 0) -> None:
        """Send requests and count the answers as Istio's own filter does."""
        for headers in [{"x-who": "friend"}] * friends + [{}] * strangers:
            async with self._counting, self.client.get(f"http://{LOOPBACK}:{self.port}/", headers=headers) as response:
                self.answered[response.status] += 1

    async def show(self, request: web.Request) -> web.Response:
        """The merged page; whatever was asked for is asked of Envoy."""
        async with self._counting, self.client.get(f"{self.admin}/stats/prometheus", params=request.query) as response:
            self.page = await response.text()
            counts = dict(self.answered)
        labels = f'reporter="destination",destination_workload="{self.workload}",destination_workload_namespace="default"'
        ours = [f'istio_requests_total{{{labels},response_code="{code}"}} {count}\n' for code, count in counts.items()]
        return web.Response(text=self.page + "".join(ours))


def _bootstrap(port: int, admin_port: int, prefix: str, tags: list[dict[str, str]]) -> dict[str, object]:
    friends = {"header": {"name": "x-who", "string_match": {"exact": "friend"}}}
    rules = {"action": "ALLOW", "policies": {"friends": {"permissions": [{"any": True}], "principals": [friends]}}}
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    manager = {
        "@type": MANAGER,
        "stat_prefix": prefix,
        "route_config": {"virtual_hosts": [{"name": "web", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {"name": "envoy.filters.http.rbac", "typed_config": {"@type": RBAC, "rules": rules}},
            {"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}},
        ],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {
        "admin": {"address": {"socket_address": {"address": LOOPBACK, "port_value": admin_port}}},
        "stats_flush_interval": "0.5s",
        "stats_config": {"stats_tags": tags},
        "static_resources": {
            "listeners": [
                {
                    "address": {"socket_address": {"address": LOOPBACK, "port_value": port}},
                    "filter_chains": [{"filters": filters}],
                }
            ]
        },
    }


@asynccontextmanager
async def sidecars(folder: Path, prefix: str, tags: list[dict[str, str]]) -> AsyncIterator[tuple[Sidecar, Sidecar]]:
    """One pod of each arm."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(aiohttp.ClientSession())
        made = []
        for workload in ("web-v1", "web-v2"):
            port, admin_port, page_port = free_ports(3)
            (folder / workload).mkdir()
            bootstrap = folder / workload / "envoy.json"
            bootstrap.write_text(json.dumps(_bootstrap(port, admin_port, prefix, tags)), encoding="utf-8")
            running = await stack.enter_async_context(envoy(folder / workload, bootstrap, admin_port))
            made.append(Sidecar(workload, port, running.admin, page_port, client))
            await stack.enter_async_context(serving(app_of(made[-1].show), port=page_port))
        yield made[0], made[1]


async def read(source: Telemetry) -> Reading:
    return (await source.read([workloads()]))["web-1"]


async def counted(source: Telemetry) -> Reading:
    """Read until something is counted: what two pods have shown within moments is not of equal times, and kept for the next."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (reading := await read(source)).gap is not None:
            await asyncio.sleep(0.05)
    return reading


@pytest.mark.parametrize("names", NAMES)
async def test_denials_and_age_from_a_real_envoys_page(tmp_path: Path, names: str) -> None:
    prefix, tags, shown = NAMES[names]
    began = time.monotonic()
    async with sidecars(tmp_path, prefix, tags) as (baseline, canary):
        settings = EnvoyTelemetry(
            endpoints=[f"http://{LOOPBACK}:{one.page_port}" for one in (baseline, canary)],
            dialect="istio",
            histograms="text",
            timeout_seconds=PATIENCE_SECONDS,
        )
        async with telemetry_from(settings, clock=SystemClock(), schemas=schemas()) as source:
            await asyncio.gather(baseline.send(friends=3), canary.send(friends=2, strangers=1))
            await read(source)
            await asyncio.gather(baseline.send(friends=5), canary.send(friends=4, strangers=6))
            reading = await counted(source)
            assert canary.answered == {200: 6, 403: 7}, "the filter answers 403"
            assert shown in canary.page
            assert len(canary.page.splitlines()) < 12, "the filter lets nothing else through"
            assert reading.baseline is not None
            assert reading.canary is not None
            assert (reading.baseline.requests, reading.baseline.denied) == (5, 0)
            assert (reading.canary.requests, reading.canary.errors, reading.canary.denied) == (4, 0, 6)
            (pod,) = (reading.canary.pods or {}).values()
            assert pod.age_seconds is not None
            assert 0.0 <= pod.age_seconds <= time.monotonic() - began + 1.0, "Envoy tells whole seconds"


async def test_denials_and_ages_through_a_real_prometheus(tmp_path: Path) -> None:
    """The same two Envoys with Istio's tags, scraped by a Prometheus."""
    prefix, tags, _ = NAMES["istio"]
    began = time.monotonic()
    async with sidecars(tmp_path, prefix, tags) as (baseline, canary):
        pages = [f"{LOOPBACK}:{one.page_port}" for one in (baseline, canary)]
        job = {"job_name": "pods", "static_configs": [{"targets": pages}]}
        await asyncio.gather(baseline.send(friends=3), canary.send(friends=2, strangers=2))
        async with prometheus(tmp_path / "prometheus", [job]) as server:
            made = PrometheusTelemetry(url=server.url, dialect="istio", tick_seconds=1.0, timeout_seconds=PATIENCE_SECONDS)
            async with telemetry_from(made, clock=SystemClock(), schemas=schemas()) as source:
                await counted(source)
                await asyncio.gather(baseline.send(friends=5), canary.send(friends=4, strangers=6))
                requests, denied, ages = 0, 0, []
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while requests + denied < 10:
                        await asyncio.sleep(0.2)
                        reading = await read(source)
                        if reading.canary is not None:
                            requests += reading.canary.requests
                            denied += reading.canary.denied
                            ages += [pod.age_seconds for pod in (reading.canary.pods or {}).values()]
                assert (requests, denied) == (4, 6)
                assert ages
                assert all(age is not None and 0.0 <= age <= time.monotonic() - began + 1.0 for age in ages)
