"""What a real Envoy writes of calls of gRPC and of plain connections, and of clusters as other meshes call theirs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from config.settings import EnvoyTelemetry
from daemon.aio.clock import SystemClock
from daemon.measurements import Reading
from daemon.meshes.registry import schemas
from daemon.model import ArmSpec, Protocol
from daemon.telemetry.factory import telemetry_from
from tests.live.clusters_world import ClustersWorld, clusters_world
from tests.telemetry.scenes import arms, watching

pytestmark = pytest.mark.live

PLAIN = ("web-v1", "web-v2")
NAMES = {
    "envoy": PLAIN,
    "envoy-gateway": ("httproute/shop/web/rule/0/backend/0", "httproute/shop/web/rule/0/backend/1"),
    "osm": ("shop/web-v1|8080", "shop/web-v2|8080"),
}
Page = Literal["text", "bins"]


class Read:
    """A source of telemetry on this Envoy; the first reading, where counting starts, is done."""

    def __init__(self, telemetry: Any, watches: Any) -> None:
        self._telemetry, self._watches = telemetry, watches

    async def __call__(self) -> Reading:
        reading: Reading = (await self._telemetry.read(self._watches))["web-1"]
        return reading


@asynccontextmanager
async def reading(
    it: ClustersWorld, names: tuple[str, str], *, dialect: str = "envoy", page: Page = "text", protocol: Protocol = "http"
) -> AsyncIterator[Read]:
    entry = EnvoyTelemetry(endpoints=[it.admin], dialect=dialect, histograms=page, tick_seconds=0.25, timeout_seconds=30.0)
    watches = watching(baseline=ArmSpec(service=names[0]), canary=ArmSpec(service=names[1]), protocol=protocol)
    async with telemetry_from(entry, clock=SystemClock(), schemas=schemas()) as telemetry:
        made = Read(telemetry, watches)
        assert (await made()).gap == "first reading: counting starts here"
        yield made


@pytest.mark.parametrize("by_method", [False, True])
@pytest.mark.parametrize("page", ["text", "bins"])
async def test_calls_that_fail_under_http_200_are_errors(tmp_path: Path, page: Page, by_method: bool) -> None:
    async with clusters_world(tmp_path, PLAIN, by_method=by_method) as it:
        for arm in (0, 1):
            await it.calls(arm, 3)
            await it.calls(arm, 3, status=13)
        async with reading(it, PLAIN, page=page) as read:
            await it.calls(0, 20)
            await it.calls(1, 10)
            await it.calls(1, 3, status=13)
            await it.calls(1, 2, status=14)
            await it.calls(1, 4, status=5)  # not found is an answer
            assert arms(await read()) == {"baseline": (20, 0), "canary": (19, 5)}
    assert it.called == [26, 25]


@pytest.mark.parametrize("page", ["text", "bins"])
async def test_what_envoy_answers_for_a_dead_canary_is_counted_once_of_two_counters(tmp_path: Path, page: Page) -> None:
    async with clusters_world(tmp_path, PLAIN, dead_canary=True) as it:
        await it.calls(0, 1)
        await it.calls(1, 1)
        async with reading(it, PLAIN, page=page) as read:
            await it.calls(0, 5)
            await it.calls(1, 7)
            assert arms(await read()) == {"baseline": (5, 0), "canary": (7, 7)}


@pytest.mark.parametrize("page", ["text", "bins"])
async def test_connections_are_counted_and_those_that_were_refused_are_the_errors(tmp_path: Path, page: Page) -> None:
    async with clusters_world(tmp_path, PLAIN, dead_canary=True) as it:
        await it.connects(0, 1)
        await it.connects(1, 1)
        async with reading(it, PLAIN, page=page, protocol="tcp") as read:
            assert await it.connects(0, 6) == 6
            assert await it.connects(1, 4) == 0
            found = await read()
    assert arms(found) == {"baseline": (6, 0), "canary": (4, 4)}
    assert found.bounds_ms is None


@pytest.mark.parametrize("page", ["text", "bins"])
@pytest.mark.parametrize("dialect", ["envoy-gateway", "osm"])
async def test_clusters_are_known_by_the_names_that_other_meshes_give_them(tmp_path: Path, dialect: str, page: Page) -> None:
    names = NAMES[dialect]
    async with clusters_world(tmp_path, names) as it:
        await it.calls(0, 1)
        await it.calls(1, 1)
        async with reading(it, names, dialect=dialect, page=page) as read:
            await it.calls(0, 8)
            await it.calls(1, 5)
            await it.calls(1, 2, status=13)
            assert arms(await read()) == {"baseline": (8, 0), "canary": (7, 2)}


async def test_consuls_own_names_of_clusters_tell_service_and_subset(tmp_path: Path) -> None:
    """By raw bins; in Prometheus' format Consul has its sidecars take them apart by patterns of its own."""
    domain = "web.default.dc1.internal.5a1c0d3e-7f11-4c0a-9a55-0e6a2b1f8c77.consul"
    async with clusters_world(tmp_path, (f"v1.{domain}", f"v2.{domain}")) as it:
        await it.calls(0, 1)
        await it.calls(1, 1)
        entry = EnvoyTelemetry(endpoints=[it.admin], dialect="consul", histograms="bins", tick_seconds=0.25, timeout_seconds=30.0)
        watches = watching(baseline=ArmSpec(service="web", subset="v1"), canary=ArmSpec(subset="v2"))
        async with telemetry_from(entry, clock=SystemClock(), schemas=schemas()) as telemetry:
            assert (await telemetry.read(watches))["web-1"].gap == "first reading: counting starts here"
            await it.calls(0, 8)
            await it.calls(1, 5)
            await it.calls(1, 2, status=13)
            assert arms((await telemetry.read(watches))["web-1"]) == {"baseline": (8, 0), "canary": (7, 2)}
