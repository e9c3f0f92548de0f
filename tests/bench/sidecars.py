"""Sidecars read directly: what a tick of 500 pods costs, from the question whom to ask to the readings."""

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from config.settings import SidecarTelemetry
from daemon.aio.clock import SystemClock
from daemon.aio.parsing import ParserPool
from daemon.armpods import ArmPod, ArmPods, PodsByArm
from daemon.demo.istiocounters import BOUNDS_MS
from daemon.measurements import Watch
from daemon.meshes.registry import schemas
from daemon.model import ArmSpec, Release
from daemon.pods.sidecars import sidecars_from
from daemon.pods.watching import PodWatch
from daemon.ports.telemetry import Telemetry
from tests.bench.figures import Figure, spread
from tests.pods.cluster import PodCluster
from tests.pods.objects import pod
from tests.servers.run import free_ports

PODS, PODS_OF_A_RELEASE = 500, 10
TICKS = 6
_PLACE = "@@"
_CALLERS = ("gateway", "checkout")


def figures() -> list[Figure]:
    """CPU and time of a tick."""
    return asyncio.run(_measured())


async def _measured() -> list[Figure]:
    (port,) = free_ports(1)
    watches = [_watch(number) for number in range(PODS // PODS_OF_A_RELEASE)]
    cpu, wall = [], []
    there = [one for watch in watches if watch.pods for arm in (watch.pods.baseline, watch.pods.canary) for one in arm.pods or ()]
    cluster = PodCluster(*(pod(one.name, address=one.address) for one in there))
    async with _served(port), _telemetry(port, cluster) as telemetry:
        for tick in range(TICKS + 2):
            cluster.bookmark()
            began, used = time.perf_counter(), time.process_time()
            readings = await telemetry.read(watches)
            if tick >= 2:  # series are learnt at their first sight, and the first reading is where counting starts
                wall.append(time.perf_counter() - began)
                cpu.append(time.process_time() - used)
                gaps = {reading.gap for reading in readings.values()}
                assert gaps == {None}, gaps
            await asyncio.sleep(max(0.0, 1.0 - (time.perf_counter() - began)))
    parts = f"{len(watches)} releases, pages of {len(_page()) / 1024:.0f} KiB; from question to readings {spread(wall, digits=2)} s"
    return [Figure(what=f"read the sidecars of {PODS} pods, CPU s a tick", measured=spread(cpu, digits=2), goal="< 1", parts=parts)]


@asynccontextmanager
async def _telemetry(port: int, cluster: PodCluster) -> AsyncIterator[Telemetry]:
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        pods = await stack.enter_async_context(PodWatch(cluster.client, clock=clock))
        made = sidecars_from(
            SidecarTelemetry(dialect="istio", port=port, timeout_seconds=5.0),
            fallback=None,
            watch_of=lambda _: pods,
            schemas=schemas(),
            clock=clock,
            name="mesh",
            pool=await stack.enter_async_context(ParserPool(unparsed_bytes=2**26)),
        )
        yield await stack.enter_async_context(made)


def _watch(number: int) -> Watch:
    """A release whose arms have five pods each, all with addresses of their own."""
    release = Release(service="web", namespace="shop", baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))
    half = PODS_OF_A_RELEASE // 2
    arms = [
        tuple(
            ArmPod(
                name=f"web-{number}-{version}-{pod}",
                namespace="shop",
                address=f"127.77.{number}.{1 + arm * half + pod}",
                ready=True,
                workloads=(f"web-{number}-{version}",),
            )
            for pod in range(half)
        )
        for arm, version in enumerate(("v1", "v2"))
    ]
    return Watch(
        release_id=f"web-{number}", release=release, pods=PodsByArm(baseline=ArmPods(pods=arms[0]), canary=ArmPods(pods=arms[1]))
    )


@asynccontextmanager
async def _served(port: int) -> AsyncIterator[None]:
    """All pods' pages, by a process of its own: what they cost is not ours."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.bench.sidecars", str(port))
    try:
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    break
        yield
    finally:
        process.terminate()
        await process.wait()


def _page() -> str:
    """What a sidecar shows of requests from two callers, and of its own to two others; every number grows by one a scrape."""
    lines = []
    for reporter, caller, code in itertools.product(("destination", "source"), _CALLERS, ("200", "503")):
        labels = _labels(reporter, caller, code)
        lines.append(f"istio_requests_total{{{labels}}} {_PLACE}")
        name = "istio_request_duration_milliseconds"
        lines += [f'{name}_bucket{{{labels},le="{bound}"}} {_PLACE}' for bound in (*BOUNDS_MS, "+Inf")]
        lines += [f"{name}_{of}{{{labels}}} {_PLACE}" for of in ("sum", "count")]
    return "\n".join([*lines, f"envoy_server_uptime {_PLACE}", ""])


def _labels(reporter: str, caller: str, code: str) -> str:
    version = "%VERSION%"
    labels = {
        "reporter": reporter,
        "source_workload": caller,
        "source_canonical_service": caller,
        "source_canonical_revision": "v7",
        "source_workload_namespace": "shop",
        "source_principal": f"spiffe://cluster.local/ns/shop/sa/{caller}",
        "source_app": caller,
        "source_version": "v7",
        "source_cluster": "Kubernetes",
        "destination_workload": f"web-%NUMBER%-{version}",
        "destination_workload_namespace": "shop",
        "destination_principal": "spiffe://cluster.local/ns/shop/sa/web",
        "destination_app": "web",
        "destination_version": version,
        "destination_service": "web.shop.svc.cluster.local",
        "destination_canonical_service": "web",
        "destination_canonical_revision": version,
        "destination_service_name": "web",
        "destination_service_namespace": "shop",
        "destination_cluster": "Kubernetes",
        "request_protocol": "http",
        "response_code": code,
        "grpc_response_status": "",
        "response_flags": "-" if code == "200" else "UC",
        "connection_security_policy": "mutual_tls",
    }
    return ",".join(f'{name}="{value}"' for name, value in labels.items())


async def _serve(port: int) -> None:
    """Answer each scrape with numbers one higher. Whose pod it is, its address says: the release's number, its lower half is v1."""
    template = _page()
    pages = {version: template.replace("%VERSION%", version).encode() for version in ("v1", "v2")}
    scrapes = itertools.count(1000)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, _, number, last = str(writer.get_extra_info("sockname")[0]).split(".")
        page = pages["v1" if int(last) <= PODS_OF_A_RELEASE // 2 else "v2"].replace(b"%NUMBER%", number.encode())
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                body = page.replace(_PLACE.encode(), str(next(scrapes)).encode())
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "0.0.0.0", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
