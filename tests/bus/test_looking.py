"""A look at a broker: what is there of our streams, and that the look makes none."""

from pathlib import Path

import nats
import pytest

from config.settings import Nats
from daemon.bus.looking import look
from daemon.bus.opening import open_bus
from daemon.bus.streams import PLANS
from daemon.doctor import broker
from daemon.doctor.diagnosis import Code
from tests.servers.nats_server import nats_server

pytestmark = pytest.mark.live


async def test_streams_are_missing_then_there_then_not_what_they_must_be_and_looking_makes_none(tmp_path: Path) -> None:
    async with nats_server(tmp_path) as server:
        settings = Nats(url=server.url)
        for _ in range(2):
            assert set((await look(settings, name="a look")).values()) == {"missing"}
        async with open_bus(settings, cluster="prod"):
            assert await look(settings, name="a look") == {plan.name: "fit" for plan in PLANS}
        client = await nats.connect(server.url)
        stream = await client.jetstream().stream_info(PLANS[0].name)
        await client.jetstream().update_stream(stream.config.evolve(subjects=["other.>"]))
        await client.close()
        assert (await look(settings, name="a look"))[PLANS[0].name] == "unlike"
        unfit, there = await broker.examine(settings)
    assert (unfit.code, there.code) == (Code.STREAM_UNFIT, Code.BROKER)
    assert PLANS[0].name in unfit.found


async def test_a_broker_that_does_not_know_us_is_told_with_the_key_to_set(tmp_path: Path) -> None:
    async with nats_server(tmp_path, flags=("--auth", "secret")) as server:
        [found] = await broker.examine(Nats(url=server.url, connect_timeout_seconds=40.0))
    assert found.code is Code.BROKER_FORBIDDEN
    assert "nats.token_file" in found.fix


async def test_a_setting_that_cannot_be_honoured_is_told_by_its_path(tmp_path: Path) -> None:
    [found] = await broker.examine(Nats(url="nats://127.0.0.1:9", token_file=str(tmp_path / "gone")))
    assert found.code is Code.BROKER_UNREACHABLE
    assert found.where == "nats.token_file"
