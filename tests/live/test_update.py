"""An update in the middle of the work: what an earlier form left in NATS is carried to the same verdicts, each told once."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from config.settings import Nats
from daemon.bus.opening import Bus, open_bus
from daemon.engine.engine import Engine
from daemon.engine.keptforms import decode_record
from daemon.model import Verdict
from daemon.stored import FORM
from tests.bus.test_publisher import published
from tests.earlier.keeping import ManyRouter, essence, scene
from tests.earlier.schema import HERE
from tests.hand.ports import Scene
from tests.hand.waiting import until

pytestmark = pytest.mark.live
WATCHED_ON = 10
"""The form from which on a canary may be watched on after its promotion."""


@asynccontextmanager
async def engine_over(bus: Bus, world: Scene) -> AsyncIterator[Engine]:
    """An engine over NATS and, for the rest, over the ports of ``world``."""
    engine = Engine(replace(world.ports(), sessions=bus.sessions, records=bus.records, verdicts=bus.verdicts))
    async with asyncio.TaskGroup() as group:
        group.create_task(engine.run())
        await until(lambda: engine.ready)
        yield engine
        engine.stop()


async def until_empty(bus: Bus) -> None:
    """Wait until no release is under way any more."""
    async with asyncio.timeout(60.0):
        while await bus.sessions.items():
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("number", range(1, FORM + 1))
async def test_every_release_that_an_earlier_form_had_under_way_ends_with_the_verdict_it_would_have_had(
    number: int, tmp_path: Path
) -> None:
    kept = json.loads((HERE / f"kept-{number}.json").read_bytes())
    async with open_bus(Nats(data_dir=str(tmp_path)), cluster="test") as bus:
        for key, document in kept["sessions"].items():
            await bus.sessions.put(key, msgspec.json.encode(document))
        for key, document in kept["records"].items():
            await bus.records.put(key, msgspec.json.encode(document))
        for document in kept["told"]:
            await bus.verdicts.publish(msgspec.convert(document, Verdict))
        world = scene(ails=False)
        world.clock.time = kept["at"]
        assert isinstance(world.router, ManyRouter)
        world.router.patched = {"guarding": 1}
        async with engine_over(bus, world):
            await until_empty(bus)
        told = [verdict for _, verdict in await published(bus)]
        assert {one.release_id: essence(one) for one in told} == kept["verdicts"]
        assert len(told) == len(kept["verdicts"]), "each is told once"
        records = {key: decode_record(found.value).verdict for key, found in await bus.records.items()}
        assert records == {one.release_id: one for one in told}
    taken_back = {"guarding", "worse", "reverting"} | ({"ended"} if number >= WATCHED_ON else set())
    assert world.router.patched == dict.fromkeys(taken_back, 1), "what was taken back before is not taken back again"
