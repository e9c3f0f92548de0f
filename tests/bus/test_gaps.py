"""What was removed unread is counted and said; what was read, or removed by us, is not."""

import asyncio
from contextlib import aclosing

import pytest
from nats.js import api

from daemon.bus import subjects
from daemon.bus.gaps import Gaps
from daemon.bus.opening import Bus, open_bus
from tests.live.nats import Broker


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[int, int, int]]:
    found = [record.__dict__ for record in caplog.records if record.name == "daemon.bus.gaps"]
    return [(one["messages"], one["first"], one["last"]) for one in found]


def test_numbers_that_follow_each_other_or_come_again_are_no_gap(caplog: pytest.LogCaptureFixture) -> None:
    gaps = Gaps("EVENTS")
    gaps.begin(delivered=None)
    for number in (40, 41, 40, 42, 41, 43):
        gaps.seen(number)
    assert (gaps.lost, lines(caplog)) == (0, [])


def test_numbers_that_are_skipped_are_counted_once(caplog: pytest.LogCaptureFixture) -> None:
    gaps = Gaps("EVENTS")
    gaps.begin(delivered=3)
    gaps.next_is(15)
    gaps.next_is(15)
    gaps.seen(15)
    gaps.seen(18)
    assert gaps.lost == 11 + 2
    assert lines(caplog) == [(11, 4, 14), (2, 16, 17)]


def test_a_stream_that_was_made_anew_begins_anew() -> None:
    gaps = Gaps("EVENTS")
    gaps.begin(delivered=500)
    gaps.seen(501)
    gaps.begin(delivered=None)
    gaps.next_is(1)
    gaps.seen(1)
    assert gaps.lost == 0


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
    async with asyncio.timeout(15), aclosing(bus.events.announcements()) as announcements:
        for _ in range(count):
            await (await anext(announcements)).accept()
