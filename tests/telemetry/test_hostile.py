"""Telemetry that means no good: each answer is a gap with its reason, and costs neither memory, nor the loop, nor a secret."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from config.settings import EnvoyTelemetry, PrometheusTelemetry
from daemon.measurements import Reading
from daemon.meshes.registry import schemas
from daemon.ports.telemetry import Telemetry
from daemon.telemetry.factory import telemetry_from
from daemon.telemetry.sampled import SampledTelemetry
from tests.hand.clock import HandClock
from tests.hand.sockets import MIB, Server, bomb, head, says, server
from tests.telemetry.scrape.test_source import page
from tests.telemetry.support import watch, workloads

PATIENCE_SECONDS = 30.0
CEILING = 4 * MIB


@asynccontextmanager
async def prometheus(url: str) -> AsyncIterator[Telemetry]:
    made = PrometheusTelemetry(
        url=url, dialect="istio", timeout_seconds=PATIENCE_SECONDS, max_answer_bytes=CEILING, headers={"X-Scope-OrgID": "shop"}
    )
    async with telemetry_from(made, clock=HandClock(), schemas=schemas(), name="prom") as telemetry:
        yield telemetry


@asynccontextmanager
async def proxies(urls: list[str], **settings: Any) -> AsyncIterator[Telemetry]:
    made = EnvoyTelemetry(endpoints=urls, **{"timeout_seconds": PATIENCE_SECONDS, "max_answer_bytes": CEILING, **settings})
    async with telemetry_from(made, clock=HandClock(), schemas=schemas(), name="edge") as telemetry:
        yield telemetry


async def read(telemetry: Telemetry) -> Reading:
    return (await telemetry.read([watch()]))["web-1"]


def base(made: Server) -> str:
    return str(made.url).rstrip("/")


LINES = b"# a line as any other, and many of them\n"


@pytest.mark.parametrize("filling", [b"\0", LINES], ids=["one line", "many lines"])
@pytest.mark.parametrize("histograms", ["text", "bins"])
async def test_eight_proxies_that_answer_with_bombs_are_eight_that_failed(filling: bytes, histograms: str) -> None:
    answer = says(bomb(32 * MIB, of=filling), Content_Encoding="gzip")
    async with AsyncExitStack() as stack:
        hostile = [await stack.enter_async_context(server(answer)) for _ in range(8)]
        telemetry = await stack.enter_async_context(proxies([base(one) for one in hostile], histograms=histograms))
        gap = (await read(telemetry)).gap or ""
    cut = histograms == "text" and filling is LINES
    assert ("raise telemetry.edge.max_answer_bytes" if cut else "longer than") in gap


async def test_proxies_that_are_honest_are_counted_beside_one_that_is_not() -> None:
    async with AsyncExitStack() as stack:
        honest = await stack.enter_async_context(server(says(page(100, 10).encode())))
        hostile = await stack.enter_async_context(server(says(bomb(32 * MIB), Content_Encoding="gzip")))
        telemetry = await stack.enter_async_context(proxies([base(honest), base(hostile)]))
        assert (await read(telemetry)).gap == "first reading: counting starts here"
        assert len(hostile.asked) == 1


async def test_a_bomb_from_prometheus_is_a_gap_with_the_key_to_raise() -> None:
    series = b'{"metric":{"__name__":"x"},"values":[[1,"1"]]}'
    body = (
        b'{"status":"success","data":{"resultType":"matrix","result":[' + b",".join([series] * (16 * MIB // len(series))) + b"]}}"
    )
    async with server(says(gzip.compress(body), Content_Encoding="gzip")) as hostile, prometheus(base(hostile)) as telemetry:
        gap = (await telemetry.read([workloads()]))["web-1"].gap or ""
    assert gap.endswith(f"answered with more than {CEILING} bytes; raise telemetry.prom.max_answer_bytes")


@pytest.mark.parametrize("status", ["302 Found", "307 Temporary Redirect"])
async def test_neither_questions_nor_headers_follow_a_redirect(status: str) -> None:
    async with server(says(b"{}")) as victim, server(says(status=status, Location=str(victim.url))) as hostile:
        async with prometheus(base(hostile)) as telemetry:
            gap = (await telemetry.read([workloads()]))["web-1"].gap or ""
            assert "put the final address into telemetry.prom" in gap
            assert "x-scope-orgid" in hostile.asked[0].lower()
        async with proxies([base(hostile)]) as telemetry:
            assert "put the final address into telemetry.edge" in ((await read(telemetry)).gap or "")
        assert victim.asked == []


async def test_new_series_at_every_tick_of_an_answer_that_fails_are_forgotten() -> None:
    """An answer is read as it comes, so that one that fails in the end has taught series before."""
    ticks = 0

    async def answer(made: Server, writer: asyncio.StreamWriter) -> None:
        nonlocal ticks
        ticks += 1
        series = ",".join(f'{{"metric":{{"__name__":"x","n":"{ticks}-{n}"}},"values":[]}}' for n in range(500))
        body = f'{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}},"warnings":["half"]}}'
        await made.send(writer, head() + body.encode())

    async with server(answer) as hostile, prometheus(base(hostile)) as telemetry:
        for _ in range(10):
            assert "half" in ((await telemetry.read([workloads()]))["web-1"].gap or "")
        assert isinstance(telemetry, SampledTelemetry)
        known = len(telemetry._index.series)
        for _ in range(10):
            await telemetry.read([workloads()])
        assert len(telemetry._index.series) <= known + 1000
        assert known < 10 * 1000


async def test_what_targets_say_of_themselves_that_is_half_there_is_not_there() -> None:
    """Denials that nobody ever answered for may be done without; of a broken answer not even the first half is taken."""
    counted = b'{"metric":{"__name__":"istio_requests_total","reporter":"destination","destination_workload":"%s",'
    counted += b'"destination_workload_namespace":"default","response_code":"200","instance":"%s"},"values":[[1000000.0,"%d"]]}'
    denied = b'{"metric":{"__name__":"envoy_server_uptime","instance":"a:1"},"values":[[1000000.0,"5"]]}'
    both = b",".join(counted % (name, instance, 7) for name, instance in ((b"web-v1", b"a:1"), (b"web-v2", b"b:1")))
    answers = {
        b"istio_requests_total": b'{"status":"success","data":{"resultType":"matrix","result":[' + both + b"]}}",
        b"istio_request_duration": b'{"status":"success","data":{"resultType":"matrix","result":[]}}',
        b"envoy_server_uptime": b'{"status":"success","data":{"resultType":"matrix","result":[' + denied + b"," + denied + b",",
    }
    asked: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        length = int(request.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        form = await reader.readexactly(length)
        name = next(name for name in answers if name in form)
        asked.append(name)
        writer.write(head() + answers[name])
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with listening, prometheus(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}") as telemetry:
        reading = (await telemetry.read([workloads()]))["web-1"]
        assert reading.gap == "first reading: counting starts here"
        assert b"envoy_server_uptime" in asked
