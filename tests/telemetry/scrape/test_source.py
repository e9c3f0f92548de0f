"""Scraping proxies against answers a real Envoy gives rarely: concurrency, failures, half-answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext

import pytest
from aiohttp import web

from config.settings import EnvoyTelemetry as EnvoySettings
from daemon.errors import InvalidInput
from daemon.measurements import Reading
from daemon.meshes.envoy.telemetry import STATISTICS
from daemon.meshes.registry import schemas
from daemon.ports.telemetry import Telemetry
from daemon.telemetry.factory import telemetry_from
from tests.hand.clock import HandClock
from tests.hand.servers import Stub, half, hang_up, silence, stub
from tests.telemetry.support import impatient, watch, workloads


def page(baseline: int, canary: int, errors: int = 0) -> str:
    lines = [f'envoy_cluster_upstream_rq_xx{{envoy_response_code_class="2",envoy_cluster_name="web-v1"}} {baseline}']
    if canary:
        lines.append(f'envoy_cluster_upstream_rq_xx{{envoy_response_code_class="2",envoy_cluster_name="web-v2"}} {canary}')
    if errors:
        lines.append(f'envoy_cluster_upstream_rq_xx{{envoy_response_code_class="5",envoy_cluster_name="web-v2"}} {errors}')
    return "# TYPE envoy_cluster_upstream_rq_xx counter\n" + "\n".join(lines) + "\n"


class Scene:
    def __init__(self, telemetry: Telemetry, proxies: list[Stub], clock: HandClock) -> None:
        self.telemetry, self.proxies, self.clock = telemetry, proxies, clock

    async def read(self) -> Reading:
        self.clock.time += 1
        return (await self.telemetry.read([watch()]))["web-1"]


@asynccontextmanager
async def scene(proxies: int = 1, **settings: object) -> AsyncIterator[Scene]:
    clock = HandClock()
    async with AsyncExitStack() as stack:
        stubs = [await stack.enter_async_context(stub()) for _ in range(proxies)]
        made = EnvoySettings(
            **{"endpoints": [one.url for one in stubs], "timeout_seconds": 30.0, **settings}  # type: ignore[arg-type]  # fields of the settings
        )
        telemetry = await stack.enter_async_context(telemetry_from(made, clock=clock, schemas=schemas()))
        yield Scene(telemetry, stubs, clock)


def counted(reading: Reading) -> tuple[int, int, int]:
    assert reading.gap is None, reading.gap
    assert reading.baseline is not None
    assert reading.canary is not None
    return reading.baseline.requests, reading.canary.requests, reading.canary.errors


async def test_the_counts_of_all_proxies_add_up() -> None:
    async with scene(3) as it:
        for n, proxy in enumerate(it.proxies):
            proxy.says(page(100 * n, 10))
        assert (await it.read()).gap == "first reading: counting starts here"
        for n, proxy in enumerate(it.proxies):
            proxy.says(page(100 * n + 5, 11, errors=1))
        assert counted(await it.read()) == (15, 6, 3)
        assert not it.telemetry.split
        assert it.telemetry.tick_seconds == 1.0


async def test_only_what_is_watched_is_asked_for() -> None:
    async with scene() as it:
        it.proxies[0].says(page(1, 1))
        await it.read()
        assert it.proxies[0].asked == [{"usedonly": "", "filter": rf"^cluster\.(web-v1|web-v2)\.{STATISTICS}$"}]
        await it.telemetry.read([watch(f"web-{n}", canary=f"web-v{n}") for n in range(2, 100)])
        assert it.proxies[0].asked[-1]["filter"] == rf"^cluster\.(.*)\.{STATISTICS}$"


async def test_names_cannot_break_out_of_the_filter() -> None:
    async with scene() as it:
        it.proxies[0].says(page(1, 1))
        await it.telemetry.read([watch(canary="v2)|(&usedonly=")])
        assert it.proxies[0].asked[0]["filter"] == rf"^cluster\.(v2\)\|\(&usedonly=|web-v1)\.{STATISTICS}$"


async def test_no_more_proxies_are_asked_at_once_than_the_pool_holds() -> None:
    """One server that is many proxies: its port under many loopback addresses."""
    async with stub(addresses=20) as server:
        port, four = server.url.rpartition(":")[2], asyncio.Barrier(4)

        async def answer(request: web.Request) -> web.Response:
            await four.wait()  # so many are there; now is the time for a fifth
            await asyncio.sleep(0.01)
            return web.Response(text=page(1, 1))

        server.does(answer)
        made = EnvoySettings(endpoints=[f"http://127.0.0.{n}:{port}" for n in range(1, 21)], concurrency=4)
        async with telemetry_from(made, clock=HandClock(), schemas=schemas()) as telemetry:
            await telemetry.read([watch()])
        assert (server.most_at_once, len(server.asked)) == (4, 20)


async def test_arms_that_cannot_be_known_are_not_scraped_for() -> None:
    async with scene() as it:
        reading = (await it.telemetry.read([watch(canary="web.v2")]))["web-1"]
        assert "at its dot" in (reading.gap or "")
        assert it.proxies[0].asked == []


FAULTS: dict[str, tuple[Callable[[Stub], None], str]] = {
    "500": (lambda server: server.says("", status=500), "answered 500"),
    "404": (lambda server: server.says("", status=404), "answered 404"),
    "403": (lambda server: server.says("", status=403), "answered 403"),
    "slow": (lambda server: server.does(silence()), "did not answer within 0.3 s"),
    "half open": (lambda server: server.does(half(page(1, 1).encode())), "did not answer within 0.3 s"),
    "hangs up": (lambda server: server.does(hang_up()), "isconnected"),
    "cut off": (lambda server: server.says(page(1, 1)[:-3]), "no number"),
    "no number": (lambda server: server.says(page(1, 1).replace(" 1\n", " one\n")), "no number"),
    "labels broken": (lambda server: server.says(page(1, 1).replace("class=", "class")), "malformed"),
    "no count": (lambda server: server.says(page(1, 1).replace(" 1\n", " NaN\n")), "is not a count"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_proxy_that_fails_makes_the_tick_null_and_loses_nothing(fault: str) -> None:
    break_it, reason = FAULTS[fault]
    async with scene(2) as it:
        for proxy in it.proxies:
            proxy.says(page(100, 10))
        await it.read()
        it.proxies[0].says(page(107, 11))
        break_it(it.proxies[1])
        with impatient(it.telemetry) if "within" in reason else nullcontext():
            gap = await it.read()
        assert gap.baseline is None
        assert gap.canary is None
        assert reason in (gap.gap or "")
        it.proxies[0].says(page(109, 12))
        it.proxies[1].says(page(101, 12, errors=1))
        reading = await it.read()
        assert counted(reading) == (10, 5, 1)
        assert reading.seconds == 2.0


async def test_a_proxy_that_stays_away_is_given_up() -> None:
    async with scene(2) as it:
        for proxy in it.proxies:
            proxy.says(page(100, 10))
        await it.read()
        it.proxies[1].says("", status=503)
        readings = []
        for n in range(1, 12):
            it.proxies[0].says(page(100 + n, 10))
            readings.append(await it.read())
        gaps = [reading.gap for reading in readings if reading.gap is not None]
        assert 3 <= len(gaps) <= 6
        assert all("answered 503" in gap for gap in gaps)
        assert counted(readings[-1]) == (1, 0, 0)


async def test_the_first_requests_of_a_canary_are_not_lost() -> None:
    async with scene() as it:
        it.proxies[0].says(page(100, 0))
        await it.read()
        assert (await it.read()).gap == "canary: no series yet"
        it.proxies[0].says(page(103, 2, errors=4))
        assert counted(await it.read()) == (3, 6, 4)


async def test_istio_sidecars_are_pods() -> None:
    def sidecar(workload: str, ok: int, failed: int) -> str:
        labels = f'reporter="destination",destination_workload="{workload}",destination_workload_namespace="default"'
        return (
            f'istio_requests_total{{{labels},response_code="200",response_flags="-"}} {ok}\n'
            f'istio_requests_total{{{labels},response_code="503",response_flags="-"}} {failed}\n'
            f'istio_requests_total{{{labels},response_code="0",response_flags="DC"}} 99\n'
            f'istio_requests_total{{{labels.replace("destination", "source", 1)},response_code="503"}} 5000\n'
        )

    async with scene(2, dialect="istio") as it:
        one, two = it.proxies
        one.says(sidecar("web-v1", 10, 0))
        two.says(sidecar("web-v2", 5, 0))
        await it.telemetry.read([workloads()])
        it.clock.time += 1
        one.says(sidecar("web-v1", 20, 1))
        two.says(sidecar("web-v2", 6, 3))
        reading = (await it.telemetry.read([workloads()]))["web-1"]
        assert counted(reading) == (11, 4, 3)
        assert reading.canary is not None
        assert set(reading.canary.pods or {}) == {two.url.removeprefix("http://")}
        assert "istio_(requests_total|" in one.asked[0]["filter"]


async def test_bins_of_istio_are_refused_at_the_start() -> None:
    with pytest.raises(InvalidInput, match="write histograms: text"):
        async with scene(dialect="istio", histograms="bins"):
            pass


async def test_an_endless_page_is_refused_with_the_key_that_would_let_it_in() -> None:
    async with scene(max_answer_bytes=1_048_576) as it:

        async def endless(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(page(1, 1).encode())
            while True:
                await response.write(b"# nothing\n" * 1000)

        it.proxies[0].does(endless)
        await it.read()
        gap = (await it.read()).gap or ""
        assert "answered with more than 1048576 bytes; raise telemetry.NAME.max_answer_bytes" in gap


async def test_cancelling_a_reading_leaves_nothing_behind() -> None:
    async with scene(timeout_seconds=30.0) as it:
        it.proxies[0].does(silence())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await it.read()
        it.proxies[0].says(page(1, 1))
        assert (await it.read()).gap == "first reading: counting starts here"


async def test_a_release_that_ends_while_its_proxies_are_being_asked_is_left_out_and_the_others_are_read() -> None:
    async with scene() as it:
        it.proxies[0].says(page(100, 10))
        both = [watch(), watch(release_id="web-2")]
        await it.telemetry.read(both)
        reading = asyncio.ensure_future(it.telemetry.read(both))
        await asyncio.sleep(0)
        it.telemetry.forget("web-2")
        assert set(await reading) == {"web-1"}
