"""Brokers whose disks are slow: what is kept is kept once, and one that is slower than the others holds nobody up."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import nats.errors
import pytest

from config.settings import Nats
from daemon.bus import subjects
from daemon.bus.opening import Bus, open_bus
from daemon.engine.promotions import Promotions
from daemon.errors import TransientError
from daemon.model import Release
from tests.bus.test_cluster import patiently
from tests.bus.test_eventsource import announce, take
from tests.bus.test_publisher import published, told
from tests.hand import samples
from tests.hand.broker import Broker, cluster
from tests.hand.samples import DOCUMENT, verdict
from tests.hand.waiting import until
from tests.servers import slowdisk
from tests.servers.slowdisk import SlowDisk

obstacle = slowdisk.obstacle()
pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(150),
    pytest.mark.skipif(obstacle is not None, reason=f"no slow disk: {obstacle}"),
]

NEVER_SECONDS = 3_600.0
LONGER_THAN_AT_FIRST_SECONDS = 3.0
"""Longer than the first try of a write is waited for."""


@pytest.fixture
async def slow_server(tmp_path: Path) -> AsyncIterator[Broker]:
    running = Broker(tmp_path / "nats", has_slow_disk=True)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


def disk_of(server: Broker) -> SlowDisk:
    assert server.disk is not None
    return server.disk


async def leads(bus: Bus, stream: str) -> str | None:
    """The server that leads a stream; null: none now."""
    found = (await bus.connection.jetstream.stream_info(stream)).cluster
    return None if found is None else found.leader


async def led_by(bus: Bus, name: str, streams: tuple[str, ...]) -> None:
    """Have this server lead these streams."""
    words = json.dumps({"placement": {"preferred": name}}).encode()
    for stream in streams:
        while True:
            try:
                if await leads(bus, stream) == name:
                    break
                await bus.connection.client.request(f"$JS.API.STREAM.LEADER.STEPDOWN.{stream}", words, timeout=3.0)
            except nats.errors.Error:
                pass  # between two leaders
            await asyncio.sleep(0.2)


async def test_a_follower_whose_disk_writes_nothing_holds_up_neither_states_nor_verdicts_nor_events(tmp_path: Path) -> None:
    async with cluster(tmp_path, have_slow_disks=True) as servers:
        settings = Nats(url=",".join(server.url for server in servers), replicas=3, connect_timeout_seconds=30.0)
        async with open_bus(settings, cluster="prod") as bus, asyncio.timeout(100):
            await led_by(bus, "n0", (f"KV_{subjects.SESSIONS}", f"KV_{subjects.RECORDS}", subjects.VERDICTS, subjects.RELEASES))
            disk_of(servers[1]).takes(NEVER_SECONDS)
            await patiently(lambda: bus.sessions.put("web-1", b"state"))
            await told(bus, verdict("web-1"))
            await patiently(lambda: announce(bus, DOCUMENT, {"Nats-Msg-Id": "once"}))
            [announcement] = await take(bus, 1, within=60.0)
            await announcement.accept()
            assert [found.release_id for _, found in await patiently(lambda: published(bus))] == ["web-1"]
            assert [(key, kept.value) for key, kept in await patiently(bus.sessions.items)] == [("web-1", b"state")]


async def test_what_takes_longer_to_write_than_is_waited_for_at_first_is_acknowledged_all_the_same(slow_server: Broker) -> None:
    async with open_bus(slow_server.settings, cluster="prod") as bus, asyncio.timeout(100):
        disk_of(slow_server).takes(LONGER_THAN_AT_FIRST_SECONDS)
        while True:
            try:
                revision = await bus.sessions.put("web-1", b"state")
            except TransientError:
                continue
            break
        kept = await bus.sessions.get("web-1")
        assert kept is not None
        assert (kept.value, kept.revision) == (b"state", revision)


async def test_a_disk_that_is_slow_is_said_and_measured_and_no_more_is_written_to_it_for_that(slow_server: Broker) -> None:
    async with open_bus(slow_server.settings, cluster="prod") as bus, asyncio.timeout(100):
        await until(lambda: bus.pulse.standing.last_success_at is not None)
        assert bus.pulse.write_seconds > 0.0
        disk_of(slow_server).takes(LONGER_THAN_AT_FIRST_SECONDS)
        await until(lambda: "s for a write: is its disk slow" in (bus.pulse.problem or ""))
        assert bus.pulse.write_seconds >= LONGER_THAN_AT_FIRST_SECONDS
        disk_of(slow_server).takes(0.0)
        await until(lambda: bus.pulse.problem is None)


async def test_a_verdict_and_what_was_promoted_are_told_once_where_each_write_outlasts_the_first_try(slow_server: Broker) -> None:
    release = msgspec.convert(samples.DOCUMENT, Release)
    async with open_bus(slow_server.settings, cluster="prod") as bus, asyncio.timeout(100):
        promotions = Promotions(bus.promotions)
        disk_of(slow_server).takes(LONGER_THAN_AT_FIRST_SECONDS)
        async with asyncio.TaskGroup() as group:
            group.create_task(told(bus, verdict("web-1")))
            group.create_task(told(bus, verdict("web-1")))
            while True:
                try:
                    await promotions.keep(release, verdict("web-1"))
                except TransientError:
                    await asyncio.sleep(0.1)
                else:
                    break
        disk_of(slow_server).takes(0.0)
        assert [found.release_id for _, found in await published(bus)] == ["web-1"]
        assert [one.release_id for one in await promotions.of(release)] == ["web-1"]
