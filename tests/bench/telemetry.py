"""Answers of telemetry: how fast they are read and differenced, and what hostile ones cost in memory and in turns of the loop."""

import asyncio
import gzip
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from config.settings import EnvoyTelemetry, PrometheusTelemetry
from daemon.aio import interpreter
from daemon.aio.clock import SystemClock
from daemon.measurements import Watch
from daemon.meshes.registry import schemas
from daemon.model import ArmSpec, Release
from daemon.ports.telemetry import Telemetry
from daemon.telemetry.factory import telemetry_from
from tests.bench.figures import Figure, spread
from tests.hand.clock import HandClock
from tests.hand.servers import stub
from tests.hand.sockets import MIB, bomb, says, server

RELEASES = 2000
BOUNDS = 20
RUNS = 5
LARGE_RELEASES = 1000
LARGE_RUNS = 6
PODS = 10
BOMBS = 8
BOMB_BYTES = 200 * MIB
_PATIENCE_SECONDS = 60.0
_Item = dict[str, Any]


def figures() -> list[Figure]:
    """Seconds for the answers of 2 000 releases, and of 1 000 of many pods; memory and stalls under eight gzip bombs."""
    return [*asyncio.run(_ordinary()), *asyncio.run(_many_pods()), *asyncio.run(_hostile())]


async def _ordinary() -> list[Figure]:
    body = _answer()
    settings = PrometheusTelemetry(url="http://127.0.0.1", dialect="istio", timeout_seconds=_PATIENCE_SECONDS)
    watches = [Watch(release_id=f"web-{n}", release=_release(n)) for n in range(RELEASES)]
    taken: list[float] = []
    async with server(says(gzip.compress(body, 1), Content_Encoding="gzip")) as prometheus:
        url = str(prometheus.url)
        async with telemetry_from(msgspec.structs.replace(settings, url=url), clock=SystemClock(), schemas=schemas()) as telemetry:
            await telemetry.read(watches)  # series are learnt at their first sight
            for _ in range(RUNS):
                began = time.process_time()
                await telemetry.read(watches)
                taken.append(time.process_time() - began)
    what = f"read {RELEASES} releases from Prometheus, CPU s"
    return [Figure(what=what, measured=spread(taken, digits=2), goal="< 4", parts=f"two answers of {len(body) / MIB:.0f} MiB")]


async def _many_pods() -> list[Figure]:
    """Every series of every pod has grown since the last reading."""
    settings = PrometheusTelemetry(url="http://127.0.0.1", dialect="istio", timeout_seconds=_PATIENCE_SECONDS)
    watches = [Watch(release_id=f"web-{n}", release=_release(n)) for n in range(LARGE_RELEASES)]
    taken: list[float] = []
    longest: list[float] = []
    clock = HandClock()
    interpreter.settle()  # as a daemon does
    async with stub() as prometheus:
        url = prometheus.url
        async with telemetry_from(msgspec.structs.replace(settings, url=url), clock=clock, schemas=schemas()) as telemetry:
            for scrape in range(LARGE_RUNS + 1):
                prometheus.does(_answering(*_pods(scrape)))
                clock.time = _scraped_at(scrape)
                began = time.process_time()
                async with stalls() as away:
                    readings = await telemetry.read(watches)
                if scrape:
                    taken.append(time.process_time() - began)
                    longest.append(max(away))
                    assert all(reading.canary is not None and reading.canary.latency for reading in readings.values())
    what = f"read and difference {LARGE_RELEASES} releases of {PODS} pods, CPU s"
    waits = spread([1e3 * wait for wait in longest])
    parts = f"{LARGE_RELEASES * PODS * (BOUNDS + 3)} series; the longest that the loop was away in a tick: {waits} ms"
    return [Figure(what=what, measured=spread(taken, digits=2), goal="<= 1, the loop within 20 ms", parts=parts)]


def _answering(requests: bytes, latencies: bytes) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        query = str((await request.post())["query"])
        body = requests if "istio_requests_total" in query else latencies if "duration" in query else _NOTHING
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})

    return answer


async def _hostile() -> list[Figure]:
    answer = says(bomb(BOMB_BYTES, of=b"# a line as any other\n"), Content_Encoding="gzip")
    async with AsyncExitStack() as stack:
        urls = [str((await stack.enter_async_context(server(answer))).url).rstrip("/") for _ in range(BOMBS)]
        telemetry = await stack.enter_async_context(
            telemetry_from(EnvoyTelemetry(endpoints=urls), clock=SystemClock(), schemas=schemas())
        )
        before = _peak_bytes(anew=True)
        async with stalls() as away:
            taken = [await _timed(telemetry) for _ in range(RUNS)]
    parts = f"a read takes {spread(taken, digits=2)} s of 0.9; the loop turns within {max(away) * 1e3:.0f} ms"
    more = (_peak_bytes() - before) / MIB
    return [Figure(what=f"{BOMBS} gzip bombs at once, MiB more in memory", measured=f"{more:.0f}", goal="<= 64", parts=parts)]


async def _timed(telemetry: Telemetry) -> float:
    began = time.perf_counter()
    await telemetry.read([Watch(release_id="web", release=_release(0, field="service"))])
    return time.perf_counter() - began


@asynccontextmanager
async def stalls() -> AsyncIterator[list[float]]:
    """How long the event loop was away, each time."""
    found: list[float] = []

    async def beat() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.002)
            now = time.perf_counter()
            found.append(now - last)
            last = now

    task = asyncio.create_task(beat())
    try:
        yield found
    finally:
        task.cancel()


def _release(number: int, *, field: str = "workload") -> Release:
    arms = [msgspec.convert({field: f"web-{number}-{version}"}, ArmSpec) for version in ("v1", "v2")]
    return Release(service=f"web-{number}", namespace="default", baseline=arms[0], canary=arms[1])


def _answer() -> bytes:
    """Buckets of every arm, with two scrapes each."""
    now = time.time()
    series = [
        {
            "metric": {
                "__name__": "istio_request_duration_milliseconds_bucket",
                "reporter": "destination",
                "destination_workload": f"web-{number}-{version}",
                "destination_workload_namespace": "default",
                "response_code": "200",
                "instance": f"10.0.{number % 250}.7:15020",
                "pod": f"web-{number}-{version}-0",
                "connection_security_policy": "mutual_tls",
                "le": str(10 * bound + 5),
            },
            "values": [[round(now - age, 3), str(1000 + 10 * bound)] for age in (5.0, 0.0)],
        }
        for number in range(RELEASES)
        for version in ("v1", "v2")
        for bound in range(BOUNDS)
    ]
    return msgspec.json.encode({"status": "success", "data": {"resultType": "matrix", "result": series}})


def _pods(scrape: int) -> tuple[bytes, bytes]:
    """Requests and latencies of every pod, packed, 5 s after the scrape before."""
    values = [(_scraped_at(scrape), str(1000 * (scrape + 1)))]
    requests: list[_Item] = []
    latencies: list[_Item] = []
    for number in range(LARGE_RELEASES):
        for pod in range(PODS):
            version = "v2" if pod < 2 else "v1"
            labels = {
                "reporter": "destination",
                "destination_workload": f"web-{number}-{version}",
                "destination_workload_namespace": "default",
                "response_code": "200",
                "instance": f"10.{number % 250}.{pod}.{number // 250}:15020",
                "pod": f"web-{number}-{version}-{pod}",
            }
            name = "istio_request_duration_milliseconds"
            requests.append({"metric": {"__name__": "istio_requests_total", **labels}, "values": values})
            bounds = (*(str(10 * bound + 5) for bound in range(BOUNDS)), "+Inf")
            latencies += [{"metric": {"__name__": f"{name}_bucket", **labels, "le": le}, "values": values} for le in bounds]
            latencies.append({"metric": {"__name__": f"{name}_sum", **labels}, "values": values})
    return _packed(requests), _packed(latencies)


def _scraped_at(scrape: int) -> float:
    return 1_000_000.0 + 5 * scrape


def _packed(series: list[_Item]) -> bytes:
    return gzip.compress(msgspec.json.encode({"status": "success", "data": {"resultType": "matrix", "result": series}}), 1)


_NOTHING = _packed([])


def _peak_bytes(*, anew: bool = False) -> int:
    """The most memory this process has had; ``anew``: from now on."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024
