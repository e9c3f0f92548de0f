"""Three servers and three replicas: what one of them has acknowledged survives its end."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

import nats.errors
import pytest

from config.settings import Nats
from daemon.bus import subjects
from daemon.bus.opening import Bus, open_bus
from daemon.errors import TransientError
from tests.bus.test_eventsource import announce, take
from tests.bus.test_publisher import published, told
from tests.hand.broker import cluster
from tests.hand.samples import DOCUMENT, verdict
from tests.hand.waiting import until

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

T = TypeVar("T")


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until there is an answer: leaders are being elected."""
    async with asyncio.timeout(45):
        while True:
            try:
                return await ask()
            except (TransientError, nats.errors.Error):
                await asyncio.sleep(0.2)


async def test_the_end_of_the_server_we_are_connected_to_loses_nothing(tmp_path: Path) -> None:
    async with cluster(tmp_path) as servers:
        settings = Nats(url=",".join(server.url for server in servers), replicas=3, connect_timeout_seconds=30.0)
        async with open_bus(settings, cluster="prod") as bus:
            assert (await bus.connection.jetstream.stream_info(subjects.VERDICTS)).config.num_replicas == 3
            await bus.sessions.put("web-1", b"state")
            await bus.verdicts.publish(verdict("web-1"))
            await announce(bus, DOCUMENT)
            connected_to = bus.connection.client.connected_url
            assert connected_to is not None
            [ours] = [server for server in servers if server.url.endswith(f":{connected_to.port}")]
            await ours.kill()
            await until(lambda: bus.ready)
            await told(bus, verdict("web-2"))
            await told(bus, verdict("web-1"))
            [announcement] = await take(bus, 1, within=30.0)
            await announcement.accept()
            assert [found.release_id for _, found in await patiently(lambda: published(bus))] == ["web-1", "web-2"]
            assert [(key, kept.value) for key, kept in await patiently(bus.sessions.items)] == [("web-1", b"state")]


async def lead_elsewhere(bus: Bus, streams: tuple[str, ...]) -> None:
    """Have the leaders of these streams step down; who cannot now is between two leaders anyway."""
    for stream in streams:
        with contextlib.suppress(nats.errors.Error, TransientError):
            await bus.connection.client.request(f"$JS.API.STREAM.LEADER.STEPDOWN.{stream}", b"", timeout=3.0)


async def test_with_a_node_killed_and_leaders_stepping_down_each_release_has_one_verdict_and_no_event_is_lost(
    tmp_path: Path,
) -> None:
    number = 30
    async with cluster(tmp_path) as servers:
        settings = Nats(url=",".join(server.url for server in servers), replicas=3, connect_timeout_seconds=30.0)
        async with open_bus(settings, cluster="prod") as bus, asyncio.timeout(80):
            midway = asyncio.Event()

            async def announces() -> None:
                for one in range(number):
                    headers = {"Nats-Msg-Id": f"event-{one}"}
                    while True:
                        try:
                            await announce(bus, DOCUMENT, headers)
                        except (TransientError, nats.errors.Error):
                            await asyncio.sleep(0.05)
                        else:
                            break

            async def decides() -> set[str]:
                decided: set[str] = set()
                async with aclosing(bus.events.announcements()) as announcements:
                    async for announcement in announcements:
                        assert announcement.release_id is not None
                        await told(bus, verdict(announcement.release_id))
                        await announcement.accept()
                        decided.add(announcement.release_id)
                        if len(decided) == number // 3:
                            midway.set()
                        if len(decided) == number:
                            return decided
                raise AssertionError("the announcements ended")

            async with asyncio.TaskGroup() as group:
                announcing, deciding = group.create_task(announces()), group.create_task(decides())
                await midway.wait()
                await lead_elsewhere(bus, (subjects.VERDICTS, subjects.RELEASES))
                await random.choice(servers).kill()  # noqa: S311 - whichever
            assert announcing.done()
            verdicts = [found.release_id for _, found in await patiently(lambda: published(bus))]
            assert sorted(verdicts) == sorted(deciding.result())
