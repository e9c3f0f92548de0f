"""Words from one replica to another: one answer each, and an error where nobody gives one."""

import asyncio

import pytest

from daemon.aio.tasks import background
from daemon.bus.carrier import NatsCarrier
from daemon.bus.opening import Bus
from daemon.errors import Unavailable
from tests.hand.broker import Broker
from tests.hand.waiting import until

pytestmark = pytest.mark.live


async def heard(words: bytes) -> bytes:
    await asyncio.sleep(0.0)
    return b"heard " + words


async def answer_of(carrier: NatsCarrier, replica: str, words: bytes) -> bytes:
    """An answer, as soon as somebody listens."""
    async with asyncio.timeout(30.0):
        while True:
            try:
                return await carrier.ask(replica, words)
            except Unavailable:
                await asyncio.sleep(0.05)


async def test_what_is_said_to_a_replica_is_answered_by_it_alone_and_a_name_that_nobody_has_is_told_at_once(bus: Bus) -> None:
    other = NatsCarrier(bus.connection, cluster="elsewhere")
    async with background(bus.carrier.answer("a", heard), bus.carrier.answer("b", lambda words: _said(b"b"))):
        assert await answer_of(bus.carrier, "a", b"hello") == b"heard hello"
        assert await answer_of(bus.carrier, "b", b"hello") == b"b"
        answers = await asyncio.gather(*(bus.carrier.ask("a", f"{number}".encode()) for number in range(100)))
        assert answers == [f"heard {number}".encode() for number in range(100)]
        for carrier, replica in ((bus.carrier, "c"), (other, "a")):
            with pytest.raises(Unavailable, match="no replica"):
                await carrier.ask(replica, b"hello")
    with pytest.raises(Unavailable, match="no replica"):
        await bus.carrier.ask("a", b"hello")


async def test_a_broker_that_was_away_is_listened_to_again(bus: Bus, nats_server: Broker) -> None:
    async with background(bus.carrier.answer("a", heard)):
        assert await answer_of(bus.carrier, "a", b"1") == b"heard 1"
        await nats_server.kill()
        await until(lambda: not bus.ready)
        with pytest.raises(Unavailable):
            await bus.carrier.ask("a", b"2")
        await nats_server.start()
        assert await answer_of(bus.carrier, "a", b"3") == b"heard 3"


async def _said(words: bytes) -> bytes:
    await asyncio.sleep(0.0)
    return words
