"""A store that is asked what it has: answers that are not whole, refusals, and clocks."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from config.settings import PrometheusTelemetry
from daemon.doctor import sources
from daemon.doctor.diagnosis import Code, Diagnosis
from daemon.meshes.registry import schemas
from daemon.telemetry.factory import telemetry_from
from tests.hand.clock import HandClock
from tests.hand.servers import app_of, serving
from tests.telemetry.support import workloads

NOW = 1_700_000_000.0
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "telemetry.md").read_text(encoding="utf-8")


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


async def test_a_store_that_takes_exact_names_of_metrics_only_is_told_as_one_that_refuses_and_nothing_is_counted() -> None:
    """As Google Managed Prometheus does, which is documented as not supported."""
    said = "regex matcher on the metric name (__name__) is not supported"

    async def answer(request: web.Request) -> web.StreamResponse:
        query = str((await request.post()).get("query") or request.query.get("query"))
        if "__name__=~" in query:
            return web.json_response({"status": "error", "errorType": "bad_data", "error": said}, status=400)
        found = series(1.0, destination_service_name="web", destination_workload_namespace="shop")
        return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": found}})

    async with serving(app_of(answer)) as port:
        entry = PrometheusTelemetry(url=f"http://127.0.0.1:{port}", dialect="istio")
        found = await sources.examine(
            entry, name="gmp", kind=None, cases=[], seconds=1.0, clock=HandClock(NOW), progress=lambda _: None
        )
        async with telemetry_from(entry, clock=HandClock(NOW), schemas=schemas()) as telemetry:
            gaps = [(await telemetry.read([workloads()]))["web-1"].gap or "" for _ in range(3)]
    assert all(said in gap for gap in gaps), gaps
    [refused] = [one for one in found if one.code is Code.TELEMETRY_REFUSED]
    assert said in refused.found
    assert "docs/telemetry.md" in refused.fix
    assert "Google Managed Prometheus | **not supported**: it matches names of metrics exactly only" in PAGE


async def test_many_services_are_told_up_to_a_bound() -> None:
    many = [{"metric": {"destination_service_name": f"web-{n}"}, "values": [[NOW, "3"]]} for n in range(30)]
    async with store({'destination_service_name) ({__name__="istio_requests_total"': many}) as url:
        found = await examined(url)
    [there] = [one for one in found if one.code is Code.SERIES]
    assert there.found == 'istio_requests_total{reporter="destination"}: 30 services (the 30 with the most series)'
    assert there.more[0] == "none/web-0: 3 series"
