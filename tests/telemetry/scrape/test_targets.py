"""Whom to scrape is another's to say: the settings', or whoever knows which pods a release has now."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from yarl import URL

from daemon.aio.httpclient import HttpClient
from daemon.aio.parsing import ParserPool
from daemon.errors import Unavailable
from daemon.meshes.envoy.telemetry import SCHEMA as ENVOY
from daemon.model import Reading, Watch
from daemon.ports.telemetry import Target, Telemetry
from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.sampled import SampledTelemetry
from daemon.telemetry.scrape.source import ScrapeSource
from daemon.telemetry.scrape.targets import StaticTargets
from daemon.telemetry.scrape.text import PrometheusText
from tests.hand.clock import HandClock
from tests.hand.servers import Stub, stub
from tests.telemetry.support import watch

WATCHES = [watch("web-1"), watch("web-2", canary="web-v3")]


class Pods:
    """``Targets`` that change, as pods do."""

    def __init__(self) -> None:
        self.of: dict[str, list[Target]] = {}
        self.fault: Unavailable | None = None

    async def find(self, watches: Sequence[Watch]) -> Mapping[str, Sequence[Target]]:
        if self.fault is not None:
            raise self.fault
        return {one.release_id: self.of[one.release_id] for one in watches}


class Scene:
    def __init__(self, telemetry: Telemetry, pods: Pods, servers: Mapping[str, Stub], clock: HandClock) -> None:
        self.telemetry, self.pods, self.servers, self.clock = telemetry, pods, servers, clock

    def target(self, name: str) -> Target:
        return Target(name=name, url=self.servers[name].url)

    def both(self, name: str) -> dict[str, list[Target]]:
        """Both releases have this target and no other."""
        return {one.release_id: [self.target(name)] for one in WATCHES}

    def says(self, name: str, **requests: int) -> None:
        """What a pod has served, by cluster."""
        lines = [
            f'envoy_cluster_upstream_rq_xx{{envoy_response_code_class="2",envoy_cluster_name="web-{version}"}} {count}\n'
            for version, count in requests.items()
        ]
        self.servers[name].says("".join(lines))

    async def read(self) -> Mapping[str, Reading]:
        self.clock.time += 1
        return await self.telemetry.read(WATCHES)


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    clock, pods, index = HandClock(), Pods(), SeriesIndex(ENVOY, as_text=True)
    async with AsyncExitStack() as stack:
        servers = {name: await stack.enter_async_context(stub()) for name in ("a", "b")}
        pool = await stack.enter_async_context(ParserPool(unparsed_bytes=2**22))
        client = HttpClient(setting="x", connections=4, timeout_seconds=30.0, max_answer_bytes=2**20, pool=pool)
        source = ScrapeSource(
            await stack.enter_async_context(client),
            targets=pods,
            schema=ENVOY,
            index=index,
            page=PrometheusText(index, ENVOY),
            clock=clock,
            tick_seconds=1.0,
            concurrency=4,
        )
        yield Scene(SampledTelemetry(source, schema=ENVOY, index=index, clock=clock), pods, servers, clock)


def counted(reading: Reading) -> tuple[int, int]:
    assert reading.gap is None, reading.gap
    assert reading.baseline is not None
    assert reading.canary is not None
    return reading.baseline.requests, reading.canary.requests


async def test_targets_named_in_the_settings_are_those_of_every_release() -> None:
    targets = StaticTargets([URL("http://10.0.0.7:15090"), URL("http://[::1]:9901"), URL("http://10.0.0.7:15090")])
    found = await targets.find(WATCHES)
    assert set(found) == {"web-1", "web-2"}
    assert [one.name for one in found["web-1"]] == ["10.0.0.7:15090", "::1:9901"]
    assert [one.url for one in found["web-1"]] == ["http://10.0.0.7:15090", "http://[::1]:9901"]
    assert found["web-1"] is found["web-2"], "one list, looked at once"


async def test_a_target_that_several_releases_have_is_asked_once_at_each_tick() -> None:
    async with scene() as it:
        it.pods.of = {"web-1": [it.target("a")], "web-2": [it.target("a"), it.target("b")]}
        it.says("a", v1=100, v2=10)
        it.says("b", v1=100, v3=10)
        await it.read()
        it.says("a", v1=105, v2=12)
        it.says("b", v1=101, v3=17)
        readings = await it.read()
        assert {name: len(server.asked) for name, server in it.servers.items()} == {"a": 2, "b": 2}
        assert counted(readings["web-1"]) == (6, 2)
        assert counted(readings["web-2"]) == (6, 7)


async def test_targets_that_come_are_asked_from_then_on_and_those_that_go_no_more() -> None:
    async with scene() as it:
        it.pods.of = it.both("a")
        it.says("a", v1=100, v2=10, v3=1)
        it.says("b", v1=50, v2=5, v3=1)
        await it.read()
        it.pods.of = it.both("b")
        await it.read()
        assert {name: len(server.asked) for name, server in it.servers.items()} == {"a": 1, "b": 1}


async def test_while_nobody_knows_the_targets_ticks_are_null_and_nothing_is_lost() -> None:
    async with scene() as it:
        it.pods.of = it.both("a")
        it.says("a", v1=100, v2=10, v3=1)
        await it.read()
        it.pods.fault = Unavailable("endpoints: the API server does not answer")
        assert {one.gap for one in (await it.read()).values()} == {"endpoints: the API server does not answer"}
        assert it.telemetry.failure == "endpoints: the API server does not answer"
        it.pods.fault = None
        it.says("a", v1=130, v2=12, v3=1)
        assert counted((await it.read())["web-1"]) == (30, 2)
