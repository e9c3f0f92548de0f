"""Telemetry through a real Prometheus that scrapes a real Envoy, and an exporter that speaks as Istio's proxies do."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from aiohttp import web

from config.settings import PrometheusTelemetry
from daemon.aio.clock import SystemClock
from daemon.measurements import Reading, Watch
from daemon.meshes.registry import schemas
from daemon.model import ArmSpec, Release
from daemon.ports.telemetry import Telemetry
from daemon.telemetry.factory import telemetry_from
from tests.live.telemetry_world import ARMS, Sums, world
from tests.live.test_telemetry_envoy import ON_SCRAPE, PATIENCE_SECONDS
from tests.servers.prometheus import Prometheus, prometheus
from tests.servers.run import LOOPBACK, free_ports, until
from tests.telemetry.support import watch, workloads

pytestmark = [pytest.mark.live, pytest.mark.asyncio(loop_scope="module")]

BUCKETS = (5, 10, 100)


@dataclass
class Pod:
    """One pod's sidecar, counting in Istio's dialect. ``hostile`` stands in a label that nobody asks for."""

    workload: str
    port: int
    namespace: str = "default"
    served: int = 1000
    failed: int = 0
    hostile: str = 'a"b\\c\\nd}'
    scraped: int = 0
    runner: web.AppRunner | None = field(default=None, repr=False)

    async def start(self) -> None:
        """Serve /metrics."""
        app = web.Application()
        app.router.add_get("/metrics", self.metrics)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, LOOPBACK, self.port).start()

    async def stop(self) -> None:
        """Be gone."""
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None

    async def metrics(self, request: web.Request) -> web.Response:
        """The page, one scrape of it."""
        self.scraped += 1
        return web.Response(text="\n".join(self._lines()) + "\n")

    def _lines(self) -> list[str]:
        hostile = self.hostile.replace("\\", r"\\").replace('"', r"\"")
        common = (
            f'destination_workload="{self.workload}",destination_workload_namespace="{self.namespace}",source_app="{hostile}",'
            'request_protocol="http",grpc_response_status="",response_flags="-"'
        )
        ours = f'reporter="destination",{common}'
        lines = ["# TYPE istio_requests_total counter", "# TYPE istio_request_duration_milliseconds histogram"]
        for code, count in (("200", self.served), ("503", self.failed)):
            if count:
                latency, labels = "istio_request_duration_milliseconds", f'{ours},response_code="{code}"'
                lines.append(f"istio_requests_total{{{labels}}} {count}")
                lines.append(f'istio_requests_total{{reporter="source",{common},response_code="{code}"}} {count * 9}')
                lines += [f'{latency}_bucket{{{labels},le="{le}"}} {count}' for le in (*BUCKETS, "+Inf")]
                lines += [f"{latency}_sum{{{labels}}} {4 * count}", f"{latency}_count{{{labels}}} {count}"]
        return lines


@asynccontextmanager
async def telemetry(
    url: str, dialect: Literal["istio", "envoy"], *, timeout_seconds: float = PATIENCE_SECONDS
) -> AsyncIterator[Telemetry]:
    made = PrometheusTelemetry(url=url, dialect=dialect, tick_seconds=1.0, timeout_seconds=timeout_seconds)
    async with telemetry_from(made, clock=SystemClock(), schemas=schemas()) as source:
        yield source


async def counted(source: Telemetry, watches: list[Watch], sums: Sums) -> Reading:
    """Read until there is a tick that is not null."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            reading = (await source.read(watches))["web-1"]
            sums.add(reading)
            if reading.gap is None:
                return reading
            await asyncio.sleep(0.1)


async def read_up_to(source: Telemetry, watches: list[Watch], sums: Sums, *, canary: int, baseline: int = 0) -> None:
    """Read until so many requests of both arms have been seen: each pod is scraped at a time of its own."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while sums.requests[0] < baseline or sums.requests[1] < canary:
            await read_once_more(source, watches, sums)


async def read_once_more(source: Telemetry, watches: list[Watch], sums: Sums) -> None:
    sums.add((await source.read(watches))["web-1"])
    await asyncio.sleep(0.2)


async def test_envoy_through_prometheus_adds_up_to_what_the_backends_served(tmp_path: Path) -> None:
    async with world(tmp_path, flush=ON_SCRAPE) as it, it.envoy():
        target = it.admin.removeprefix("http://")
        job = {"job_name": "envoy", "metrics_path": "/stats/prometheus", "static_configs": [{"targets": [target]}]}
        await asyncio.gather(*(it.send(arm, 20) for arm in ARMS))
        await until(it.has_histograms, within=PATIENCE_SECONDS)
        async with prometheus(tmp_path / "prometheus", [job]) as server, telemetry(server.url, "envoy") as source:
            watches = [watch(baseline=ARMS[0], canary=ARMS[1])]
            sums = Sums()
            await counted(source, watches, sums)
            assert sums.requests == [0, 0], "what was there before the watch is history"
            it.backends[ARMS[1]].fail_every = 2
            for _ in range(20):
                await asyncio.gather(it.send(ARMS[0], 10), it.send(ARMS[1], 3), asyncio.sleep(0.1))
                sums.add((await source.read(watches))["web-1"])
            await read_up_to(source, watches, sums, canary=60, baseline=200)
            assert sums.requests == [200, 60]
            assert sums.errors == [0, it.backends[ARMS[1]].failed]
            while sums.latencies[0] < 200 or sums.latencies[1] < 60:
                await counted(source, watches, sums)
            assert sums.latencies == [200, 60]
            assert not source.split


@dataclass
class Mesh:
    """Pods by namespace, one namespace for each test: two of the baseline, one of the canary. One Prometheus scrapes all."""

    namespaces: dict[str, list[Pod]]
    server: Prometheus


NAMESPACES = ("dialect", "restart", "names", "frozen")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    """Shared, because Prometheus takes 5 s after its start before it scrapes anything."""
    ports = iter(free_ports(3 * len(NAMESPACES)))
    namespaces = {
        name: [Pod(workload, next(ports), namespace=name) for workload in ("web-v1", "web-v1", "web-v2")] for name in NAMESPACES
    }
    pods = [pod for some in namespaces.values() for pod in some]
    job = {"job_name": "pods", "static_configs": [{"targets": [f"{LOOPBACK}:{pod.port}" for pod in pods]}]}
    try:
        for pod in pods:
            await pod.start()
        async with prometheus(tmp_path_factory.mktemp("prometheus"), [job]) as server:
            await until(lambda: all_scraped(pods), within=30)
            yield Mesh(namespaces, server)
    finally:
        for pod in pods:
            await pod.stop()


async def all_scraped(pods: Sequence[Pod]) -> bool:
    """Whether the Prometheus has all of them: what a pod has served before its first scrape is nobody's to count."""
    return all(pod.scraped >= 2 for pod in pods)


@asynccontextmanager
async def istio(
    mesh: Mesh, namespace: str, *, timeout_seconds: float = PATIENCE_SECONDS
) -> AsyncIterator[tuple[list[Pod], Telemetry]]:
    """One namespace's pods, and a source that reads the Prometheus."""
    async with telemetry(mesh.server.url, "istio", timeout_seconds=timeout_seconds) as source:
        yield mesh.namespaces[namespace], source


async def test_istios_dialect_through_prometheus(mesh: Mesh) -> None:
    """Destination reports only, successes' latency only, pods apart, labels with quotes and backslashes in them."""
    began = time.time() - 2.0  # a scrape before it may be the first
    async with istio(mesh, "dialect") as (pods, source):
        watches = [workloads(namespace="dialect")]
        sums, met = Sums(), set[str]()
        while len(met) < 2:  # a tick needs one of the baseline's pods; what another has served before it is met is not counted
            first = await counted(source, watches, sums)
            met |= set((first.baseline and first.baseline.pods) or ())
        assert sums.requests == [0, 0]
        pods[0].served += 7
        pods[1].served += 5
        pods[2].served += 3
        pods[2].failed += 4
        await read_up_to(source, watches, sums, canary=7, baseline=12)
        assert (sums.requests, sums.errors) == ([12, 7], [0, 4])
        more = 0
        async with asyncio.timeout(PATIENCE_SECONDS):  # a pod's latencies are taken when those of the other arm move as well
            while sums.latencies[0] < 12 or sums.latencies[1] < 3:
                more += 1
                for pod in pods:
                    pod.served += 1
                await read_once_more(source, watches, sums)
        assert sums.latencies[0] <= 12 + 2 * more
        assert sums.latencies[1] <= 3 + more, "those of failures are left out"
        assert source.split
        await read_up_to(source, watches, sums, canary=7 + more, baseline=12 + 2 * more)
        pods[0].served += 1
        pods[2].served += 1
        reading = await counted(source, watches, sums)
        while not (reading.baseline and reading.baseline.requests):
            reading = await counted(source, watches, sums)
        assert reading.baseline.pods is not None
        assert max(pod.requests for pod in reading.baseline.pods.values()) == 1
        assert 0.0 < reading.seconds <= time.time() - began, "two scrapes of this test"


async def test_a_pod_that_restarts_and_one_that_goes_away(mesh: Mesh) -> None:
    async with istio(mesh, "restart") as (pods, source):
        watches = [workloads(namespace="restart")]
        sums = Sums()
        await counted(source, watches, sums)
        pods[2].served, pods[2].failed = 6, 2
        await read_up_to(source, watches, sums, canary=8)
        assert (sums.requests, sums.errors) == ([0, 8], [0, 2])
        await pods[1].stop()
        pods[0].served += 5
        pods[2].served += 2
        await read_up_to(source, watches, sums, canary=10, baseline=5)
        assert sums.requests == [5, 10]


async def test_names_made_to_break_out_select_nothing(mesh: Mesh) -> None:
    """The names of a release are checked when it comes in; even past that they stay names, and the query stays whole."""
    async with istio(mesh, "names") as (_, source):
        for name in ('web-v1"} or on() istio_requests_total{a="', "web-v1|web-v2", ".*", "web-v2\\", "web-v2\n"):
            release = Release(service="web", namespace="names", baseline=ArmSpec(workload="web-v1"), canary=ArmSpec(workload=name))
            gaps = [(await source.read([Watch(release_id=f"try-{name}", release=release)]))[f"try-{name}"].gap]
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not (gaps[-1] or "").startswith("canary: no series yet"):
                    await asyncio.sleep(0.2)
                    gaps.append((await source.read([Watch(release_id=f"try-{name}", release=release)]))[f"try-{name}"].gap)
            assert gaps[0] == "first reading: counting starts here"


async def test_a_prometheus_that_freezes_and_thaws_costs_ticks_and_no_requests(mesh: Mesh) -> None:
    async with istio(mesh, "frozen", timeout_seconds=1.0) as (pods, source):
        watches = [workloads(namespace="frozen")]
        sums = Sums()
        await counted(source, watches, sums)
        mesh.server.process.signal(signal.SIGSTOP)
        try:
            pods[2].served += 3
            frozen = (await source.read(watches))["web-1"]
        finally:
            mesh.server.process.signal(signal.SIGCONT)
        assert frozen.baseline is None
        assert "did not answer within 1 s" in (frozen.gap or "")
        pods[2].served += 2
        await read_up_to(source, watches, sums, canary=5)
        assert sums.requests == [0, 5]
