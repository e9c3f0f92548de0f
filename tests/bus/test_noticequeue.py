"""Notices on a real broker: each is there until it was told, whatever dies meanwhile, and each channel has its own."""

import asyncio
from contextlib import aclosing

import pytest

from daemon.bus.noticequeue import NatsQueuedNotice
from daemon.bus.opening import Bus, open_bus
from daemon.bus.subjects import NOTICES, REJECTED
from daemon.errors import InvalidEvent, InvalidInput, VerdictdError
from daemon.ports.durable import AnsweringSink
from daemon.ports.notices import Backlog, News, Notice, NoticeQueue, PersonWanted, Sequel
from daemon.sinks.queueing import QueueingSink
from tests.hand.broker import Broker
from tests.hand.samples import RELEASE, verdict

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]


def notice(release_id: str = "web-1", **changes: str) -> Notice:
    return Notice(release=RELEASE, verdict=verdict(release_id, **{"decided_at": 1_000_000.0, **changes}))


async def put(queue: NoticeQueue, one: News) -> None:
    """As the engine does: until it is acknowledged."""
    while True:
        try:
            await queue.put(one)
        except VerdictdError:
            await asyncio.sleep(0.1)
        else:
            return


async def taken(queue: NoticeQueue, count: int = 1) -> list[NatsQueuedNotice]:
    """The next so many."""
    found: list[NatsQueuedNotice] = []
    async with asyncio.timeout(60.0), aclosing(queue.notices()) as notices:
        async for one in notices:
            assert isinstance(one, NatsQueuedNotice)
            found.append(one)
            if len(found) == count:
                break
    return found


async def test_a_notice_that_is_kept_twice_is_there_once_and_goes_when_it_was_told(bus: Bus) -> None:
    async with bus.notices("ci") as queue:
        for _ in range(2):
            await queue.put(notice())
        [first] = await taken(queue)
        assert first.notice() == notice()
        assert first.attempt == 1
        backlog = await queue.backlog()
        assert backlog.waiting == 1
        assert backlog.oldest_at == pytest.approx(first.queued_at, abs=0.001)
        await first.done()
        assert await queue.backlog() == Backlog(waiting=0, oldest_at=None)
        assert (await bus.connection.jetstream.stream_info(NOTICES)).state.messages == 0


async def test_a_verdict_is_there_for_each_who_asks_for_it_and_for_each_once(bus: Bus) -> None:
    def everything(_: object) -> bool:
        return True

    async with bus.notices("gate") as queue:
        sink = QueueingSink(queue, wanted=everything, asks=everything, follows=everything, answers=everything)
        assert isinstance(sink, AnsweringSink)
        for _ in range(2):
            await sink.publish(RELEASE, notice().verdict)
            await sink.answer(RELEASE, notice().verdict, asked_as="web-job-1")
            await sink.answer(RELEASE, notice().verdict, asked_as="web-job-2")
        found = await taken(queue, 3)
        assert [one.notice() for one in found] == [notice()] * 3
        assert (await queue.backlog()).waiting == 3


async def test_what_comes_before_and_after_a_verdict_is_another_one_of_its_release_and_comes_back_as_it_was(
    bus: Bus,
) -> None:
    wanted = PersonWanted(release=RELEASE, release_id="web-1", cluster="prod", until=2e9, reason="found good")
    again = Sequel(release=RELEASE, of=notice().verdict, kind="reverted_again", at=1_000_001.0, detail="the route", times=2)
    async with bus.notices("ci") as queue:
        for told in (wanted, notice(), again, wanted, again):
            await queue.put(told)
        found = await taken(queue, 3)
        assert {one.notice().id: one.notice() for one in found} == {
            "web-1.person": wanted,
            "web-1.verdict": notice(),
            "web-1.reverted_again.2": again,
        }
        for queued in found:
            await queued.done()


async def test_each_channel_has_its_own_and_tells_nothing_of_another_s_as_lost(bus: Bus) -> None:
    async with bus.notices("ci") as ci, bus.notices("chat") as chat:
        for number in range(3):
            await ci.put(notice(f"a-{number}"))
            await chat.put(notice(f"a-{number}"))
        for queue in (ci, chat):
            found = await taken(queue, 3)
            assert [one.notice().release_id for one in found] == ["a-0", "a-1", "a-2"]
        assert ci.consumer.gaps.lost == chat.consumer.gaps.lost == 0


async def test_one_that_shall_come_later_comes_again_and_is_counted(bus: Bus) -> None:
    async with bus.notices("ci") as queue:
        await queue.put(notice())
        [first] = await taken(queue)
        await first.later(seconds=0.2)
        [second] = await taken(queue)
        assert (second.attempt, second.notice()) == (2, first.notice())


async def test_what_is_given_up_is_a_dead_letter_with_the_reason_and_gone_from_the_queue(bus: Bus) -> None:
    async with bus.notices("ci") as queue:
        await queue.put(notice())
        [first] = await taken(queue)
        await first.give_up("sink ci was not told: away")
        assert (await queue.backlog()).waiting == 0
    letter = await bus.connection.jetstream.get_msg(REJECTED, subject="verdictd.rejected")
    assert letter.headers is not None
    assert letter.headers["Verdictd-Reason"] == "sink ci was not told: away"
    assert letter.headers["Verdictd-Subject"] == "verdictd.notice.prod.ci"


async def test_what_is_no_notice_is_said_to_be_none(bus: Bus) -> None:
    async with bus.notices("ci") as queue:
        await bus.connection.jetstream.publish("verdictd.notice.prod.ci", b"{}")
        [first] = await taken(queue)
        with pytest.raises(InvalidEvent, match="no notice of this version"):
            first.notice()


async def test_one_that_is_too_large_for_the_broker_is_refused_at_once(bus: Bus) -> None:
    async with bus.notices("ci") as queue:
        with pytest.raises(InvalidInput, match="more than NATS takes"):
            await queue.put(notice(reason="x" * 1_100_000))


async def test_a_notice_survives_the_death_of_the_broker_and_the_end_of_whoever_had_it(nats_server: Broker) -> None:
    async with open_bus(nats_server.settings, cluster="prod") as bus, bus.notices("ci") as queue:
        await queue.put(notice())
        await nats_server.kill()
        await nats_server.start()
        # A second keeping of it is none, over the restart too.
        await put(queue, notice())
        [first] = await taken(queue)
        assert first.notice() == notice()
    # The next daemon: the one before has put it back at its end.
    async with open_bus(nats_server.settings, cluster="prod") as bus, bus.notices("ci") as queue:
        [again] = await taken(queue)
        assert again.notice() == notice()
        assert again.attempt >= 2
        await again.done()
        assert (await queue.backlog()).waiting == 0
