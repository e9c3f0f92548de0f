"""What was removed unread is counted and said; what was read, or removed by us, is not."""

import asyncio
from contextlib import aclosing

import pytest
from nats.js import api

from daemon.bus import subjects
from daemon.bus.consuming import Gaps
from daemon.bus.opening import Bus, open_bus
from tests.hand.broker import Broker


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[int, int, int]]:
    found = [record.__dict__ for record in caplog.records if record.name == "daemon.bus.consuming"]
    return [(one["messages"], one["first"], one["last"]) for one in found]


def test_numbers_that_follow_each_other_or_come_again_are_no_gap(caplog: pytest.LogCaptureFixture) -> None:
    gaps = Gaps("EVENTS")
    gaps.begin(delivered=None, deliveries=None)
    for delivery, number in enumerate((40, 41, 40, 42, 41, 43), start=1):
        gaps.seen(number, delivery=delivery)
    assert (gaps.lost, lines(caplog)) == (0, [])


def test_numbers_that_are_skipped_are_counted_once(caplog: pytest.LogCaptureFixture) -> None:
    gaps = Gaps("EVENTS")
    gaps.begin(delivered=3, deliveries=8)
    gaps.next_is(15)
    gaps.next_is(15)
    gaps.seen(15, delivery=9)
    gaps.seen(18, delivery=10)
    assert gaps.lost == 11 + 2
    assert lines(caplog) == [(11, 4, 14), (2, 16, 17)]


def test_a_stream_that_was_made_anew_begins_anew() -> None:
    gaps = Gaps("EVENTS")
    gaps.begin(delivered=500, deliveries=700)
    gaps.seen(501, delivery=701)
    gaps.begin(delivered=None, deliveries=None)
    gaps.next_is(1)
    gaps.seen(1, delivery=1)
    assert gaps.lost == 0


def test_what_was_lost_on_the_way_to_us_comes_again_and_was_not_removed(caplog: pytest.LogCaptureFixture) -> None:
    gaps = Gaps("EVENTS")
    gaps.begin(delivered=3, deliveries=3)
    gaps.seen(4, delivery=4)
    gaps.seen(9, delivery=9)
    for delivery, number in enumerate((5, 6, 7, 8, 10), start=10):
        gaps.seen(number, delivery=delivery)
    assert (gaps.lost, lines(caplog)) == (0, [])
    gaps.seen(20, delivery=17)
    assert gaps.lost == 7


@pytest.mark.live
async def test_events_under_way_while_a_connection_broke_were_not_removed(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    await bus.connection.jetstream.publish("verdictd.release.x", b"{}")
    async with asyncio.timeout(40), aclosing(bus.events.announcements()) as announcements:
        await (await anext(announcements)).accept()
        await nobody_waits(bus)
        for _ in range(6):
            await bus.connection.jetstream.publish("verdictd.release.x", b"{}")
        # Another reader of the same consumer stands for the broken connection: it is given four, and answers none.
        async with bus.connection.pulling(subjects.RELEASES, "verdictd-prod") as lost:
            assert len(await lost.fetch(4, timeout=2.0)) == 4
        await (await anext(announcements)).accept()
    assert bus.lost == 0
    assert lines(caplog) == []


async def nobody_waits(bus: Bus) -> None:
    """Until no fetch is under way: one that has ended here may not have ended at the broker, and would be given what comes next."""
    while (await bus.connection.jetstream.consumer_info(subjects.RELEASES, "verdictd-prod")).num_waiting:
        await asyncio.sleep(0.02)


@pytest.mark.live
async def test_events_that_went_while_nobody_was_there_to_read_them_are_said_at_the_next_start(
    nats_server: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_bus(nats_server.settings, cluster="prod") as bus:
        await bus.connection.jetstream.publish("verdictd.release.x", b"{}")
        await read(bus, 1)
        assert bus.lost == 0
        for _ in range(20):
            await bus.connection.jetstream.publish("verdictd.release.x", b"{}")
        config = (await bus.connection.jetstream.stream_info(subjects.RELEASES)).config
        old = config.evolve(max_msgs=5, discard=api.DiscardPolicy.OLD)
    async with open_bus(nats_server.settings, cluster="else") as other:
        await other.connection.jetstream.update_stream(old)  # by hand, say
    async with open_bus(nats_server.settings, cluster="prod") as bus:
        await read(bus, 5)
        assert bus.lost == 15
    assert lines(caplog) == [(15, 2, 16)]


@pytest.mark.live
async def test_a_daemon_that_is_new_to_a_stream_has_lost_nothing(bus: Bus, nats_server: Broker) -> None:
    for _ in range(3):
        await bus.connection.jetstream.publish("verdictd.release.x", b"{}")
    await bus.connection.jetstream.purge_stream(subjects.RELEASES, seq=3)
    async with open_bus(nats_server.settings, cluster="new") as new:
        await read(new, 1)
        await new.connection.jetstream.publish("verdictd.release.x", b"{}")
        await read(new, 1)
        assert new.lost == 0


async def read(bus: Bus, count: int) -> None:
    """So many events, answered."""
    async with asyncio.timeout(40), aclosing(bus.events.announcements()) as announcements:
        for _ in range(count):
            await (await anext(announcements)).accept()
