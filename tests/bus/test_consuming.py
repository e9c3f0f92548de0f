"""A durable consumer that several replicas begin with at once."""

import asyncio
from contextlib import AsyncExitStack, aclosing

import pytest

from daemon.bus import consuming, subjects
from daemon.bus.address import BrokerAddress
from daemon.bus.connection import connected
from daemon.bus.consuming import Consumer
from daemon.bus.opening import Bus
from tests.hand.broker import Broker

pytestmark = pytest.mark.live

REPLICAS = 3
ROUNDS = 10
"""In most of them, one replica makes it between another's look and its making."""


async def test_replicas_that_make_their_consumer_at_once_all_read_from_it_at_once_and_miss_nothing(
    bus: Bus, nats_server: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    jetstream = bus.connection.jetstream
    for _ in range(3):
        await jetstream.publish("verdictd.release.x", b"{}")
    await jetstream.purge_stream(subjects.RELEASES, seq=3)
    address = BrokerAddress(servers=(nats_server.url,))
    async with AsyncExitStack() as stack, asyncio.timeout(40):
        connections = [
            await stack.enter_async_context(connected(address, name=f"replica-{number}", connect_timeout_seconds=20.0))
            for number in range(REPLICAS)
        ]
        for number in range(ROUNDS):
            durable = f"verdictd-{number}"
            replicas = [Consumer(connection, stream=subjects.RELEASES, durable=durable) for connection in connections]
            reading = [asyncio.create_task(_reads(replica)) for replica in replicas]
            while (await _asking(bus, durable)) < REPLICAS:
                await asyncio.sleep(0.01)
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)
            assert [replica.gaps.lost for replica in replicas] == [0] * REPLICAS
    assert [record for record in caplog.records if record.name == consuming.__name__] == []


async def _reads(consumer: Consumer) -> None:
    async with aclosing(consumer.deliveries()) as deliveries:
        async for delivery in deliveries:
            await delivery.acknowledge()


async def _asking(bus: Bus, durable: str) -> int:
    """How many replicas wait for messages now."""
    found = await bus.connection.jetstream.consumers_info(subjects.RELEASES)
    return next((info.num_waiting or 0 for info in found if info.name == durable), 0)
