"""Thousands of events that begin no release, and events that come again: what is ours is watched once, and all is answered."""

import asyncio
import gc
import json
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import cast

import pytest
from nats.aio.msg import Msg

from daemon.aio.clock import SystemClock
from daemon.aio.tasks import background
from daemon.bus import consuming, subjects
from daemon.bus.delivering import ANSWER_SECONDS
from daemon.bus.opening import Bus, open_bus
from daemon.engine import eventconsumer
from daemon.engine.eventconsumer import EVENTS_UNDER_WAY, REFUSALS_UNDER_WAY, EventConsumer
from daemon.model import Outline, Release
from daemon.ports.service import ReleaseService
from tests.bus.test_eventsource import SUBJECT, announce, consuming_begun, outstanding
from tests.events.test_hearing import cdevent
from tests.hand.broker import Broker
from tests.hand.ports import MemoryMeter
from tests.hand.samples import DOCUMENT
from tests.hand.waiting import until

pytestmark = pytest.mark.live

MESSAGES = 1_500


class Submitted:
    """An engine that only notes what begins, by service.

    Attributes:
        begun: in the order in which it came.
        goes_on: until then the service that is called slow is worked on.
    """

    def __init__(self, *, slow: str = "") -> None:
        self.begun: list[str] = []
        self.goes_on = asyncio.Event()
        self._slow = slow

    async def submit(self, release: Release | Outline, **_said: object) -> None:
        self.begun.append(release.service)
        if release.service == self._slow:
            await self.goes_on.wait()


class ForgetfulMeter(MemoryMeter):
    """One that keeps no error, as the daemon's keeps none."""

    def failed(self, what: str, error: Exception) -> None:
        pass


@asynccontextmanager
async def consumed(bus: Bus, releases: Submitted) -> AsyncIterator[None]:
    """Its events are handed to the engine, by whom they are answered."""
    engine = cast("ReleaseService", releases)
    consumer = EventConsumer("nats", bus.events, releases=engine, clock=SystemClock(), meter=ForgetfulMeter())
    async with background(consumer.run()):
        yield


async def all_answered(bus: Bus) -> int:
    """How many were here unanswered at once meanwhile, at most."""
    most = 0
    while await outstanding(bus):
        most = max(most, sum(not one.answered for one in bus.events.consumer._held))
        await asyncio.sleep(0.02)
    return most


async def test_among_thousands_of_events_that_are_not_ours_the_few_that_are_begin_and_every_one_is_answered(
    nats_server: Broker, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    in_turn = Msg.ack_sync

    async def ack_sync(message: Msg, timeout: float = 1.0) -> Msg:
        heard.append(message.metadata.sequence.stream)
        return await in_turn(message, timeout)

    monkeypatch.setattr(Msg, "ack_sync", ack_sync)
    async with open_bus(nats_server.settings, cluster="other") as elsewhere:
        await consuming_begun(elsewhere, cluster="other")
    await consuming_begun(bus, cluster="prod")
    others = json.dumps({**DOCUMENT, "cluster": "other"}).encode()
    releases = Submitted()
    for number in range(MESSAGES):
        await bus.connection.client.publish(SUBJECT, cdevent("removed") if number % 3 == 0 else others)
        if number % 500 == 499:
            await announce(bus, {**DOCUMENT, "service": f"web-{number}"})
    async with asyncio.timeout(90), consumed(bus, releases):
        most_held = await all_answered(bus)
    assert releases.begun == ["web-499", "web-999", "web-1499"]
    assert bus.dead_letters.kept == MESSAGES // 3
    assert len(heard) == 3, "only what begins is waited for until the broker has heard of it"
    assert most_held <= consuming.BATCH + EVENTS_UNDER_WAY + REFUSALS_UNDER_WAY


async def test_what_is_in_the_dead_letters_is_not_held_in_memory_until_python_looks_for_cycles(bus: Bus) -> None:
    await consuming_begun(bus, cluster="prod")
    for _ in range(3 * consuming.BATCH):
        await bus.connection.client.publish(SUBJECT, cdevent("removed"))
    gc.collect()
    gc.disable()
    try:
        async with asyncio.timeout(60), consumed(bus, Submitted()):
            await until(lambda: bus.dead_letters.kept == 3 * consuming.BATCH)
            await until(lambda: len(bus.events.consumer._held) <= 1)
    finally:
        gc.enable()


async def test_events_for_another_cluster_hold_up_none_of_ours_while_the_broker_answers_nothing(
    nats_server: Broker, bus: Bus
) -> None:
    async with open_bus(nats_server.settings, cluster="other") as elsewhere:
        await consuming_begun(elsewhere, cluster="other")
    await consuming_begun(bus, cluster="prod")
    others = {**DOCUMENT, "cluster": "other"}
    for document in (others, DOCUMENT, *(others for _ in range(30)), DOCUMENT):
        await announce(bus, document)
    async with aclosing(bus.events.announcements()) as announcements:
        first = await anext(announcements)
        nats_server.signal(signal.SIGSTOP)
        try:
            async with asyncio.timeout(15.0 * ANSWER_SECONDS):
                second = await anext(announcements)
        finally:
            nats_server.signal(signal.SIGCONT)
        for ours in (first, second):
            await ours.accept()
        async with asyncio.timeout(60):
            await all_answered(bus)


async def test_what_comes_again_while_it_is_worked_on_begins_one_release_and_takes_nobody_s_place(
    nats_server: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "ACK_WAIT_SECONDS", 0.5)
    monkeypatch.setattr(consuming, "HEARTBEAT_SECONDS", 3_600.0)  # as if the broker heard none
    monkeypatch.setattr(eventconsumer, "EVENTS_UNDER_WAY", 2)

    async def deliveries() -> int:
        info = await bus.connection.jetstream.consumer_info(subjects.RELEASES, "verdictd-prod")
        return 0 if info.delivered is None else info.delivered.consumer_seq

    async with open_bus(nats_server.settings, cluster="prod") as bus:
        releases = Submitted(slow="web")
        async with asyncio.timeout(60), consumed(bus, releases):
            await announce(bus, DOCUMENT)
            await until(lambda: releases.begun == ["web"])
            while await deliveries() < 4:
                await asyncio.sleep(0.05)
            await announce(bus, {**DOCUMENT, "service": "other"})
            await until(lambda: "other" in releases.begun)
            releases.goes_on.set()
            await all_answered(bus)
        assert releases.begun == ["web", "other"]
        assert bus.dead_letters.kept == 0
