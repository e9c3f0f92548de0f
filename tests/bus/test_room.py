"""A full stream of events refuses new ones; what everybody has answered does not fill it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo
from nats.js.errors import APIError

from daemon.bus import room, subjects
from daemon.bus.eventsource import NatsAnnouncement
from daemon.bus.opening import Bus, open_bus
from daemon.bus.room import Room
from tests.bus.test_gaps import read
from tests.hand.broker import Broker

pytestmark = pytest.mark.live


async def filled(bus: Bus, *, messages: int) -> None:
    """The stream with room for ten messages, with so many in it."""
    jetstream = bus.connection.jetstream
    config = (await jetstream.stream_info(subjects.RELEASES)).config
    await jetstream.update_stream(config.evolve(max_msgs=10))
    for _ in range(messages):
        await jetstream.publish("verdictd.release.x", b"{}")


class Reader:
    """Somebody who has been given events, and answers some of them now and the rest later."""

    def __init__(self, announcements: AsyncIterator[NatsAnnouncement]) -> None:
        self._announcements = announcements

    async def answers(self, count: int) -> None:
        for _ in range(count):
            await (await anext(self._announcements)).accept()


@asynccontextmanager
async def reader(bus: Bus) -> AsyncIterator[Reader]:
    async with asyncio.timeout(40), aclosing(bus.events.announcements()) as announcements:
        yield Reader(announcements)


async def kept(bus: Bus) -> int:
    return (await bus.connection.jetstream.stream_info(subjects.RELEASES)).state.messages


async def test_a_full_stream_refuses_and_tells_the_sender_and_keeps_what_nobody_has_read(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    await filled(bus, messages=10)
    with pytest.raises(APIError, match="maximum messages exceeded"):
        await bus.connection.jetstream.publish("verdictd.release.x", b"{}")
    await Room(bus.connection).tidy(subjects.RELEASES)
    assert await kept(bus) == 10
    assert [r for r in caplog.records if r.name == room.__name__ and "nearly full" in r.message]
    await read(bus, 10)
    assert bus.lost == 0


async def test_what_every_daemon_has_answered_makes_room(bus: Bus, nats_server: Broker) -> None:
    async with open_bus(nats_server.settings, cluster="second") as second:
        await filled(bus, messages=8)
        await read(bus, 8)
        async with reader(second) as slow:
            await slow.answers(3)
            await Room(bus.connection).tidy(subjects.RELEASES)
            assert await kept(bus) == 5
            await slow.answers(5)
        await filled(bus, messages=4)
        await Room(bus.connection).tidy(subjects.RELEASES)
        assert await kept(bus) == 4
        await read(bus, 4)
        await read(second, 4)
        assert (bus.lost, second.lost) == (0, 0)


async def test_what_a_daemon_on_a_later_page_has_not_answered_stays(
    bus: Bus, nats_server: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server lists consumers a page at a time: here one at a time."""
    monkeypatch.setattr("daemon.bus.serving._PAGE", 1)
    whole = JetStreamContext.consumers_info

    async def one(jetstream: JetStreamContext, stream: str, offset: int | None = None) -> list[ConsumerInfo]:
        return sorted(await whole(jetstream, stream), key=lambda info: info.name)[offset or 0 :][:1]

    monkeypatch.setattr(JetStreamContext, "consumers_info", one)
    async with open_bus(nats_server.settings, cluster="zz-last") as last:
        await filled(bus, messages=8)
        await read(bus, 8)
        async with reader(last) as slow:
            await slow.answers(3)
            await Room(bus.connection).tidy(subjects.RELEASES)
            assert await kept(bus) == 5
            await slow.answers(5)


async def test_a_stream_that_is_less_than_half_full_is_left_as_it_is(bus: Bus) -> None:
    await filled(bus, messages=5)
    await read(bus, 5)
    await Room(bus.connection).tidy(subjects.RELEASES)
    assert await kept(bus) == 5
