"""The engine on a real broker, and all that strangers put on it: it is told, counted and kept, and the good release is watched."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import msgspec
import pytest

from daemon.bus.opening import Bus, open_bus
from daemon.engine.engine import Engine
from daemon.http.metrics.meter import Metrics
from tests.bus import raw
from tests.bus.test_eventsource import announce, dead_letters
from tests.bus.test_strangers import BODIES
from tests.hand.broker import Broker, nats_server
from tests.hand.ports import HandTelemetry, Scene
from tests.hand.samples import RELEASE, gap
from tests.servers.run import until

__all__ = ["nats_server"]

pytestmark = pytest.mark.live


@asynccontextmanager
async def engine_on(bus: Bus, metrics: Metrics) -> AsyncIterator[Engine]:
    """Takes its events from the bus."""
    world = Scene(telemetry=HandTelemetry([gap()])).ports()
    engine = Engine(replace(world, events={"nats": bus.events}, commands=bus.commands, meter=metrics))
    async with asyncio.TaskGroup() as group:
        group.create_task(engine.run())
        try:
            yield engine
        finally:
            engine.stop()


async def test_nothing_that_a_stranger_sends_keeps_the_next_release_from_being_watched(
    nats_server: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    good = msgspec.json.encode(RELEASE)
    async with open_bus(nats_server.settings, cluster="test") as bus:
        for body, _ in BODIES.values():
            await announce(bus, body)
        await raw.publish(nats_server.url, b"verdictd.release.\xff", b"\xff")
        await raw.publish(nats_server.url, b"verdictd.release.x", good, headers={b"Nats-Msg-Id": b"\xff"})
        await announce(bus, msgspec.json.encode(msgspec.structs.replace(RELEASE, cluster="tset")))
        await announce(bus, good)
        strangers = len(BODIES) + 3
        async with engine_on(bus, metrics) as engine:

            async def all_are_answered() -> bool:
                return bool(engine.views()) and len(await dead_letters(bus)) >= strangers

            # They are answered side by side: the last may be watched before the first is rejected.
            await until(all_are_answered, within=40.0)
            [view] = engine.views()
        letters = await dead_letters(bus)
    assert view.release.service == RELEASE.service
    assert len(letters) == strangers
    assert any("did you mean test?" in headers["Verdictd-Reason"] for headers, _ in letters)
    assert [record.message for record in caplog.records].count("event rejected") == strangers
    counted = metrics.registry.get_sample_value("verdictd_troubles_total", {"what": "event", "error": "InvalidEvent"})
    assert counted == strangers
