"""What operators and their machines read: probes and metrics."""

import asyncio
import re
from collections.abc import Iterator

import pytest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from daemon.model import Stage
from tests.hand.api import Engine, serving, view


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
        _, text = await api.call("GET", "/metrics")
        up = dict(re.findall(r'^verdictd_component_up{component="([^"]+)"} (\S+)$', text, re.MULTILINE))
        assert up == {"nats": "1.0", "telemetry.prom": "1.0", "telemetry edge": "0.0"}
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


async def test_a_scraper_that_names_metrics_gets_those_and_no_others() -> None:
    async with serving(Engine(releases={"a": view("a")})) as api:
        _, text = await api.call("GET", "/metrics?name[]=verdictd_releases&name[]=nobody_knows_it")
        found = re.findall(r"^(\w+)", text, re.MULTILINE)
        assert found == ["verdictd_releases"] * len(Stage)


@pytest.mark.parametrize("name", ["verdictd_judging_seconds_bucket", "verdictd_judging_seconds"])
async def test_a_histogram_may_be_named_as_the_page_of_metrics_names_it_or_by_a_part(name: str) -> None:
    async with serving() as api:
        api.metrics.round("mesh", releases=1, sampling_seconds=0.1, judging_seconds=0.1)
        _, text = await api.call("GET", f"/metrics?name[]={name}")
        found = set(re.findall(r"^(\w+)", text, re.MULTILINE))
        assert found == ({name} if name.endswith("_bucket") else {f"{name}_{part}" for part in ("bucket", "count", "sum")})


async def test_the_event_loop_goes_on_while_metrics_are_written() -> None:
    """With thousands of releases that takes long enough to hold up a revert."""
    async with serving() as api:
        loop = asyncio.get_running_loop()
        turned: asyncio.Future[None] = loop.create_future()

        class Slow(Collector):
            def describe(self) -> Iterator[Metric]:
                return iter(())

            def collect(self) -> Iterator[Metric]:
                asyncio.run_coroutine_threadsafe(turn(), loop).result(timeout=40)
                yield GaugeMetricFamily("slow", "Slow.", value=1)

        async def turn() -> None:
            turned.set_result(None)

        api.metrics.registry.register(Slow())
        status, text = await api.call("GET", "/metrics")
        assert (status, "slow 1.0" in text, turned.done()) == (200, True, True)


async def test_whatever_answers_to_get_answers_to_head_without_a_body() -> None:
    engine = Engine(releases={"shop-1": view("shop-1")})
    engine.end("shop-1")
    paths = ("/v1/releases", "/v1/releases/shop-1", "/v1/releases/shop-1/verdict", "/v1/releases/shop-1/record")
    async with serving(engine) as api:
        for path in (*paths, "/v1/releases/shop-9", "/v1/releases?x=1", "/healthz", "/readyz", "/openapi.json", "/v2"):
            async with api.client.get(path) as get, api.client.head(path) as head:
                assert (head.status, head.content_type) == (get.status, get.content_type), path
                assert head.headers["Content-Length"] == str(len(await get.read())), path
                assert await head.read() == b""
        async with api.client.head("/metrics") as head:
            assert (head.status, head.content_type, await head.read()) == (200, "text/plain", b"")
