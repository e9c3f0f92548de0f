"""Every dialect, whatever happens behind its proxies: what is counted is what happened, and never more than that."""

import gzip
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzers.judge import fold, start, terms_of
from analyzers.ruling import Ruling
from config.policy import Policy, Promotion
from config.settings import EnvoyTelemetry, PrometheusTelemetry
from daemon.measurements import Reading
from daemon.meshes.registry import schemas
from daemon.model import ArmSpec
from daemon.recordings import sample_of
from daemon.telemetry.counters.collection import Collection, Timing
from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.factory import telemetry_from
from daemon.telemetry.sampled import SampledTelemetry
from daemon.telemetry.scrape.targets import ScrapeStamp
from daemon.telemetry.scrape.text import PrometheusText
from daemon.telemetry.spoken import spoken
from tests.hand.clock import HandClock
from tests.hand.servers import stub
from tests.telemetry.proxies import CONNECTIONS, REQUESTS, Dialect, Ending, How, Proxy
from tests.telemetry.scenes import Scene, arms, scene, watching

HTTP: tuple[How, ...] = ("served", "failed")
GRPC: tuple[How, ...] = ("served", "grpc", "unreached")
TRAFFIC = {"http": HTTP, "grpc": GRPC}


class Pages:
    """A source over the pages of proxies, read in this process."""

    wait_seconds: float | None = None
    timing = Timing(tick_seconds=5.0, stale_after_seconds=30.0, patience_seconds=5.0, monotonic=True)

    def __init__(self, page: PrometheusText, proxies: list[Proxy], clock: HandClock) -> None:
        self._page, self._proxies, self._clock = page, proxies, clock

    async def collect(self) -> Collection:
        collected = Collection()
        for number, proxy in enumerate(self._proxies):
            at, target = self._clock.monotonic(), f"proxy-{number}"
            reader = self._page.reader(collected, ScrapeStamp(target=target, pod=target, at=at, spacing_seconds=5.0))
            reader.feed(proxy.page)
            reader.close()
            collected.answered[target] = at
        return collected


@dataclass
class World:
    """Proxies of one dialect, what has happened behind them since the first reading, and what was read of it."""

    dialect: Dialect
    proxies: list[Proxy]
    happened: list[int] = field(default_factory=lambda: [0, 0])
    failed: list[int] = field(default_factory=lambda: [0, 0])
    requests: list[int] = field(default_factory=lambda: [0, 0])
    errors: list[int] = field(default_factory=lambda: [0, 0])

    def __post_init__(self) -> None:
        schema = schemas()[self.dialect.schema]
        schema = spoken(schema, PrometheusTelemetry(url="http://p", dialect=schema.name, reporter=self.dialect.reporter))
        self.clock = HandClock(booted=999_500.0)
        index = SeriesIndex(schema, as_text=True)
        source = Pages(PrometheusText(index, schema), self.proxies, self.clock)
        self.telemetry = SampledTelemetry(source, schema=schema, index=index, clock=self.clock)
        baseline, canary = self.dialect.arms
        self.watches = watching(baseline=baseline, canary=canary, protocol=self.dialect.protocol)

    async def read(self) -> Reading:
        self.clock.time += 5
        reading = (await self.telemetry.read(self.watches))["web-1"]
        for place, arm in enumerate((reading.baseline, reading.canary)):
            self.requests[place] += arm.requests if arm is not None else 0
            self.errors[place] += arm.errors if arm is not None else 0
        return reading

    def asks(self, proxy: int, arm: int, how: How) -> None:
        """A request."""
        assert self.dialect.request is not None
        self.proxies[proxy].writes(self.dialect.request(arm, how))
        self.happened[arm] += 1
        self.failed[arm] += how != "served" and (how != "grpc" or self.dialect.grpc)

    def opens(self, proxy: int, arm: int) -> None:
        """A connection."""
        assert self.dialect.opened is not None
        self.proxies[proxy].writes(self.dialect.opened(arm))
        self.happened[arm] += 1

    def ends(self, proxy: int, arm: int, how: Ending) -> None:
        """One that was opened."""
        assert self.dialect.ended is not None
        written = self.dialect.ended(arm, how)
        self.proxies[proxy].writes(written)
        self.failed[arm] += how != "closed" and bool(written)


async def begun(dialect: Dialect, proxies: int = 1) -> World:
    """A world in which both arms have history at every proxy, and counting has started."""
    made = World(dialect, [Proxy() for _ in range(proxies)])
    for proxy in range(proxies):
        for arm in (0, 1):
            if dialect.request is not None:
                for how in ("served", "failed", "grpc", "unreached"):
                    made.asks(proxy, arm, how)
            else:
                made.opens(proxy, arm)
                made.ends(proxy, arm, "refused")
    assert (await made.read()).gap == "first reading: counting starts here"
    made.happened, made.failed = [0, 0], [0, 0]
    return made


@pytest.mark.parametrize("traffic", TRAFFIC)
@pytest.mark.parametrize("name", REQUESTS)
async def test_what_happened_in_a_tick_is_what_is_counted_of_it(name: str, traffic: str) -> None:
    it = await begun(REQUESTS[name], proxies=2)
    for proxy in (0, 1):
        for arm, often in ((0, 20), (1, 7)):
            for _ in range(often):
                it.asks(proxy, arm, "served")
    for how in TRAFFIC[traffic]:
        it.asks(0, 1, how)
        it.asks(1, 0, how)
        it.asks(1, 0, how)
    reading = await it.read()
    assert reading.gap is None
    assert it.requests == it.happened
    assert it.errors == it.failed
    assert it.errors[0] > 0


@pytest.mark.parametrize("name", [name for name in REQUESTS if REQUESTS[name].schema in {"envoy", "envoy-gateway", "consul"}])
async def test_an_envoy_that_counts_calls_and_other_requests_of_one_cluster_tells_the_smaller_sum_of_failures(name: str) -> None:
    """Its own answers to calls are in both counts, and which of them are cannot be told."""
    it = await begun(REQUESTS[name])
    it.asks(0, 0, "served")
    for how, often in (("served", 5), ("failed", 3), ("grpc", 2), ("unreached", 1)):
        for _ in range(often):
            it.asks(0, 1, how)  # type: ignore[arg-type]  # one of ``How``
    await it.read()
    assert (it.requests, it.errors, it.failed) == ([1, 11], [0, 4], [0, 6])


@pytest.mark.parametrize("name", CONNECTIONS)
async def test_connections_are_counted_as_they_are_opened_and_those_that_failed_are_the_errors(name: str) -> None:
    it = await begun(CONNECTIONS[name])
    for arm, often in ((0, 20), (1, 9)):
        for _ in range(often):
            it.opens(0, arm)
    for _ in range(4):
        it.ends(0, 0, "closed")
    for _ in range(3):
        it.ends(0, 1, "refused")
    reading = await it.read()
    assert reading.gap is None
    assert (it.requests, it.errors) == ([20, 9], [0, 3])
    assert reading.bounds_ms is None, "connections have no latency"


@pytest.mark.parametrize("name", [name for name in CONNECTIONS if name.startswith(("istio", "linkerd"))])
async def test_a_connection_that_breaks_off_in_a_later_tick_is_an_error_of_that_tick(name: str) -> None:
    it = await begun(CONNECTIONS[name])
    for _ in range(10):
        it.opens(0, 0)
        it.opens(0, 1)
    await it.read()
    for _ in range(4):
        it.ends(0, 1, "broken")
    reading = await it.read()
    assert reading.canary is not None
    assert (reading.canary.requests, reading.canary.errors) == (4, 4), "none was opened: these four are all that is known"


@pytest.mark.parametrize(("broken", "outcome"), [(0, "promote"), (3, "rollback")])
@pytest.mark.parametrize("name", CONNECTIONS)
async def test_connections_alone_promote_a_canary_that_holds_them_and_take_back_one_that_does_not(
    name: str, broken: int, outcome: str
) -> None:
    it = await begun(CONNECTIONS[name])
    policy = Policy(window_seconds=300.0, promotion=Promotion(min_requests=100, min_seconds=5.0))
    timed = it.telemetry.timed(it.watches[0].release)
    terms = terms_of(policy, tick_seconds=5.0, window_seconds=300.0, timed=timed)
    state = start(terms)
    ruled: list[Ruling] = []
    bounds_ms: tuple[float, ...] = ()
    while not ruled or ruled[-1].outcome == "continue":
        for arm, often in ((0, 90), (1, 30)):
            for _ in range(often):
                it.opens(0, arm)
        for _ in range(broken):
            it.ends(0, 1, "refused")
        sample, bounds_ms = sample_of(await it.read(), t=5.0 * (len(ruled) + 1), bounds_ms=bounds_ms)
        [(state, ruling)] = fold([terms], [state], [sample])
        ruled.append(ruling)
    assert ruled[-1].outcome == outcome
    alone = ruled[-1].reason.endswith("no latency is known of TCP: promoted on failed connections alone")
    assert alone == (outcome == "promote")


@given(data=st.data(), name=st.sampled_from(list(REQUESTS)))
@settings(max_examples=60, deadline=None)
async def test_never_more_requests_and_errors_are_counted_than_there_were(data: Any, name: str) -> None:
    proxies = data.draw(st.integers(1, 3))
    it = await begun(REQUESTS[name], proxies=proxies)
    restarted, traffic = False, data.draw(st.sampled_from(list(TRAFFIC.values())))
    for _ in range(data.draw(st.integers(1, 6))):
        for proxy in range(proxies):
            # A restart that stays below the old counts is seen; what was between the last scrape and it is lost.
            if data.draw(st.integers(0, 9)) == 0:
                it.proxies[proxy].restarts()
                restarted = True
            for _ in range(data.draw(st.integers(0, 12))):
                it.asks(proxy, data.draw(st.integers(0, 1)), data.draw(st.sampled_from(traffic)))
        await it.read()
        assert all(counted <= there for counted, there in zip(it.requests, it.happened, strict=True))
        assert all(counted <= there for counted, there in zip(it.errors, it.failed, strict=True))
        assert restarted or (it.requests, it.errors) == (it.happened, it.failed)


@given(data=st.data(), name=st.sampled_from(list(CONNECTIONS)))
@settings(max_examples=60, deadline=None)
async def test_never_more_failed_connections_are_counted_than_there_were(data: Any, name: str) -> None:
    """One that breaks off while fewer are opened is counted in two ticks: it was opened in one, and failed in another."""
    it = await begun(CONNECTIONS[name])
    alive = [0, 0]
    for _ in range(data.draw(st.integers(1, 8))):
        for arm in (0, 1):
            for _ in range(data.draw(st.integers(0, 9))):
                it.opens(0, arm)
                if data.draw(st.booleans()):
                    it.ends(0, arm, "refused")
                else:
                    alive[arm] += 1
            for _ in range(data.draw(st.integers(0, alive[arm]))):
                alive[arm] -= 1
                it.ends(0, arm, data.draw(st.sampled_from(("closed", "broken"))))
        await it.read()
        for arm in (0, 1):
            assert it.errors[arm] == it.failed[arm]
            assert it.errors[arm] <= it.requests[arm] <= it.happened[arm] + it.failed[arm]


async def shown(it: Scene, name: str, dialect: Dialect, watches: Any) -> Reading:
    """What is counted through a server while the baseline serves 40 requests, and the canary 6 and fails 3."""
    assert dialect.request is not None
    request = dialect.request

    def shows(baseline: int, canary: int, failed: int) -> None:
        for arm, how, total in ((0, "served", baseline), (1, "served", canary), (1, "failed", failed)):
            for series, labels in request(arm, how):  # type: ignore[arg-type]  # one of ``How``
                it.exporter.shows(series, total, **{**labels, "instance": "a"})

    return await it.counted(watches, shows)


@pytest.mark.parametrize(
    ("name", "through"),
    [
        (name, through)
        for name, dialect in REQUESTS.items()
        for through in ("prometheus", "text")
        if name != "istio" and (through == "prometheus" or not dialect.reporter)  # who reports is chosen for Prometheus only
    ],
)
async def test_each_is_read_through_prometheus_and_where_its_page_tells_the_arms_from_the_proxies(name: str, through: str) -> None:
    dialect = REQUESTS[name]
    more = {"reporter": dialect.reporter} if dialect.reporter else {}
    baseline, canary = dialect.arms
    watches = watching(baseline=baseline, canary=canary)
    async with scene(dialect.schema, through=through, schemas=schemas(), **more) as it:
        if through == "text" and not dialect.on_page:
            reading = await it.read(watches)
            assert reading.gap is not None
            # Linkerd's is looked for at those who ask, by the same names.
            assert dialect.schema == "linkerd" or f"{dialect.schema}: a proxy's own page does not say whose it is" in reading.gap
            return
        reading = await shown(it, name, dialect, watches)
        assert arms(reading) == {"baseline": (40, 0), "canary": (9, 3)}


async def test_linkerds_own_endpoints_and_probes_are_nobodys_requests() -> None:
    it = await begun(REQUESTS["linkerd inbound"])
    labels = dict(REQUESTS["linkerd inbound"].request(1, "failed")[0][1])  # type: ignore[misc]
    for other in ({"target_port": "4191"}, {"route_name": "probe"}):
        it.proxies[0].writes([("response_total", {**labels, **other})] * 5)
    it.asks(0, 0, "served")
    it.asks(0, 1, "served")
    await it.read()
    assert (it.requests, it.errors) == ([1, 1], [0, 0])


@pytest.mark.parametrize("label", ["grpc_status", "grpc_status_code"])
async def test_linkerds_older_label_of_a_grpc_status_makes_no_difference(label: str) -> None:
    it = await begun(REQUESTS["linkerd outbound"])
    (name, labels), *_ = REQUESTS["linkerd outbound"].request(1, "grpc")  # type: ignore[misc]
    renamed = {label if key == "grpc_status" else key: value for key, value in labels.items()}
    it.proxies[0].writes([(name, renamed)])
    it.asks(0, 0, "served")
    await it.read()
    assert it.errors == [0, 1]


async def test_linkerds_connections_of_before_2020_said_how_they_ended_by_a_class() -> None:
    dialect = CONNECTIONS["linkerd outbound"]
    it = await begun(dialect)
    assert dialect.ended is not None
    labels = {label: value for label, value in dialect.ended(1, "closed")[0][1].items() if label != "errno"}
    it.proxies[0].writes([("tcp_close_total", {**labels, "classification": "failure"})] * 2)
    it.proxies[0].writes([("tcp_close_total", {**labels, "classification": "success"})] * 2)
    it.opens(0, 0)
    for _ in range(5):
        it.opens(0, 1)
    await it.read()
    assert (it.requests, it.errors) == ([1, 5], [0, 2])


async def test_a_protocol_that_a_dialect_does_not_count_is_told() -> None:
    requests_only = replace(schemas()["osm"], views=schemas()["osm"].views[:1])
    async with scene("osm", through="prometheus", schemas={"osm": requests_only}) as it:
        (watch,) = watching(baseline=ArmSpec(service="a"), canary=ArmSpec(service="b"), protocol="tcp")
        assert it.telemetry.cannot_count(watch.release) == (
            "osm telemetry has no counters of tcp: nothing of the release could be seen"
        )
        assert it.telemetry.cannot_count(msgspec.structs.replace(watch.release, protocol="http")) is None


@pytest.mark.parametrize(("name", "status"), [("istio", "response_code"), ("linkerd outbound", "status_code")])
async def test_websockets_are_counted_and_never_timed(name: str, status: str) -> None:
    latency = {"istio": "istio_request_duration_milliseconds", "linkerd outbound": "response_latency_ms"}[name]
    reading = await timed(name, latency, {status: "101"}, {})
    assert arms(reading) == {"baseline": (6, 0), "canary": (6, 0)}
    assert reading.canary is not None
    assert reading.canary.latency is not None
    assert sum(reading.canary.latency.counts) == 3, "the other three are sessions"


async def test_streams_are_those_that_the_settings_name_by_a_label() -> None:
    name, label = "istio", {"destination_service": "feed.shop.svc.cluster.local"}
    reading = await timed(
        name, "istio_request_duration_milliseconds", label, {"streams": {"destination_service": [*label.values()]}}
    )
    assert reading.canary is not None
    assert reading.canary.latency is not None
    assert (reading.canary.requests, sum(reading.canary.latency.counts)) == (6, 3)


async def timed(name: str, latency: str, stream: dict[str, str], entry: dict[str, Any]) -> Reading:
    """Three requests of each arm, and three that have these labels too; all of them with their durations."""
    dialect = REQUESTS[name]
    assert dialect.request is not None
    baseline, canary = dialect.arms
    async with scene(dialect.schema, through="prometheus", schemas=schemas(), **entry) as it:

        async def shows(total: int) -> Reading:
            for arm in (0, 1):
                for series, labels in dialect.request(arm, "served"):  # type: ignore[misc]  # it has one
                    for more in ({}, stream):
                        shown = {**labels, **more, "pod": f"web-{arm}", "instance": "a"}
                        it.exporter.shows(series, total, **shown)
                        it.exporter.shows_latency(latency, total, le=("1", "10"), **shown)
            return await it.read(watching(baseline=baseline, canary=canary))

        await shows(10)
        return await shows(13)


async def test_linkerds_page_is_read_as_it_comes_packed() -> None:
    """Its proxy packs it for whoever says that he can take it so."""
    dialect = REQUESTS["linkerd outbound"]
    assert dialect.request is not None
    proxy, clock = Proxy(), HandClock(booted=999_500.0)
    asked: list[tuple[str, bool]] = []

    async def packed(request: web.Request) -> web.Response:
        asked.append((request.path, "gzip" in request.headers["Accept-Encoding"]))
        return web.Response(body=gzip.compress(proxy.page), headers={"Content-Encoding": "gzip"})

    async with stub() as server:
        server.does(packed)
        entry = EnvoyTelemetry(endpoints=[server.url], dialect="linkerd", tick_seconds=5.0)
        async with telemetry_from(entry, clock=clock, schemas=schemas()) as telemetry:
            watches = watching(baseline=dialect.arms[0], canary=dialect.arms[1])
            for arm, how in ((0, "served"), (1, "served"), (1, "failed")):
                proxy.writes(dialect.request(arm, how))  # type: ignore[arg-type]  # one of ``How``
            assert (await telemetry.read(watches))["web-1"].gap == "first reading: counting starts here"
            clock.time += 5
            for arm, how in ((0, "served"), (1, "failed")):
                proxy.writes(dialect.request(arm, how))  # type: ignore[arg-type]  # one of ``How``
            assert arms((await telemetry.read(watches))["web-1"]) == {"baseline": (1, 0), "canary": (1, 1)}
    assert asked == [("/metrics", True)] * 2


async def test_native_histograms_with_bounds_of_somebodys_choice_are_read_as_prometheus_3_answers_them() -> None:
    """Only the buckets that hold something are there, each with its ends."""
    labels = {"reporter": "destination", "destination_workload_namespace": "shop", "response_code": "200"}
    clock = HandClock(booted=999_500.0)
    shown: dict[str, list[int]] = {"web-v1": [5, 0, 1], "web-v2": [1, 0, 0]}
    ends = [("0", "10"), ("10", "50"), ("50", "+Inf")]

    async def answer(request: web.Request) -> web.Response:
        query = str((await request.post())["query"])
        result: list[dict[str, Any]] = []
        for workload, counts in shown.items():
            metric = {**labels, "destination_workload": workload, "pod": f"{workload}-a"}
            if "istio_requests_total" in query:
                values = [[clock.time, str(sum(counts))]]
                result.append({"metric": {"__name__": "istio_requests_total", **metric}, "values": values})
            elif "istio_request_duration_milliseconds" in query:
                buckets = [[0, low, high, str(count)] for (low, high), count in zip(ends, counts, strict=True) if count]
                sample = {"count": str(sum(counts)), "sum": "12.5", "buckets": buckets}
                name = "istio_request_duration_milliseconds"
                result.append({"metric": {"__name__": name, **metric}, "histograms": [[clock.time, sample]]})
        return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": result}})

    async with stub() as server:
        server.does(answer)
        entry = PrometheusTelemetry(url=server.url, dialect="istio")
        async with telemetry_from(entry, clock=clock, schemas=schemas()) as telemetry:
            baseline, canary = REQUESTS["istio"].arms
            watches = watching(baseline=baseline, canary=canary)
            await telemetry.read(watches)
            clock.time += 5
            shown["web-v1"], shown["web-v2"] = [8, 3, 1], [2, 2, 0]
            joined = (await telemetry.read(watches))["web-1"]
            clock.time += 5
            shown["web-v1"], shown["web-v2"] = [10, 4, 2], [3, 4, 2]
            reading = (await telemetry.read(watches))["web-1"]
    assert arms(joined) == {"baseline": (6, 0), "canary": (3, 0)}
    assert arms(reading) == {"baseline": (4, 0), "canary": (5, 0)}
    assert reading.baseline is not None
    assert reading.canary is not None
    assert (reading.baseline.latency, reading.canary.latency) != (None, None)
    assert reading.bounds_ms == (10.0, 50.0)
    assert reading.canary.latency is not None
    assert reading.canary.latency.counts == (1, 2, 2)
