"""Events in: understood, refused, seen twice, and never lost."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest

from daemon.bus import subjects
from daemon.bus.intake import NatsAnnouncement
from daemon.bus.opening import Bus, open_bus
from daemon.errors import InvalidEvent
from tests.bus.samples import RELEASE
from tests.live.nats import Broker, until

pytestmark = pytest.mark.live

SUBJECT = "verdictd.release.prod.shop.web"


async def announce(bus: Bus, body: bytes | dict[str, Any], headers: dict[str, str] | None = None) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    await bus.connection.jetstream.publish(SUBJECT, data, headers=headers)


async def take(bus: Bus, count: int, *, within: float = 10.0) -> list[NatsAnnouncement]:
    """The next announcements, unanswered."""
    taken: list[NatsAnnouncement] = []
    async with asyncio.timeout(within), aclosing(bus.events.announcements()) as announcements:
        async for announcement in announcements:
            taken.append(announcement)
            if len(taken) == count:
                break
    return taken


async def outstanding(bus: Bus) -> int:
    info = await bus.connection.jetstream.consumer_info(subjects.RELEASES, "verdictd-prod")
    return (info.num_pending or 0) + (info.num_ack_pending or 0)


async def dead_letters(bus: Bus) -> list[tuple[dict[str, str], bytes]]:
    state = (await bus.connection.jetstream.stream_info(subjects.REJECTED)).state
    messages = [
        await bus.connection.jetstream.get_msg(subjects.REJECTED, seq=n) for n in range(state.first_seq or 1, state.last_seq + 1)
    ]
    return [(message.headers or {}, message.data or b"") for message in messages]


async def test_a_bare_release_is_announced_and_acknowledged_when_accepted(bus: Bus) -> None:
    await announce(bus, RELEASE)
    [announcement] = await take(bus, 1)
    assert announcement.release().service == "web"
    assert announcement.release_id is not None
    assert announcement.release_id.startswith("web-")
    assert await outstanding(bus) == 1
    await announcement.accept()
    assert await outstanding(bus) == 0


async def test_the_same_cloudevent_sent_twice_gives_the_same_release_id(bus: Bus) -> None:
    event = {"specversion": "1.0", "id": "7", "source": "/ci", "type": "io.verdictd.release.v1", "data": RELEASE}
    await announce(bus, event)
    await announce(bus, event, {"Content-Type": "application/cloudevents+json"})
    await announce(bus, RELEASE, {"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/ci", "ce-type": "io.verdictd.release.v1"})
    await announce(bus, {**event, "id": "8"})
    first, second, third, other = [announcement.release_id for announcement in await take(bus, 4)]
    assert first == second == third
    assert first != other


async def test_a_bare_release_is_told_from_the_next_by_its_place_and_keeps_its_id_when_redelivered(bus: Bus) -> None:
    await announce(bus, RELEASE)
    await announce(bus, RELEASE)
    first, second = await take(bus, 2)
    assert first.release_id != second.release_id
    await first._delivery.put_back()
    [again] = await take(bus, 1)
    assert again.release_id == first.release_id


async def test_what_is_not_understood_is_buried_with_its_reason_and_the_intake_goes_on(bus: Bus) -> None:
    bad = {**RELEASE, "service": "web.>"}
    await announce(bus, b"\xff{not json", {"X-Sender": "ci"})
    await announce(bus, bad)
    await announce(bus, {"specversion": "1.0", "id": "7", "source": "/ci", "type": "com.example.other", "data": {}})
    await announce(bus, RELEASE)
    *refused, good = await take(bus, 4)
    for announcement in refused:
        assert announcement.release_id is None
        with pytest.raises(InvalidEvent) as caught:
            announcement.release()
        await announcement.reject(str(caught.value))
    await good.accept()
    assert await outstanding(bus) == 0
    letters = await dead_letters(bus)
    assert [headers["Verdictd-Reason"].split(":")[0] for headers, _ in letters] == ["$", "$.service", "$.type"]
    assert letters[0][1] == b"\xff{not json"
    assert letters[0][0]["Verdictd-Header-X-Sender"] == "ci"
    assert letters[1][0]["Verdictd-Subject"] == SUBJECT
    assert json.loads(letters[1][1]) == bad


async def test_what_was_not_answered_when_the_daemon_stopped_comes_at_once_to_the_next(nats_server: Broker) -> None:
    async with open_bus(nats_server.settings, cluster="prod") as bus:
        for _ in range(5):
            await announce(bus, RELEASE)
        held = await take(bus, 2)
        assert len(held) == 2
    async with open_bus(nats_server.settings, cluster="prod") as bus:
        assert len(await take(bus, 5, within=3.0)) == 5


async def test_events_sent_around_a_kill_of_the_server_all_arrive(nats_server: Broker, bus: Bus) -> None:
    seen: set[str] = set()

    async def watch() -> None:
        async with aclosing(bus.events.announcements()) as announcements:
            async for announcement in announcements:
                await announcement.accept()
                seen.add(announcement.release().service)
                if len(seen) == 2:
                    return

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(watch())
        await announce(bus, {**RELEASE, "service": "before"})
        await until(lambda: bool(seen))
        await nats_server.kill()
        await asyncio.sleep(1.0)
        await nats_server.start()
        await until(lambda: bus.ready)
        await announce(bus, {**RELEASE, "service": "after"})
    assert seen == {"before", "after"}
