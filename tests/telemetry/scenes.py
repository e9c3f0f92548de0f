"""A telemetry source of a dialect, the server that shows series in its form, and what was read of both arms."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

from config.settings import EnvoyTelemetry, PrometheusTelemetry
from daemon.measurements import Reading, Watch
from daemon.model import ArmSpec, Protocol, Release
from daemon.ports.telemetry import Telemetry
from daemon.telemetry.factory import telemetry_from
from daemon.telemetry.schema import Schema
from tests.hand.clock import HandClock
from tests.hand.servers import stub
from tests.telemetry.made_up import TARGETS, Exporter

Shows = Callable[[int, int, int], None]
"""Requests served by the baseline, served by the canary, failed by the canary."""


def watching(*, baseline: ArmSpec, canary: ArmSpec, protocol: Protocol = "http") -> list[Watch]:
    """A release of these arms."""
    release = Release(service="web", namespace="shop", baseline=baseline, canary=canary, protocol=protocol)
    return [Watch(release_id="web-1", release=release)]


class Scene:
    """A telemetry source, what its server shows, and the clock of both."""

    def __init__(self, telemetry: Telemetry, exporter: Exporter, clock: HandClock) -> None:
        self.telemetry, self.exporter, self.clock = telemetry, exporter, clock

    async def read(self, watches: list[Watch]) -> Reading:
        self.clock.time += 5
        self.exporter.now = self.clock.time
        return (await self.telemetry.read(watches))["web-1"]

    async def counted(self, watches: list[Watch], shows: Shows) -> Reading:
        """What is counted while the baseline serves 40 requests, and the canary 6 and fails 3."""
        shows(100, 10, 1)
        assert (await self.read(watches)).gap == "first reading: counting starts here"
        shows(140, 16, 4)
        reading = await self.read(watches)
        assert reading.gap is None, reading.gap
        return reading


@asynccontextmanager
async def scene(schema: str, *, through: str, schemas: Mapping[str, Schema], **settings: Any) -> AsyncIterator[Scene]:
    """A source through ``prometheus``, or of two targets' pages (``text``)."""
    clock = HandClock(booted=999_500.0)
    exporter = Exporter(now=clock.time)
    dialect = cast("Any", schema)  # the settings know those that verdictd comes with
    async with stub(addresses=2) as server:
        if through == "prometheus":
            server.does(exporter.as_prometheus)
            entry: EnvoyTelemetry | PrometheusTelemetry = PrometheusTelemetry(url=server.url, dialect=dialect, **settings)
        else:
            server.does(exporter.as_text)
            endpoints = [server.url.replace("127.0.0.1", address) for address in TARGETS]
            entry = EnvoyTelemetry(endpoints=endpoints, tick_seconds=5.0, dialect=dialect, **settings)
        async with telemetry_from(entry, clock=clock, schemas=schemas) as telemetry:
            yield Scene(telemetry, exporter, clock)


def arms(reading: Reading) -> Mapping[str, tuple[int, int]]:
    """Requests and errors of both arms, of which all are told how they ended."""
    assert reading.baseline is not None
    assert reading.canary is not None
    assert [(one.unclassified, one.unanswered) for one in (reading.baseline, reading.canary)] == [(0, 0), (0, 0)]
    return {
        "baseline": (reading.baseline.requests, reading.baseline.errors),
        "canary": (reading.canary.requests, reading.canary.errors),
    }
