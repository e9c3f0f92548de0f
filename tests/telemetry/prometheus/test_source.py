"""The Prometheus adapter against answers a real one gives rarely: each fault is a gap with its reason, never a number."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from config.settings import PrometheusTelemetry as PrometheusSettings
from daemon.errors import InvalidInput
from daemon.measurements import Reading, Watch
from daemon.meshes.registry import schemas
from daemon.ports.telemetry import Telemetry
from daemon.telemetry.factory import telemetry_from
from daemon.telemetry.prometheus.nearby import AGAIN_SECONDS
from tests.hand.clock import HandClock
from tests.hand.servers import Stub, half, hang_up, silence, stub
from tests.telemetry.support import impatient, workloads

NAME = "istio_requests_total"
LATENCY = "istio_request_duration_milliseconds"
RBAC, UPTIME = "envoy_http_rbac", "envoy_server_uptime"
WATCHES = [workloads()]


def family(query: str) -> tuple[str, ...]:
    """The metrics that a query asks for."""
    if f'"{NAME}"' in query:
        return (NAME,)
    if LATENCY in query:
        return (f"{LATENCY}_bucket", f"{LATENCY}_sum")
    return (RBAC, UPTIME) if UPTIME in query else (RBAC,)


class Exporter:
    """What a Prometheus would have scraped: one pod for each arm, all counters moving together."""

    def __init__(self) -> None:
        self.series: dict[tuple[tuple[str, str], ...], list[tuple[float, str]]] = {}

    def add(self, name: str, at: float, value: float | str, **labels: str) -> None:
        key = {
            "__name__": name,
            "reporter": "destination",
            "destination_workload": "web-v1",
            "destination_workload_namespace": "default",
            "response_code": "200",
            "instance": labels.get("destination_workload", "web-v1"),
            **labels,
        }
        self.series.setdefault(tuple(sorted(key.items())), []).append((at, str(value)))

    def says_of_itself(self, name: str, at: float, value: float | str, *, pod: str, **labels: str) -> None:
        """One sample of what a pod's proxy says of itself."""
        self.series.setdefault(tuple(sorted({"__name__": name, "instance": pod, **labels}.items())), []).append((at, str(value)))

    def scrape(self, at: float, *, baseline: int, canary: int, errors: int = 0) -> None:
        """One scrape of both arms; all latencies are below 10 ms."""
        for arm, value in (("web-v1", baseline), ("web-v2", canary)):
            self.add(NAME, at, value, destination_workload=arm)
            for le in ("10", "100", "+Inf"):
                self.add(f"{LATENCY}_bucket", at, value, destination_workload=arm, le=le)
            self.add(f"{LATENCY}_sum", at, 5 * value, destination_workload=arm)
        if errors:
            self.add(NAME, at, errors, destination_workload="web-v2", response_code="503")

    def answer(self, names: tuple[str, ...], **extra: object) -> str:
        result = [{"metric": dict(key), "values": values} for key, values in self.series.items() if dict(key)["__name__"] in names]
        return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}, **extra})

    async def __call__(self, request: web.Request) -> web.Response:
        return web.Response(body=self.answer(family(str((await request.post())["query"]))))


class Scene:
    """A telemetry source, the stub behind it, and the clock of both."""

    def __init__(self, telemetry: Telemetry, server: Stub, clock: HandClock) -> None:
        self.telemetry, self.server, self.clock = telemetry, server, clock
        self.exporter = Exporter()
        self.server.does(self.exporter)

    def scrape(self, *, baseline: int, canary: int, errors: int = 0) -> None:
        self.exporter.scrape(self.clock.time, baseline=baseline, canary=canary, errors=errors)

    async def read(self, watches: list[Watch] | None = None) -> Reading:
        readings: Mapping[str, Reading] = await self.telemetry.read(WATCHES if watches is None else watches)
        return readings["web-1"]

    async def underway(self) -> None:
        """The first reading, and the scrape of the next second."""
        self.scrape(baseline=1000, canary=100)
        assert (await self.read()).gap == "first reading: counting starts here"
        self.clock.time += 1
        self.scrape(baseline=1010, canary=105, errors=2)

    async def goes_on(self) -> None:
        """The fault is over: nothing of the second that was underway has been lost."""
        self.server.does(self.exporter)
        reading = await self.read()
        assert reading.gap is None
        assert reading.baseline is not None
        assert reading.canary is not None
        assert (reading.baseline.requests, reading.canary.requests, reading.canary.errors) == (10, 7, 2)


@asynccontextmanager
async def scene(**settings: object) -> AsyncIterator[Scene]:
    clock = HandClock()
    async with stub() as server:
        made = PrometheusSettings(
            **{"url": server.url, "dialect": "istio", "tick_seconds": 1.0, "timeout_seconds": 30.0, **settings}  # type: ignore[arg-type]  # fields of the settings
        )
        async with telemetry_from(made, clock=clock, schemas=schemas()) as telemetry:
            yield Scene(telemetry, server, clock)


async def test_raw_samples_become_counts_by_arm_and_pod() -> None:
    async with scene() as it:
        await it.underway()
        reading = await it.read()
        assert reading.baseline is not None
        assert reading.canary is not None
        assert (reading.baseline.requests, reading.baseline.errors) == (10, 0)
        assert (reading.canary.requests, reading.canary.errors) == (7, 2), "a series that is new counts from zero"
        assert reading.baseline.latency is not None
        assert reading.canary.latency is not None
        assert reading.canary.latency.counts == (5, 0, 0)
        assert reading.canary.latency.sum_ms == 25.0
        assert reading.bounds_ms == (10.0, 100.0)
        assert (reading.seconds, reading.at) == (1.0, it.clock.time)
        assert set(reading.canary.pods or {}) == {"web-v2"}
        assert it.telemetry.split
        assert it.telemetry.tick_seconds == 1.0


async def test_a_thousand_releases_are_three_queries() -> None:
    async with scene() as it:
        it.scrape(baseline=1, canary=1)
        watches = [workloads(f"web-{n}", canary=f"web-v{n + 2}") for n in range(1000)]
        readings = await it.telemetry.read(watches)
        assert len(readings) == 1000
        assert len(it.server.asked) == 3


async def test_the_same_samples_again_are_a_gap_and_lose_nothing() -> None:
    async with scene() as it:
        it.scrape(baseline=1000, canary=100)
        await it.read()
        assert (await it.read()).gap == "baseline: no new scrape of web-v1 yet"
        it.clock.time += 1
        it.scrape(baseline=1010, canary=105, errors=2)
        await it.goes_on()


async def test_series_count_the_same_in_whatever_order_they_come_and_whoever_is_new_among_them() -> None:
    async with scene() as it:
        await it.underway()
        it.exporter.add(NAME, it.clock.time - 1, 7, destination_workload="somebody-elses")
        it.exporter.series = dict(reversed(it.exporter.series.items()))
        await it.goes_on()


async def test_a_series_that_comes_twice_counts_once() -> None:
    """Two replicas of Prometheus behind one address, told apart by a label of theirs."""
    readings = []
    async with scene() as it:
        for baseline, canary in ((1000, 100), (1010, 105)):
            it.clock.time += 1
            it.scrape(baseline=baseline, canary=canary)
            for arm, value in (("web-v1", baseline), ("web-v2", canary)):
                it.exporter.add(NAME, it.clock.time - 0.3, value - 1, destination_workload=arm, prometheus_replica="b")
            readings.append(await it.read())
        first, second = readings
        assert first.gap is not None
        assert second.baseline is not None
        assert second.canary is not None
        assert (second.baseline.requests, second.canary.requests) == (10, 5)


FAULTS: dict[str, tuple[Callable[[Stub], None], str]] = {
    "500": (lambda server: server.says("the storage is gone", status=500), "answered 500: the storage is gone"),
    "503": (lambda server: server.says('{"status":"error","errorType":"timeout"}', status=503), "answered 503"),
    "422": (lambda server: server.says('{"status":"error","error":"too many samples"}', status=422), "too many samples"),
    "400": (lambda server: server.says('{"status":"error","error":"bad query"}', status=400), "bad query"),
    "401": (lambda server: server.says("who are you", status=401), "answered 401"),
    "404": (lambda server: server.says("nothing here", status=404), "answered 404"),
    "429": (lambda server: server.says("", status=429, Retry_After="7"), "answered 429"),
    "status error": (lambda server: server.says('{"status":"error","error":"expanding series"}'), "expanding series"),
    "no data": (lambda server: server.says('{"status":"success"}'), "the query failed: success"),
    "half of the JSON": (lambda server: server.says('{"status":"success","data":{"resultType":"matr'), "cannot be read"),
    "HTML": (lambda server: server.says("<html>login</html>"), "cannot be read"),
    "not UTF-8": (lambda server: server.says(b'{"status":"\xff\xfe"}'), "cannot be read"),
    "wrong shape": (
        lambda server: server.says('{"status":"success","data":{"resultType":"matrix","result":[{"metric":{}}]}}'),
        "cannot be read",
    ),
    "labels that are none": (
        lambda server: server.says(
            '{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":1},"values":[[1,"1"]]}]}}'
        ),
        "labels cannot be read",
    ),
    "labels no text": (
        lambda server: server.says(
            b'{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"\xff"},"values":[[1,"1"]]}]}}'
        ),
        "labels cannot be read",
    ),
    "a vector": (
        lambda server: server.says('{"status":"success","data":{"resultType":"vector","result":[]}}'),
        "is a vector, not raw samples",
    ),
    "partial": (
        lambda server: server.says(
            '{"status":"success","data":{"resultType":"matrix","result":[]},"warnings":["store gateway timed out"]}'
        ),
        "not whole: store gateway timed out",
    ),
    "slow": (lambda server: server.does(silence()), "did not answer within 0.3 s"),
    "half open": (lambda server: server.does(half(b'{"status":"success","data"')), "did not answer within 0.3 s"),
    "hangs up": (lambda server: server.does(hang_up()), "isconnected"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_is_a_gap_with_its_reason_and_loses_nothing(fault: str) -> None:
    break_it, reason = FAULTS[fault]
    async with scene() as it:
        await it.underway()
        break_it(it.server)
        with impatient(it.telemetry) if "within" in reason else nullcontext():
            reading = await it.read()
        assert reading.baseline is None
        assert reading.canary is None
        assert reading.gap is not None
        assert reading.gap.startswith("prometheus: ")
        assert reason in reading.gap
        it.clock.time += 7.0 if fault == "429" else 0.0  # so long it asks to be left alone
        await it.goes_on()


async def test_one_family_that_fails_is_half_an_answer() -> None:
    async with scene() as it:
        await it.underway()

        async def only_counters(request: web.Request) -> web.StreamResponse:
            if LATENCY in str((await request.post())["query"]):
                return web.Response(status=500, text="latency shard is down")
            return await it.exporter(request)

        it.server.does(only_counters)
        reading = await it.read()
        assert reading.baseline is None
        assert "latency shard is down" in (reading.gap or "")
        await it.goes_on()


async def test_nobody_listening_is_a_gap() -> None:
    async with scene(url="http://127.0.0.1:1") as it:
        reading = await it.read()
        assert reading.gap is not None
        assert reading.gap.startswith("prometheus: 127.0.0.1:1: ")


async def test_an_answer_without_series_is_a_gap_and_not_zero_requests() -> None:
    async with scene() as it:
        await it.underway()
        it.server.says('{"status":"success","data":{"resultType":"matrix","result":[]}}')
        reading = await it.read()
        assert reading.baseline is None
        assert reading.gap == "baseline: no new scrape of web-v1 yet"
        await it.goes_on()


async def test_an_empty_answer_from_the_beginning_names_what_is_missing() -> None:
    async with scene() as it:
        it.server.says('{"status":"success","data":{"resultType":"matrix","result":[]}}')
        assert (await it.read()).gap == "baseline: no series yet"
        it.scrape(baseline=1000, canary=100)
        it.server.does(it.exporter)
        assert (await it.read()).gap == "baseline: first sight of its series"


@pytest.mark.parametrize("value", ["+Inf", "-5", "1.5"])
async def test_numbers_that_are_no_counts_are_a_gap(value: str) -> None:
    async with scene() as it:
        await it.underway()
        good, it.exporter.series = it.exporter.series, {}
        it.exporter.add(NAME, it.clock.time, value)
        it.exporter.add(NAME, it.clock.time, 105, destination_workload="web-v2")
        reading = await it.read()
        assert reading.baseline is None
        assert reading.gap is not None
        assert reading.gap.startswith("unusable numbers: ")
        it.exporter.series = good
        await it.goes_on()


async def test_a_value_that_is_no_number_at_all_is_a_gap() -> None:
    async with scene() as it:
        await it.underway()
        good, it.exporter.series = it.exporter.series, {}
        it.exporter.add(NAME, it.clock.time, "many")
        assert "'many' is not a number" in ((await it.read()).gap or "")
        it.exporter.series = good
        await it.goes_on()


async def test_buckets_written_while_requests_were_counted_are_a_gap() -> None:
    async with scene() as it:
        await it.underway()
        good, it.exporter.series = it.exporter.series, {}
        it.scrape(baseline=1010, canary=105)
        it.exporter.add(f"{LATENCY}_bucket", it.clock.time, 1011, le="10")
        assert "fall with growing bounds" in ((await it.read()).gap or "")
        it.exporter.series = good
        await it.goes_on()


async def test_data_an_hour_old_are_a_gap_with_their_age() -> None:
    async with scene() as it:
        await it.underway()
        it.clock.time += 3600
        reading = await it.read()
        assert reading.baseline is None
        assert reading.gap == "stale: the newest sample is 3600 s old"


async def test_a_series_whose_end_is_written_as_nan_has_ended() -> None:
    """Older stores answer so where Prometheus leaves the sample out."""
    async with scene() as it:
        await it.underway()
        it.exporter.add(NAME, it.clock.time, "NaN", destination_workload="web-v2", instance="gone")
        await it.goes_on()


async def test_the_window_follows_the_scrapes_and_is_wide_for_requests_when_somebody_new_is_looked_for() -> None:
    async with scene(stale_after_seconds=300.0) as it:
        await it.underway()
        await it.read()
        it.clock.time += 1
        it.scrape(baseline=1020, canary=110, errors=2)
        await it.read()
        windows = [query["query"].rpartition("[")[2] for query in it.server.asked]
        assert sorted(windows[:2]) == ["160000ms]", "30000ms]"], "latencies, of which there is ten times as much, are not"
        assert sorted(windows[-3:]) == ["13500ms]", "3500ms]", "3500ms]"], "requests a little more, for series that are behind"


async def test_nothing_at_all_is_looked_for_as_far_back_as_samples_count() -> None:
    async with scene(stale_after_seconds=300.0) as it:
        it.server.says('{"status":"success","data":{"resultType":"matrix","result":[]}}')
        await it.read()
        assert it.server.asked[-1]["query"].endswith("[300000ms]")
        asked = len(it.server.asked)
        await it.read()
        again = [one for one in it.server.asked[asked:] if not one["query"].startswith(("topk(", "(time()"))]
        assert len(again) == 2, "once is enough"


async def test_token_and_headers_are_sent_and_the_token_is_read_anew(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    async with scene(token_file=str(token), headers={"X-Scope-OrgID": "shop"}) as it:
        await it.underway()
        token.write_text("second\n")
        await it.read()
        assert [headers["Authorization"] for headers in it.server.headers] == ["Bearer first"] * 3 + ["Bearer second"] * 3
        assert it.server.headers[0]["X-Scope-OrgID"] == "shop"
        token.unlink()
        assert "No such file" in ((await it.read()).gap or "")


@pytest.mark.parametrize("status", [200, 401, 500])
@pytest.mark.parametrize("with_token", [True, False])
async def test_a_server_that_says_again_what_it_was_shown_brings_no_secret_into_a_gap(
    tmp_path: Path, status: int, *, with_token: bool
) -> None:
    file = tmp_path / "secret"
    file.write_text("tell-nobody")
    basic = {"username": "verdictd", "password_file": str(file)}
    shown: dict[str, Any] = {"token_file": str(file)} if with_token else basic
    async with scene(**shown, headers={"X-Api-Key": "nor-this"}) as it:
        await it.underway()
        authorization = it.server.headers[0]["Authorization"].split()[1]
        said = f"bad: {authorization} tell-nobody nor-this"
        it.server.says({"status": "error", "errorType": "x", "error": said}, status=status)
        gap = (await it.read()).gap or ""
        assert "bad: [redacted] [redacted] [redacted]" in gap
        assert it.telemetry.failure == gap


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "success", "data": {"resultType": "as @", "result": []}},
        {"status": "@", "data": None},
        {"status": "success", "data": {"resultType": "matrix", "result": []}, "warnings": ["of @"]},
        {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {"__name__": "@"}, "values": [[1, "@"]]}]}},
    ],
)
async def test_a_secret_is_in_no_gap_wherever_an_answer_says_it_again(tmp_path: Path, answer: dict[str, Any]) -> None:
    file = tmp_path / "secret"
    file.write_text("tell-nobody")
    async with scene(token_file=str(file), query={"api_key": "nor/this"}) as it:
        await it.underway()
        assert "api_key=" in str(it.server.requests[0])
        for secret in ("tell-nobody", "nor/this"):
            it.server.says(json.loads(json.dumps(answer).replace("@", secret)))
            assert secret not in ((await it.read()).gap or "")


async def test_what_is_secret_in_the_address_of_a_query_is_not_told_either() -> None:
    async with scene(query={"accessToken": "a b+c", "namespace": "shop"}) as it:
        await it.underway()
        it.server.says("no a b+c, nor accessToken=a+b%2Bc, in shop", status=400)
        assert "no [redacted], nor accessToken=[redacted], in shop" in ((await it.read()).gap or "")


async def test_a_server_that_is_busy_is_left_alone_for_as_long_as_it_says() -> None:
    async with scene() as it:
        await it.underway()
        it.server.says("slow down", status=429, Retry_After="7")
        assert "answered 429: slow down" in ((await it.read()).gap or "")
        asked = len(it.server.requests)
        for _ in range(6):
            it.clock.time += 1
            assert "answered 429: slow down (once; it is asked less often until it answers)" in ((await it.read()).gap or "")
        assert len(it.server.requests) == asked
        it.clock.time += 1
        await it.read()
        assert len(it.server.requests) > asked


async def test_a_ca_file_that_cannot_be_read_is_refused_at_the_start() -> None:
    with pytest.raises(InvalidInput, match=r"telemetry\.NAME\.ca_file: /nowhere/ca\.pem cannot be read"):
        async with scene(ca_file="/nowhere/ca.pem"):
            pass


async def test_a_release_that_is_forgotten_begins_anew() -> None:
    async with scene() as it:
        await it.underway()
        it.telemetry.forget("web-1")
        it.telemetry.forget("web-1")
        assert (await it.read()).gap == "first reading: counting starts here"


async def test_a_release_that_is_not_what_it_was_begins_anew() -> None:
    async with scene() as it:
        await it.underway()
        reading = await it.read([workloads(baseline="web-v2", canary="web-v1")])
        assert reading.gap == "first reading: counting starts here"


async def test_an_arm_that_istio_cannot_know_says_so_at_every_tick() -> None:
    async with scene() as it:
        it.scrape(baseline=1, canary=1)
        for _ in range(2):
            assert "cannot tell the arms apart" in ((await it.read([workloads(canary="web-v1")])).gap or "")


class Neighbourhood:
    """A scene whose canary has no series, and whose store ``says`` something else to the question what is there instead."""

    def __init__(self, it: Scene, says: Callable[[str], web.Response]) -> None:
        self.it, self.says = it, says
        self.asked: list[str] = []
        self.may_say = asyncio.Event()
        self.may_say.set()
        it.server.does(self.answer)

    async def answer(self, request: web.Request) -> web.Response:
        query = str((await request.post())["query"])
        if not query.startswith(("topk(", "(time()")):
            return web.Response(body=self.it.exporter.answer(family(query)))
        self.asked.append(query)
        await self.may_say.wait()
        return self.says(query)

    async def read(self) -> str | None:
        """The gap of one more reading."""
        self.it.clock.time += 1
        self.it.exporter.add(NAME, self.it.clock.time, 5, destination_workload="web-v1")
        return (await self.it.read()).gap

    async def reads_until(self, said: str) -> None:
        """What is told some readings later."""
        async with asyncio.timeout(30):
            while await self.read() != said:
                await asyncio.sleep(0.01)


async def test_a_store_that_cannot_say_what_is_near_an_arm_costs_no_reading_and_is_asked_again_later() -> None:
    async with scene() as it:
        near = Neighbourhood(it, lambda _: web.Response(status=422, text="subqueries are not for you"))
        assert await near.read() == "first reading: counting starts here"
        said = 'canary: no series yet: looked for destination_workload="web-v2", destination_workload_namespace="default"'
        await near.reads_until(said)
        assert len(near.asked) == 1
        it.clock.time += AGAIN_SECONDS
        async with asyncio.timeout(30):
            while len(near.asked) < 2:
                assert await near.read() == said
                await asyncio.sleep(0.01)


async def test_no_reading_waits_for_what_is_near_an_arm_and_a_store_that_does_not_say_is_not_asked_again_meanwhile() -> None:
    async with scene() as it:
        near = Neighbourhood(it, lambda _: web.json_response(json.loads(it.exporter.answer(()))))
        near.may_say.clear()
        for _ in range(8):
            await near.read()
        async with asyncio.timeout(30):
            while not near.asked:
                await asyncio.sleep(0.01)
        assert await near.read() == "canary: no series yet"
        assert len(near.asked) == 1
        near.may_say.set()
        looked = 'canary: no series yet: looked for destination_workload="web-v2", destination_workload_namespace="default"'
        await near.reads_until(f"{looked}; there is no {NAME} at all")


async def test_while_an_arm_is_not_there_the_source_is_asked_at_every_interval() -> None:
    async with scene() as it:
        for value in (10, 20, 30):
            it.clock.time += 15
            it.exporter.add(NAME, it.clock.time, value, destination_workload="web-v1")
            await it.read()
            assert it.telemetry.wait_seconds is None
        for value in (10, 20, 30):
            it.clock.time += 15
            it.exporter.scrape(it.clock.time, baseline=100 + value, canary=value)
            await it.read()
        assert it.telemetry.wait_seconds is not None
        assert it.telemetry.wait_seconds > 10.0


async def test_a_pod_that_is_scraped_between_two_queries_of_a_tick_brings_no_history() -> None:
    """The first answer does not have it yet, the second one has: that is no word of a pod without requests."""
    async with scene() as it:
        await it.underway()
        await it.goes_on()
        at = it.clock.time
        for le in ("10", "100", "+Inf"):
            it.exporter.add(f"{LATENCY}_bucket", at, 5000, destination_workload="web-v2", instance="old", le=le)
        await it.read()
        it.clock.time += 1
        it.scrape(baseline=1020, canary=110, errors=2)
        it.exporter.add(NAME, at + 1, 5000, destination_workload="web-v2", instance="old")
        it.exporter.add(NAME, at + 1, 500, destination_workload="web-v2", instance="old", response_code="503")
        reading = await it.read()
        assert reading.canary is not None
        assert (reading.canary.requests, reading.canary.errors) == (5, 0)


@pytest.mark.parametrize(
    ("ages", "said"),
    [
        (("400", None), "; its newest sample is 400 s old, and none older than 300 s counts (stale_after_seconds)"),
        ((None, "400"), "; its newest sample is 400 s old, and none older than 300 s counts (stale_after_seconds)"),
        (("12", None), "; it is there, and has just come"),
        ((None, None), "; there is no istio_requests_total at all"),
    ],
)
@pytest.mark.parametrize("groups", [True, False])
async def test_series_that_are_there_and_too_old_are_told_with_their_age(
    ages: tuple[str | None, str | None], said: str, *, groups: bool
) -> None:
    """Of the last minutes, or of the last hour: no query of a tick goes so far back."""
    async with scene() as it:

        def says(query: str) -> web.Response:
            at = it.clock.time
            if query.startswith("topk("):
                labels = {"reporter": "destination", "destination_workload_namespace": "default", "destination_workload": "web-v2"}
                result = [{"metric": labels, "values": [[at, "1"]]}] if groups else []
            else:
                age = ages["[1h:1m]" in query]
                result = [] if age is None else [{"metric": {}, "values": [[at, age]]}]
            return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": result}})

        wanted = 'destination_workload="web-v2", destination_workload_namespace="default"'
        await Neighbourhood(it, says).reads_until(f"canary: no series yet: looked for {wanted}{said}")
