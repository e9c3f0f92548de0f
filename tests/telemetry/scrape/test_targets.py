"""Whom to scrape is another's to say: the settings', or whoever knows which pods a release has now."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
from yarl import URL

from daemon.aio.httpclient import HttpClient
from daemon.aio.parsing import ParserPool
from daemon.errors import Unavailable
from daemon.measurements import Reading, Watch
from daemon.meshes.envoy.telemetry import SCHEMA as ENVOY
from daemon.ports.telemetry import FoundTargets, Target, Telemetry
from daemon.telemetry.counters.collection import Collection
from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.sampled import SampledTelemetry
from daemon.telemetry.scrape.source import ScrapeSource
from daemon.telemetry.scrape.targets import StaticTargets
from daemon.telemetry.scrape.text import PrometheusText
from tests.hand.clock import HandClock
from tests.hand.servers import Stub, says, stub
from tests.telemetry.support import watch

WATCHES = [watch("web-1"), watch("web-2", canary="web-v3")]


class Pods:
    """``Targets`` that change, as pods do."""

    def __init__(self) -> None:
        self.of: dict[str, list[Target]] = {}
        self.fault: Unavailable | None = None
        self.unknown: dict[str, str] = {}

    async def find(self, watches: Sequence[Watch]) -> Mapping[str, FoundTargets]:
        if self.fault is not None:
            raise self.fault
        return {one.release_id: self._found(one.release_id) for one in watches}

    def _found(self, release_id: str) -> FoundTargets:
        if release_id in self.unknown:
            return FoundTargets(unknown=self.unknown[release_id])
        targets = tuple(self.of[release_id])
        return FoundTargets(baseline=targets, canary=targets)


class Scene:
    def __init__(
        self, telemetry: Telemetry, source: ScrapeSource, pods: Pods, servers: Mapping[str, Stub], clock: HandClock
    ) -> None:
        self.telemetry, self.source, self.pods, self.servers, self.clock = telemetry, source, pods, servers, clock

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
        yield Scene(SampledTelemetry(source, schema=ENVOY, index=index, clock=clock), source, pods, servers, clock)


def counted(reading: Reading) -> tuple[int, int]:
    assert reading.gap is None, reading.gap
    assert reading.baseline is not None
    assert reading.canary is not None
    return reading.baseline.requests, reading.canary.requests


async def test_targets_named_in_the_settings_are_those_of_every_release() -> None:
    targets = StaticTargets([URL("http://10.0.0.7:15090"), URL("http://[::1]:9901"), URL("http://10.0.0.7:15090")])
    found = await targets.find(WATCHES)
    assert set(found) == {"web-1", "web-2"}
    assert [one.name for one in found["web-1"].canary] == ["10.0.0.7:15090", "::1:9901"]
    assert [one.url for one in found["web-1"].baseline] == ["http://10.0.0.7:15090", "http://[::1]:9901"]
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


async def test_a_pod_that_has_gone_makes_no_tick_null_and_what_the_others_served_is_counted() -> None:
    async with scene() as it:
        it.pods.of = {one.release_id: [it.target("a"), it.target("b")] for one in WATCHES}
        it.says("a", v1=100, v2=10, v3=1)
        it.says("b", v1=50, v2=5, v3=1)
        await it.read()
        it.says("a", v1=110, v2=11, v3=1)
        it.pods.of = it.both("a")
        assert counted((await it.read())["web-1"]) == (10, 1)


async def test_a_pod_that_is_being_deleted_counts_while_it_answers_and_is_not_waited_for_when_it_does_not() -> None:
    async with scene() as it:
        leaving = msgspec.structs.replace(it.target("b"), leaving=True)
        it.pods.of = {one.release_id: [it.target("a"), leaving] for one in WATCHES}
        it.says("a", v1=100, v2=10, v3=1)
        it.says("b", v1=50, v2=5, v3=1)
        await it.read()
        it.says("a", v1=110, v2=11, v3=1)
        it.says("b", v1=53, v2=6, v3=1)
        assert counted((await it.read())["web-1"]) == (13, 2)
        it.says("a", v1=120, v2=12, v3=1)
        it.servers["b"].does(says("no", status=503))
        assert counted((await it.read())["web-1"]) == (10, 1)


async def test_of_a_release_whose_pods_are_not_known_nothing_is_counted_and_the_others_are() -> None:
    async with scene() as it:
        it.pods.of = it.both("a")
        it.says("a", v1=100, v2=10, v3=1)
        await it.read()
        it.pods.unknown = {"web-2": "pods cannot be watched: 403"}
        it.says("a", v1=110, v2=11, v3=1)
        readings = await it.read()
        assert counted(readings["web-1"]) == (10, 1)
        assert readings["web-2"].gap == "pods cannot be watched: 403"
        assert it.source.unreached == {"web-2": "pods cannot be watched: 403"}


async def test_a_release_none_of_whose_proxies_answers_is_told_and_a_single_silent_one_is_not() -> None:
    async with scene() as it:
        it.pods.of = {"web-1": [it.target("a")], "web-2": [it.target("a"), it.target("b")]}
        it.says("b", v1=50, v2=5, v3=1)
        it.servers["a"].does(says("no", status=503))
        await it.read()
        assert set(it.source.unreached) == {"web-1"}
        assert it.source.unreached["web-1"].startswith("none of the 1 proxies of the baseline can be read: ")


async def test_a_proxy_that_fails_again_and_again_is_asked_less_and_less_often_and_again_when_it_answers() -> None:
    async with scene() as it:
        it.pods.of = {one.release_id: [it.target("a"), it.target("b")] for one in WATCHES}
        it.says("b", v1=50, v2=5, v3=1)
        it.servers["a"].does(says("no", status=503))
        for _ in range(60):
            await it.read()
        assert len(it.servers["b"].asked) == 60
        assert 6 <= len(it.servers["a"].asked) <= 14
        it.says("a", v1=1, v2=1, v3=1)
        asked = len(it.servers["a"].asked)
        for _ in range(30):
            await it.read()
        assert len(it.servers["a"].asked) >= asked + 15


async def test_a_pods_age_is_that_of_its_containers_where_its_proxy_does_not_say_one() -> None:
    collected = Collection(epoch_offset=1000.0)
    collected.born("a", 1200.0)
    collected.born("a", 1300.0)
    assert collected.metadata["a"].born == 200.0, "what is known already goes first"
