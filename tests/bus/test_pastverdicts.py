"""Verdicts read back, on a real broker: the newest first, page by page, of one cluster, whatever else is on the stream."""

import time

import msgspec
import pytest
from nats.js import api

from daemon.bus import pastverdicts, subjects
from daemon.bus.opening import Bus, open_bus
from daemon.bus.pastverdicts import StreamedVerdicts
from daemon.errors import InvalidInput, TransientError
from daemon.events.cloudevents import to_structured
from daemon.events.verdicts import verdict_event
from daemon.model import Outcome, Verdict
from daemon.ports.past import VerdictFilter, VerdictPage
from tests.hand.broker import Broker
from tests.hand.samples import verdict

pytestmark = pytest.mark.live

ALL = VerdictFilter()


async def put(bus: Bus, *given: Verdict) -> None:
    """On the stream, without what keeps them apart: there may be many."""
    for one in given:
        headers, body = to_structured(verdict_event(one))
        subject = subjects.verdict_subject(cluster=one.cluster, namespace=one.namespace, service=one.service)
        await bus.connection.jetstream.publish(subject, body, headers=headers)


async def put_raw(bus: Bus, body: bytes, **headers: str) -> None:
    await bus.connection.jetstream.publish("verdictd.verdict.prod.shop.web", body, headers=headers)


def told(page: VerdictPage) -> list[str]:
    return [one.release_id for one in page.verdicts]


async def all_pages(bus: Bus, *, limit: int, wanted: VerdictFilter = ALL) -> list[list[str]]:
    pages: list[list[str]] = []
    before: int | None = None
    while True:
        page = await bus.past.page(limit=limit, before=before, wanted=wanted)
        pages.append(told(page))
        if page.next is None:
            return pages
        assert before is None or page.next < before
        before = page.next


def names(*numbers: int) -> list[str]:
    return [f"web-{number}" for number in numbers]


async def test_where_none_was_published_there_is_none(bus: Bus) -> None:
    assert await bus.past.page(limit=10, wanted=ALL) == VerdictPage(verdicts=())


async def test_verdicts_come_the_newest_first_as_they_were_told(bus: Bus) -> None:
    given = [verdict(name) for name in names(1, 2, 3)]
    for one in given:
        await bus.verdicts.publish(one)
    assert await bus.past.page(limit=3, wanted=ALL) == VerdictPage(verdicts=tuple(reversed(given)))


async def test_pages_hold_each_verdict_once_also_of_those_that_come_in_between(bus: Bus) -> None:
    await put(bus, *(verdict(name) for name in names(*range(125))))
    first = await bus.past.page(limit=60, wanted=ALL)
    await put(bus, verdict("web-999"))
    second = await bus.past.page(limit=60, before=first.next, wanted=ALL)
    third = await bus.past.page(limit=60, before=second.next, wanted=ALL)
    assert told(first) + told(second) + told(third) == names(*range(124, -1, -1))
    assert (len(third.verdicts), third.next) == (5, None)


async def test_other_clusters_verdicts_are_not_ours_however_many_lie_between(bus: Bus) -> None:
    await put(bus, verdict("web-1"), *(verdict(name, cluster="edge") for name in names(*range(100, 230))), verdict("web-2"))
    assert await all_pages(bus, limit=2) == [names(2, 1)]
    async with bus.connection.pulling(subjects.VERDICTS, (await _consumer(bus)).name) as subscription:
        assert len(await subscription.fetch(200, timeout=5)) == 132, "they are all on one stream"


async def _consumer(bus: Bus) -> api.ConsumerInfo:
    what = api.ConsumerConfig(ack_policy=api.AckPolicy.NONE, inactive_threshold=30.0)
    return await bus.connection.jetstream.add_consumer(subjects.VERDICTS, what)


async def test_what_cannot_be_read_is_passed_over_and_counted_once_over_all_pages(bus: Bus) -> None:
    await put(bus, verdict("web-1"))
    await put_raw(bus, b"no event")
    await put_raw(bus, b"{}", **{"Content-Type": "application/cloudevents+json"})
    newer = msgspec.json.encode({**msgspec.to_builtins(verdict("web-9")), "outcome": "of-a-newer-version"})
    headers, body = to_structured(msgspec.structs.replace(verdict_event(verdict("web-9")), data=newer))
    await put_raw(bus, body, **headers)
    await put(bus, verdict("web-2"))
    assert await bus.past.page(limit=5, wanted=ALL) == VerdictPage(verdicts=(await _two(bus)), unreadable=3)
    first = await bus.past.page(limit=1, wanted=ALL)
    assert (told(first), first.unreadable) == (names(2), 0)
    second = await bus.past.page(limit=1, before=first.next, wanted=ALL)
    assert (told(second), second.unreadable) == (names(1), 3)


async def _two(bus: Bus) -> tuple[Verdict, ...]:
    return tuple((await bus.past.page(limit=2, wanted=ALL)).verdicts)


async def test_only_what_is_wanted_is_given(bus: Bus) -> None:
    now = time.time()
    await put(
        bus,
        verdict("web-1", decided_at=now - 500.0),
        verdict("cart-1", service="cart"),
        verdict("web-2", namespace="till"),
        verdict("web-3", outcome=Outcome.PROMOTE),
    )
    wanted = {
        "service": (VerdictFilter(service="web"), names(3, 2, 1)),
        "namespace": (VerdictFilter(namespace="till"), names(2)),
        "both": (VerdictFilter(namespace="shop", service="cart"), ["cart-1"]),
        "outcome": (VerdictFilter(outcome=Outcome.PROMOTE), names(3)),
        "since": (VerdictFilter(since=now - 100.0), ["web-3", "web-2", "cart-1"]),
    }
    found = {name: told(await bus.past.page(limit=9, wanted=filtered)) for name, (filtered, _) in wanted.items()}
    assert found == {name: ids for name, (_, ids) in wanted.items()}


async def test_what_was_published_before_the_time_that_is_asked_for_is_not_read_on(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pastverdicts, "SKEW_SECONDS", 0.0)
    await put(bus, *(verdict(name) for name in names(*range(30))))
    page = await bus.past.page(limit=5, wanted=VerdictFilter(since=time.time() + 60.0))
    assert page == VerdictPage(verdicts=()), "there is no next page, though most of the stream was not looked at"


async def test_a_question_that_would_read_too_much_gives_a_short_page_that_leads_on(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pastverdicts, "MOST_READ", 10)
    promoted = verdict("web-0", outcome=Outcome.PROMOTE)
    await put(bus, promoted, *(verdict(name) for name in names(*range(1, 40))))
    pages = await all_pages(bus, limit=3, wanted=VerdictFilter(outcome=Outcome.PROMOTE))
    assert len(pages) > 2
    assert [name for page in pages for name in page] == names(0)


async def test_verdicts_that_the_streams_limits_have_let_go_of_are_the_end_also_for_an_older_cursor(bus: Bus) -> None:
    await put(bus, *(verdict(name) for name in names(*range(20))))
    first = await bus.past.page(limit=5, wanted=ALL)
    await bus.connection.jetstream.purge_stream(subjects.VERDICTS, keep=8)
    assert await all_pages(bus, limit=5) == [names(19, 18, 17, 16, 15), names(14, 13, 12)]
    assert told(await bus.past.page(limit=5, before=first.next, wanted=ALL)) == names(14, 13, 12)
    assert await bus.past.page(limit=5, before=4, wanted=ALL) == VerdictPage(verdicts=())
    assert told(await bus.past.page(limit=1, before=10**9, wanted=ALL)) == names(19), "a stream that was made anew counts from 1"


async def test_a_question_leaves_no_consumer_behind(bus: Bus) -> None:
    await put(bus, *(verdict(name, cluster="edge") for name in names(*range(9))), *(verdict(name) for name in names(*range(120))))
    for limit in (1, 60, 500):
        await bus.past.page(limit=limit, wanted=ALL)
    assert (await bus.connection.jetstream.stream_info(subjects.VERDICTS)).state.consumer_count == 0


async def test_verdicts_are_there_after_a_restart_and_for_another_replica(nats_server: Broker) -> None:
    async with open_bus(nats_server.settings, cluster="prod") as bus:
        await bus.verdicts.publish(verdict("web-1"))
    async with open_bus(nats_server.settings, cluster="prod", shared=True) as bus:
        assert told(await bus.past.page(limit=5, wanted=ALL)) == names(1)


async def test_a_name_that_could_speak_for_others_is_refused_with_where_it_stands(bus: Bus) -> None:
    with pytest.raises(InvalidInput, match=r"\?namespace"):
        await bus.past.page(limit=5, wanted=VerdictFilter(namespace=">"))


async def test_while_nats_is_away_that_is_said_and_not_that_there_are_none(bus: Bus, nats_server: Broker) -> None:
    await nats_server.stop()
    with pytest.raises(TransientError):
        await StreamedVerdicts(bus.connection, cluster="prod").page(limit=5, wanted=ALL)
