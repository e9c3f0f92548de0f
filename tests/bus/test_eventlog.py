"""Events that came in elsewhere are kept on the stream once, over restarts too, and come from there as those of NATS do."""

import json

import pytest

from daemon import names
from daemon.bus.opening import Bus, open_bus
from daemon.bus.streams import PLANS
from daemon.errors import InvalidInput, TransientError
from daemon.events.announcing import read_release
from daemon.ports.events import IncomingEvent
from tests.hand.broker import Broker, nats_server

__all__ = ["nats_server"]

pytestmark = pytest.mark.live

RELEASE = {"service": "web", "namespace": "shop", "baseline": {"subset": "v1"}, "canary": {"subset": "v2"}}


def event(key: str = "a", *, padding: int = 0) -> IncomingEvent:
    envelope = {"specversion": "1.0", "id": key, "source": "/ci", "type": "io.verdictd.release.v1", "data": RELEASE}
    envelope |= {"padding": "x" * padding} if padding else {}
    headers, body = {"Content-Type": "application/cloudevents+json"}, json.dumps(envelope).encode()
    return IncomingEvent(headers=headers, body=body, key=f"hook-{key}", release=read_release(headers, body).release)


async def test_an_event_is_kept_once_over_a_restart_of_the_broker_and_of_the_daemon(nats_server: Broker) -> None:
    async with open_bus(nats_server.settings, cluster="prod") as bus:
        assert [await bus.event_log.keep(event()) for _ in range(2)] == [True, False]
    await nats_server.kill()
    await nats_server.start()
    async with open_bus(nats_server.settings, cluster="prod") as bus:
        assert await bus.event_log.keep(event()) is False
        assert await bus.event_log.keep(event("b")) is True
        info = await bus.connection.jetstream.stream_info("VERDICTD_RELEASES")
        assert info.state.messages == 2


async def test_it_comes_from_the_stream_with_the_release_and_the_id_that_its_sender_was_told(bus: Bus) -> None:
    kept = event()
    await bus.event_log.keep(kept)
    announcements = bus.events.announcements()
    announcement = await anext(announcements)
    assert announcement.release() == kept.release
    assert announcement.release_id == names.new_release_id("web", origin='event\n["/ci","a"]')
    assert announcement.announced_at is not None
    await announcement.accept()
    await announcements.aclose()


async def test_what_the_broker_would_not_take_is_refused_with_how_much_it_takes(bus: Bus) -> None:
    with pytest.raises(InvalidInput, match="send at most"):
        await bus.event_log.keep(event(padding=1_040_000))
    assert await bus.event_log.keep(event()) is True


async def test_what_a_full_stream_or_a_broker_that_is_away_does_not_take_can_be_sent_again(nats_server: Broker, bus: Bus) -> None:
    [plan] = [plan for plan in PLANS if plan.name == "VERDICTD_RELEASES"]
    await bus.connection.jetstream.update_stream(plan.config(replicas=1).evolve(max_bytes=64))
    with pytest.raises(TransientError):
        await bus.event_log.keep(event("b"))
    await nats_server.kill()
    with pytest.raises(TransientError):
        await bus.event_log.keep(event("c"))
