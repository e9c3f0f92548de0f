"""Denials and ages through Prometheus: optional while they have never been there, waited for once they have."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest
from aiohttp import web

from analyzers.counts import Arm
from daemon.measurements import Reading
from tests.telemetry.prometheus.test_source import LATENCY, NAME, RBAC, UPTIME, WATCHES, Scene, family, scene
from tests.telemetry.support import workloads

CANARY = "web-v2"
INBOUND = {"authz_enforce_result": "denied", "http_conn_manager_prefix": "inbound_0.0.0.0_8080"}
OTHERS = [workloads("else-1", baseline="elsewhere", canary="nowhere")]
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def arms(reading: Reading) -> tuple[Arm, Arm]:
    assert reading.gap is None, reading.gap
    assert reading.baseline is not None
    assert reading.canary is not None
    return reading.baseline, reading.canary


def scrape(
    it: Scene, *, denied: int | None, forbidden: int, served: int = 100, baseline: int = 1000, labels: Mapping[str, str] = INBOUND
) -> None:
    """One scrape; the canary's proxy shows its denials in the mesh's own way."""
    it.clock.time += 1
    it.scrape(baseline=baseline, canary=served)
    it.exporter.add(NAME, it.clock.time, forbidden, destination_workload=CANARY, response_code="403")
    if denied is not None:
        it.exporter.says_of_itself(RBAC, it.clock.time, denied, **{"pod": CANARY, **INBOUND, **labels})


def refusing_metadata(it: Scene) -> Answer:
    """A Prometheus that answers everything but the query for denials."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if RBAC in family(str((await request.post())["query"])):
            return web.Response(status=422, text="too many series")
        return await it.exporter(request)

    return answer


async def test_what_policy_denied_is_no_request_and_what_the_application_forbade_is_one() -> None:
    async with scene() as it:
        scrape(it, denied=40, forbidden=50)
        await it.read()
        scrape(it, denied=43, forbidden=55, served=110, baseline=1007)
        baseline, canary = arms(await it.read())
        assert (canary.requests, canary.errors, canary.denied) == (10 + 5 - 3, 0, 3)
        assert (baseline.requests, baseline.denied) == (7, 0)
        assert canary.pods is not None
        assert (canary.pods[CANARY].requests, canary.pods[CANARY].denied) == (12, 3)
        assert canary.latency is not None
        assert sum(canary.latency.counts) == 10, "what a policy filter answers in no time says nothing of the canary"


async def test_more_denials_than_forbidden_requests_take_nothing_from_the_others() -> None:
    async with scene() as it:
        scrape(it, denied=0, forbidden=0)
        await it.read()
        scrape(it, denied=5, forbidden=2, served=110)
        _, canary = arms(await it.read())
        assert (canary.requests, canary.denied) == (10, 5)


@pytest.mark.parametrize(
    "labels",
    [
        {"authz_enforce_result": "allowed"},
        {"http_conn_manager_prefix": "outbound_0.0.0.0_8080"},
        {"authz_enforce_result": "", "authz_dry_run_result": "denied"},
        {"pod": "another-pod"},
    ],
)
async def test_what_was_allowed_or_tried_dry_or_denied_elsewhere_is_not_ours(labels: dict[str, str]) -> None:
    async with scene() as it:
        scrape(it, denied=0, forbidden=0, labels=labels)
        await it.read()
        scrape(it, denied=5, forbidden=0, labels=labels)
        _, canary = arms(await it.read())
        assert canary.denied == 0


async def test_a_filter_that_is_new_and_a_proxy_that_began_anew_are_counted_from_zero() -> None:
    async with scene() as it:
        scrape(it, denied=None, forbidden=0)
        await it.read()
        scrape(it, denied=4, forbidden=4)
        assert arms(await it.read())[1].denied == 4
        scrape(it, denied=1, forbidden=1, served=5)
        _, canary = arms(await it.read())
        assert (canary.requests, canary.denied) == (5, 1)


async def test_no_such_series_are_no_denials_and_unknown_ages() -> None:
    async with scene() as it:
        scrape(it, denied=None, forbidden=0)
        await it.read()
        scrape(it, denied=None, forbidden=3)
        _, canary = arms(await it.read())
        assert (canary.requests, canary.denied) == (3, 0)
        assert canary.pods is not None
        assert canary.pods[CANARY].age_seconds is None


async def test_a_query_that_fails_once_it_has_worked_is_a_gap_and_loses_no_denial() -> None:
    async with scene() as it:
        scrape(it, denied=0, forbidden=0)
        await it.read()
        scrape(it, denied=4, forbidden=4)
        it.server.does(refusing_metadata(it))
        reading = await it.read()
        assert reading.canary is None
        assert "too many series" in (reading.gap or "")
        it.server.does(it.exporter)
        scrape(it, denied=6, forbidden=7)
        _, canary = arms(await it.read())
        assert (canary.requests, canary.denied) == (1, 6)


async def test_a_query_that_never_worked_is_done_without_said_once_and_what_came_before_is_history(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with scene() as it:
        it.server.does(refusing_metadata(it))
        scrape(it, denied=100, forbidden=100)
        await it.read()
        scrape(it, denied=104, forbidden=104)
        _, canary = arms(await it.read())
        assert (canary.requests, canary.denied) == (4, 0), "they cannot be told from what was served"
        said = [record for record in caplog.records if "denials and ages" in record.message]
        assert len(said) == 1
        it.server.does(it.exporter)
        scrape(it, denied=106, forbidden=106)
        assert arms(await it.read())[1].denied == 0
        scrape(it, denied=109, forbidden=109)
        _, canary = arms(await it.read())
        assert (canary.requests, canary.denied) == (0, 3)


async def test_denials_of_another_scrape_than_the_requests_are_carried_to_the_next() -> None:
    async with scene() as it:
        scrape(it, denied=0, forbidden=0)
        await it.read()
        scrape(it, denied=None, forbidden=4)
        it.exporter.says_of_itself(RBAC, it.clock.time - 0.4, 2, pod=CANARY, **INBOUND)
        assert arms(await it.read())[1].denied == 0
        scrape(it, denied=6, forbidden=6)
        assert arms(await it.read())[1].denied == 6


@pytest.mark.parametrize("value", ["NaN", "1.5", "-2"])
async def test_denials_that_are_no_count_are_a_gap(value: str) -> None:
    async with scene() as it:
        scrape(it, denied=0, forbidden=0)
        await it.read()
        scrape(it, denied=None, forbidden=0)
        it.exporter.says_of_itself(RBAC, it.clock.time, value, pod=CANARY, **INBOUND)
        assert "is not a count" in ((await it.read()).gap or "")


async def test_a_canary_that_comes_up_denied_has_been_denied_no_more_than_it_was_asked() -> None:
    """Its proxy has denied others before: only what the arm itself shows as forbidden can be new."""
    async with scene() as it:
        for served in (1000, 1010):
            it.clock.time += 1
            it.exporter.scrape(it.clock.time, baseline=served, canary=0)
            it.exporter.series = {key: values for key, values in it.exporter.series.items() if CANARY not in dict(key).values()}
            it.exporter.add(NAME, it.clock.time, 1, destination_workload="elsewhere", instance=CANARY)
            await it.read([*WATCHES, *OTHERS])
        scrape(it, denied=50, forbidden=3, served=2)
        it.exporter.add(NAME, it.clock.time, 1, destination_workload="elsewhere", instance=CANARY)
        _, canary = arms(await it.read([*WATCHES, *OTHERS]))
        assert (canary.requests, canary.denied) == (2, 3)


async def test_ages_are_asked_for_rarely_and_go_on_with_the_clock() -> None:
    async with scene() as it:
        ages: list[float | None] = []
        for tick in range(70):
            scrape(it, denied=None, forbidden=0)
            it.exporter.says_of_itself(UPTIME, it.clock.time, 500 + tick, pod=CANARY)
            it.exporter.says_of_itself(UPTIME, it.clock.time, "NaN", pod="web-v1")
            reading = await it.read()
            if tick:
                baseline, canary = arms(reading)
                assert canary.pods is not None
                assert baseline.pods is not None
                ages.append(canary.pods[CANARY].age_seconds)
                assert baseline.pods["web-v1"].age_seconds is None
        assert ages == [500.0 + tick for tick in range(1, 70)]
        assert sum(UPTIME in asked["query"] for asked in it.server.asked) == 2


async def test_a_pod_that_appears_is_asked_for_its_age_at_once() -> None:
    async with scene() as it:
        readings = []
        for tick in range(3):
            scrape(it, denied=None, forbidden=0)
            it.exporter.says_of_itself(UPTIME, it.clock.time, 500, pod=CANARY)
            if tick:
                it.exporter.add(NAME, it.clock.time, 7 * tick, destination_workload=CANARY, instance="fresh")
                it.exporter.says_of_itself(UPTIME, it.clock.time, 2 + tick, pod="fresh")
            readings.append(await it.read())
        assert [sum(UPTIME in asked["query"] for asked in it.server.asked[3 * n : 3 * n + 3]) for n in range(3)] == [1, 1, 0]
        _, canary = arms(readings[-1])
        assert canary.pods is not None
        assert (canary.pods["fresh"].age_seconds, canary.pods["fresh"].requests) == (4.0, 7)


async def test_both_queries_in_a_row_take_no_longer_than_one_may() -> None:
    """Each of them takes more than half of it."""
    async with scene(timeout_seconds=1.0) as it:
        scrape(it, denied=0, forbidden=0)
        await it.read()

        async def slow(request: web.Request) -> web.StreamResponse:
            await asyncio.sleep(0.0 if LATENCY in str((await request.post())["query"]) else 0.55)
            return await it.exporter(request)

        it.server.does(slow)
        assert "did not answer within 1 s" in ((await it.read()).gap or "")
