"""What operators and their machines read: probes, metrics, the description of the API."""

import asyncio
import re
from collections.abc import Iterator

from aiohttp import web
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from config.settings import Http
from daemon.http.health import Components
from daemon.http.metrics import Metrics
from daemon.http.server import create_app
from daemon.model import Stage
from tests.http.world import Engine, serving, view


async def test_alive_is_not_ready() -> None:
    async with serving() as api:
        api.components.update({"nats": None, "telemetry.prom": "no answer for 31 s"})
        assert await api.call("GET", "/healthz") == (200, "ok\n")
        assert await api.call("GET", "/readyz") == (
            503,
            {"ready": False, "components": {"nats": "ok", "telemetry.prom": "no answer for 31 s"}},
        )
        api.components["telemetry.prom"] = None
        api.helpful["telemetry edge"] = "connection refused"
        assert await api.call("GET", "/readyz") == (
            200,
            {
                "ready": True,
                "components": {"nats": "ok", "telemetry.prom": "ok", "telemetry edge": "degraded: connection refused"},
            },
        )
        api.helpful["telemetry edge"] = None
        assert (await api.call("GET", "/readyz"))[0] == 200


async def test_metrics_are_served_in_the_format_that_is_asked_for() -> None:
    async with serving(Engine(releases={"a": view("a")})) as api:
        status, text = await api.call("GET", "/metrics")
        assert status == 200
        counts = dict(re.findall(r'^verdictd_releases{stage="(\w+)"} (\S+)$', text, re.MULTILINE))
        assert counts == {stage.value: "1.0" if stage is Stage.WATCHING else "0.0" for stage in Stage}
        async with api.client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}) as response:
            assert (await response.text()).endswith("# EOF\n")


async def test_the_event_loop_goes_on_while_metrics_are_written() -> None:
    """With thousands of releases that takes long enough to hold up a revert."""
    async with serving() as api:
        loop = asyncio.get_running_loop()
        turned: asyncio.Future[None] = loop.create_future()

        class Slow(Collector):
            def describe(self) -> Iterator[Metric]:
                return iter(())

            def collect(self) -> Iterator[Metric]:
                asyncio.run_coroutine_threadsafe(turn(), loop).result(timeout=5)
                yield GaugeMetricFamily("slow", "Slow.", value=1)

        async def turn() -> None:
            turned.set_result(None)

        api.metrics.registry.register(Slow())
        status, text = await api.call("GET", "/metrics")
        assert (status, "slow 1.0" in text, turned.done()) == (200, True, True)


def routes(app: web.Application) -> set[tuple[str, str]]:
    found = set()
    for route in app.router.routes():
        assert route.resource is not None
        found.add((route.method, route.resource.canonical))
    return found


async def test_the_description_has_every_route_and_no_other() -> None:
    engine = Engine()
    app = create_app(desk=engine, verdicts=engine, metrics=Metrics(), readiness=Components, http=Http())
    async with serving() as api:
        _, document = await api.call("GET", "/openapi.json")
    described = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    assert described == routes(app)
    assert ("POST", "/v1/releases/{id}/rollback") in described


async def test_every_reference_of_the_description_resolves() -> None:
    async with serving() as api:
        async with api.client.get("/openapi.json") as response:
            text = await response.text()
        _, document = await api.call("GET", "/openapi.json")
    wanted = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert {"Release", "ReleaseView", "Verdict", "Record", "Problem", "Command"} <= wanted
    assert wanted <= document["components"]["schemas"].keys()


async def test_what_changes_something_is_said_to_need_the_token() -> None:
    async with serving() as api:
        _, document = await api.call("GET", "/openapi.json")
    for operations in document["paths"].values():
        for method, operation in operations.items():
            assert ("security" in operation) == (method == "post")
            assert ("401" in operation["responses"]) == (method == "post")


async def test_the_body_of_a_command_does_not_ask_for_the_word_in_the_address() -> None:
    async with serving() as api:
        _, document = await api.call("GET", "/openapi.json")
    assert set(document["components"]["schemas"]["Command"]["properties"]) == {"by", "reason"}
