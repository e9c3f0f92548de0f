"""A store that is asked what it has: answers that are not whole, refusals, and clocks."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from config.settings import PrometheusTelemetry
from daemon.doctor import sources
from daemon.doctor.diagnosis import Code, Diagnosis
from tests.hand.clock import HandClock
from tests.hand.servers import app_of, serving

NOW = 1_700_000_000.0


@asynccontextmanager
async def store(answers: Mapping[str, object], *, more: Mapping[str, object] | None = None) -> AsyncIterator[str]:
    """A server that answers each query by the first words that are in it; null values are no series."""

    async def answer(request: web.Request) -> web.StreamResponse:
        query = str((await request.post()).get("query") or request.query.get("query"))
        found = next((value for words, value in answers.items() if words in query), [])
        body = {"status": "success", "data": {"resultType": "matrix", "result": found}, **(more or {})}
        return web.Response(text=json.dumps(body), content_type="application/json")

    async with serving(app_of(answer)) as port:
        yield f"http://127.0.0.1:{port}"


def series(value: float, *, at: float = NOW, **labels: str) -> list[object]:
    return [{"metric": labels, "values": [[at, str(value)]]}]


async def examined(url: str, **settings: object) -> list[Diagnosis]:
    clock = HandClock(NOW)
    entry = PrometheusTelemetry(url=url, dialect="istio", **settings)  # type: ignore[arg-type]  # what a test writes
    return await sources.examine(entry, name="mesh", kind=None, cases=[], seconds=1.0, clock=clock, progress=lambda _: None)


async def test_an_answer_that_is_not_whole_is_told_as_that() -> None:
    async with store({}, more={"warnings": ["no answer from store-2"]}) as url:
        [found] = await examined(url)
    assert found.code is Code.TELEMETRY_PARTIAL
    assert "no answer from store-2" in found.found


@pytest.mark.parametrize(
    ("ahead", "code", "words"),
    [
        (0.0, Code.CLOCK, "differ by 0 s"),
        (-4.0, Code.CLOCK, "differ by 4 s"),
        (20.0, Code.CLOCK_OFF, "20 s ahead of ours"),
        (-20.0, Code.CLOCK_OFF, "20 s behind ours"),
        (-400.0, Code.CLOCK_SKEW, "400 s behind ours: all its samples are taken for too old"),
    ],
)
async def test_two_clocks_are_held_against_each_other(ahead: float, code: Code, words: str) -> None:
    async with store({"vector(time())": series(0.0, at=NOW + ahead - 0.5)}) as url:
        found = await examined(url)
    [clock] = [one for one in found if one.code in {Code.CLOCK, Code.CLOCK_OFF, Code.CLOCK_SKEW}]
    assert clock.code is code
    assert words in clock.found


async def test_a_server_that_tells_no_time_is_no_fault() -> None:
    async with store({}) as url:
        found = await examined(url)
    assert [one.found for one in found if one.code is Code.CLOCK] == ["the server does not tell its time"]


async def test_many_services_are_told_up_to_a_bound() -> None:
    many = [{"metric": {"destination_service_name": f"web-{n}"}, "values": [[NOW, "3"]]} for n in range(30)]
    async with store({'destination_service_name) ({__name__="istio_requests_total"': many}) as url:
        found = await examined(url)
    [there] = [one for one in found if one.code is Code.SERIES]
    assert there.found == 'istio_requests_total{reporter="destination"}: 30 services (the 30 with the most series)'
    assert there.more[0] == "none/web-0: 3 series"
