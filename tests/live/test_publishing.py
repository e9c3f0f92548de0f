"""The engine on a real broker that goes away: what it still has to tell is counted, told once, and never keeps it from stopping."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from daemon.aio.clock import SystemClock
from daemon.bus import subjects
from daemon.bus.opening import Bus, open_bus
from daemon.engine.engine import Engine
from daemon.http.metrics.meter import Metrics
from daemon.model import Stage, Verdict
from tests.bus.conftest import unkept
from tests.bus.test_publisher import published
from tests.bus.test_readers import refusing
from tests.hand.broker import Broker, nats_server
from tests.hand.ports import HandTelemetry, Scene
from tests.hand.samples import ID, RELEASE, failing, gap
from tests.hand.waiting import until

__all__ = ["nats_server", "unkept"]

pytestmark = pytest.mark.live

TROUBLE = {"what": "publish", "error": "Unavailable"}


@pytest.fixture
async def bus(nats_server: Broker) -> AsyncIterator[Bus]:
    async with open_bus(nats_server.settings, cluster="test") as opened:
        yield opened


@asynccontextmanager
async def engine_on(bus: Bus, scene: Scene, metrics: Metrics) -> AsyncIterator[Engine]:
    """Publishes on the bus, and keeps its sessions where no broker can take them away."""
    engine = Engine(replace(scene.ports(), verdicts=bus.verdicts, clock=SystemClock(), meter=metrics))
    async with asyncio.TaskGroup() as group:
        group.create_task(engine.run())
        try:
            yield engine
        finally:
            engine.stop()


def troubles(metrics: Metrics) -> float:
    """How often a verdict could not be published."""
    return metrics.registry.get_sample_value("verdictd_troubles_total", TROUBLE) or 0.0


def held_up(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("verdictd_verdicts_held_up")


async def decided(engine: Engine, scene: Scene) -> None:
    """A release that is watched, and then fails."""
    await engine.submit(RELEASE, release_id=ID)
    scene.telemetry.readings = [failing()]


async def end_of(engine: Engine) -> Verdict | None:
    await until(lambda: any(one.stage is Stage.ENDED for one in engine.views()))
    return await engine.wait(ID, seconds=0)


async def test_a_broker_that_is_away_is_a_trouble_of_publishing_and_has_the_verdict_once_when_it_is_back(
    nats_server: Broker, bus: Bus
) -> None:
    scene, metrics = Scene(telemetry=HandTelemetry([gap()])), Metrics()
    async with engine_on(bus, scene, metrics) as engine:
        await nats_server.kill()
        await decided(engine, scene)
        await until(lambda: troubles(metrics) >= 2)
        assert scene.router.canary_percent == 0
        await nats_server.start()
        verdict = await end_of(engine)
    assert [told for _, told in await published(bus)] == [verdict]


@pytest.mark.usefixtures("unkept")
async def test_a_verdict_that_its_full_stream_refuses_is_said_with_what_mends_it_and_counted_until_it_is_told(bus: Bus) -> None:
    scene, metrics = Scene(telemetry=HandTelemetry([gap()])), Metrics()
    async with engine_on(bus, scene, metrics) as engine:
        metrics.watch_verdicts(lambda: engine.verdicts_held_up)
        assert (engine.handicaps["verdicts"], held_up(metrics)) == (None, 0.0)
        await refusing(bus, max_bytes=64)
        await decided(engine, scene)
        await until(lambda: held_up(metrics) == 1.0)
        said = engine.handicaps["verdicts"] or ""
        assert said.startswith(f"verdicts not published (1): publishing {ID}.verdict on {subjects.VERDICTS}: ")
        assert "maximum bytes exceeded" in said
        assert "nats stream edit --discard old" in said
        assert scene.router.canary_percent == 0
        await refusing(bus, max_bytes=1024**2)
        verdict = await end_of(engine)
        assert (engine.handicaps["verdicts"], held_up(metrics)) == (None, 0.0)
    assert [told for _, told in await published(bus)] == [verdict]


async def test_a_stop_while_the_broker_is_away_is_quick_and_the_next_start_tells_the_verdict_once(
    nats_server: Broker, bus: Bus
) -> None:
    scene, metrics = Scene(telemetry=HandTelemetry([gap()])), Metrics()
    async with engine_on(bus, scene, metrics) as engine:
        await nats_server.kill()
        await decided(engine, scene)
        # So many failures that the pause after them is a long one.
        await until(lambda: troubles(metrics) >= 5)
        before = troubles(metrics)
    assert troubles(metrics) - before <= 1, "it ended within the pause, or on a busy machine after the one attempt that follows"
    assert list(scene.sessions.data) == [ID]
    await nats_server.start()
    await until(lambda: bus.ready)
    async with engine_on(bus, scene, metrics) as engine:
        verdict = await end_of(engine)
    assert [told for _, told in await published(bus)] == [verdict]
