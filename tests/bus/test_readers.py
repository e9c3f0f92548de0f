"""A stream of verdicts that is full by somebody's limits, and readers that do not read: verdicts wait for room, not for readers."""

import asyncio
import socket

import pytest
from nats.js import api

from daemon.bus import subjects
from daemon.bus.opening import Bus, open_bus
from daemon.errors import Unavailable
from tests.bus.test_publisher import published, told
from tests.hand.broker import Broker
from tests.hand.samples import verdict

pytestmark = pytest.mark.live

LONG = "x" * 50_000
MUCH = 200
"""Verdicts of this length: more than a connection that nobody reads from takes."""


async def refusing(bus: Bus, *, max_bytes: int) -> None:
    """As an operator may have it, against what it was made with: full, it refuses what is new."""
    jetstream = bus.connection.jetstream
    config = (await jetstream.stream_info(subjects.VERDICTS)).config
    await jetstream.update_stream(config.evolve(discard=api.DiscardPolicy.NEW, max_bytes=max_bytes))


@pytest.mark.usefixtures("unkept")
async def test_a_verdict_that_finds_its_stream_full_is_told_once_when_there_is_room(bus: Bus) -> None:
    await refusing(bus, max_bytes=4_096)
    await bus.verdicts.publish(verdict("web-1"))
    late = verdict("web-2", reason="y" * 4_096)
    for _ in range(2):
        with pytest.raises(Unavailable, match="maximum bytes exceeded"):
            await bus.verdicts.publish(late)
    await refusing(bus, max_bytes=65_536)
    await told(bus, late)
    await told(bus, late)
    assert [found.release_id for _, found in await published(bus)] == ["web-1", "web-2"]


@pytest.mark.usefixtures("unkept")
async def test_a_stream_of_verdicts_that_was_made_to_refuse_lets_go_of_its_oldest_again_after_a_start(
    bus: Bus, nats_server: Broker
) -> None:
    await refusing(bus, max_bytes=4_096)
    await bus.verdicts.publish(verdict("web-1"))
    async with open_bus(nats_server.settings, cluster="prod") as begun:
        await begun.verdicts.publish(verdict("web-2", reason="y" * 2_500))
        state = (await begun.connection.jetstream.stream_info(subjects.VERDICTS)).state
        assert (state.first_seq, state.last_seq) == (2, 2)


async def test_readers_of_verdicts_that_do_not_answer_or_do_not_read_hold_up_neither_verdicts_nor_other_readers(
    bus: Bus, nats_server: Broker
) -> None:
    jetstream = bus.connection.jetstream
    await jetstream.add_consumer(
        subjects.VERDICTS, api.ConsumerConfig(durable_name="silent", ack_policy=api.AckPolicy.EXPLICIT, max_ack_pending=1)
    )
    silent = await jetstream.pull_subscribe_bind("silent", stream=subjects.VERDICTS)
    await jetstream.add_consumer(subjects.VERDICTS, api.ConsumerConfig(durable_name="quick", ack_policy=api.AckPolicy.EXPLICIT))
    quick = await jetstream.pull_subscribe_bind("quick", stream=subjects.VERDICTS)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        deaf.connect(("127.0.0.1", int(nats_server.url.rpartition(":")[2])))
        deaf.sendall(b'CONNECT {"verbose":false}\r\nSUB verdictd.verdict.> 1\r\n')
        read: list[int] = []
        async with asyncio.timeout(60):
            for number in range(MUCH):
                await told(bus, verdict(f"web-{number}", reason=LONG))
            assert len(await silent.fetch(1, timeout=20.0)) == 1
            while len(read) < MUCH:
                for message in await quick.fetch(10, timeout=20.0):
                    read.append(message.metadata.sequence.stream)
                    await message.ack()
    assert read == list(range(1, MUCH + 1))
    for reader in (silent, quick):
        await reader.unsubscribe()
