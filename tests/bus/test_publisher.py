"""Verdicts out: once, in every way an attempt can fail, however often it is made."""

import asyncio
import signal
import time

import msgspec
import pytest

from daemon.bus import connection, publisher, subjects
from daemon.bus.opening import Bus, open_bus
from daemon.bus.patience import Patience
from daemon.errors import Conflict, InvalidInput, Refused, TimedOut, TransientError, Unavailable
from daemon.events.cloudevents import read, to_structured
from daemon.events.verdicts import read_verdict, verdict_event
from daemon.interventions import AuditEntry
from daemon.model import Action, Outcome, Release, Verdict
from tests.hand import samples
from tests.hand.broker import Broker
from tests.hand.samples import verdict
from tests.hand.waiting import until

pytestmark = pytest.mark.live


async def published(bus: Bus, stream: str = subjects.VERDICTS) -> list[tuple[str, Verdict]]:
    jetstream = bus.connection.jetstream
    last = (await jetstream.stream_info(stream)).state.last_seq
    messages = [await jetstream.get_msg(stream, seq=n) for n in range(1, last + 1)]
    found = []
    for message in messages:
        event = read(message.headers or {}, message.data or b"")
        assert event is not None
        assert message.subject is not None
        found.append((message.subject, read_verdict(event)))
    return found


async def told(bus: Bus, given: Verdict) -> None:
    """Publish as the engine does: again, until it is acknowledged."""
    while True:
        try:
            await bus.verdicts.publish(given)
        except TransientError:
            await asyncio.sleep(0.05)
        else:
            return


async def test_a_verdict_is_on_its_subject_as_it_was_given(bus: Bus) -> None:
    given = verdict()
    await bus.verdicts.publish(given)
    assert await published(bus) == [("verdictd.verdict.prod.shop.web", given)]


async def test_publishing_again_adds_nothing(bus: Bus) -> None:
    given = verdict()
    for _ in range(3):
        await bus.verdicts.publish(given)
    assert len(await published(bus)) == 1


async def test_where_replicas_share_the_work_a_publication_that_another_has_overtaken_adds_nothing(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = publisher.Publisher(bus.connection, cluster="prod", number=lambda of: 41)
    given = verdict()
    await shared.publish(given)
    await shared.publish(given)
    [(_, kept)] = await published(bus)
    message = await bus.connection.jetstream.get_msg(subjects.VERDICTS, seq=1)
    event = read(message.headers or {}, message.data or b"")
    assert event is not None
    assert (kept, event.extensions["holdernumber"]) == (given, "41")
    with monkeypatch.context() as stopped:  # between looking and publishing, for longer than the server remembers what it had

        async def nothing(*_: object) -> int:
            return 0

        stopped.setattr(publisher._Once, "_last_sequence", nothing)
        with pytest.raises(Conflict):
            await shared.publish(verdict("web-2"))
    await shared.publish(verdict("web-2"))
    assert len(await published(bus)) == 2


async def test_two_clusters_on_one_broker_tell_their_verdicts_of_one_event_which_gave_them_one_id(bus: Bus) -> None:
    for cluster in ("prod", "test"):
        await bus.verdicts.publish(verdict(cluster=cluster))
        await bus.cdevents.publish(RELEASE, verdict(cluster=cluster))
    assert [subject for subject, _ in await published(bus)] == ["verdictd.verdict.prod.shop.web", "verdictd.verdict.test.shop.web"]
    assert (await bus.connection.jetstream.stream_info(subjects.CDEVENTS)).state.messages == 2


async def test_publishing_again_after_the_duplicate_window_adds_nothing(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "MESSAGE_ID", "X-Msg-Id")  # as if the server had forgotten its ids
    given = verdict(decided_at=verdict().decided_at - 2 * publisher.FRESH_SECONDS)
    other = verdict("web-2")
    await bus.verdicts.publish(given)
    await bus.verdicts.publish(other)
    await bus.verdicts.publish(given)
    assert [found.release_id for _, found in await published(bus)] == ["web-1", "web-2"]


async def test_while_the_server_is_down_an_attempt_fails_at_once_and_leaves_nothing_to_be_sent_later(
    nats_server: Broker, bus: Bus
) -> None:
    await nats_server.kill()
    await until(lambda: not bus.ready)
    async with asyncio.timeout(1.0):
        with pytest.raises(Unavailable, match="no connection to NATS"):
            await bus.verdicts.publish(verdict("web-1"))
    await nats_server.start()
    await until(lambda: bus.ready)
    await bus.verdicts.publish(verdict("web-2"))
    assert [found.release_id for _, found in await published(bus)] == ["web-2"]


async def test_a_verdict_given_while_the_server_is_down_is_published_once_when_it_is_back(nats_server: Broker, bus: Bus) -> None:
    await bus.verdicts.publish(verdict("web-1"))
    await nats_server.kill()
    async with asyncio.timeout(90), asyncio.TaskGroup() as group:
        group.create_task(told(bus, verdict("web-2")))
        group.create_task(told(bus, verdict("web-1")))
        await asyncio.sleep(1.0)
        await nats_server.start()
    assert [found.release_id for _, found in await published(bus)] == ["web-1", "web-2"]


RELEASE = msgspec.convert(samples.DOCUMENT, Release)


async def test_traffic_taken_back_is_also_told_as_a_cdevent_once(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    promoted = verdict("web-2", outcome=Outcome.PROMOTE, meaning="promote", action=Action.NONE)
    assert [bus.cdevents.wants(RELEASE, one) for one in (verdict("web-1"), promoted)] == [True, False]
    late = verdict("web-3", decided_at=verdict().decided_at - 2 * publisher.FRESH_SECONDS)
    for one in (verdict("web-1"), promoted, verdict("web-1"), late):
        await bus.cdevents.publish(RELEASE, one)
    monkeypatch.setattr(publisher, "MESSAGE_ID", "X-Msg-Id")  # as if the server had forgotten its ids
    await bus.cdevents.publish(RELEASE, verdict("web-4", decided_at=late.decided_at))
    await bus.cdevents.publish(RELEASE, verdict("web-4", decided_at=late.decided_at))
    jetstream = bus.connection.jetstream
    assert (await jetstream.stream_info(subjects.CDEVENTS)).state.messages == 3
    message = await jetstream.get_msg(subjects.CDEVENTS, seq=1)
    event = read(message.headers or {}, message.data or b"")
    assert event is not None
    assert (message.subject, event.type) == ("verdictd.cdevents.prod.shop.web", "dev.cdevents.service.rolledback.0.3.0")
    assert await published(bus) == []


async def test_an_entry_of_the_audit_is_on_its_stream_once_also_after_the_duplicate_window(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = samples.entry("web-2", at=time.time() - 2 * publisher.FRESH_SECONDS)
    for one in (samples.entry(), samples.entry(), late):
        await bus.audit.publish(one)
    monkeypatch.setattr(publisher, "MESSAGE_ID", "X-Msg-Id")  # as if the server had forgotten its ids
    again = samples.entry("web-3", at=late.at)
    for one in (again, again, samples.entry("all", namespace="", at=late.at)):
        await bus.audit.publish(one)
    jetstream = bus.connection.jetstream
    assert (await jetstream.stream_info(subjects.AUDIT)).state.messages == 4
    messages = [await jetstream.get_msg(subjects.AUDIT, seq=number) for number in (1, 4)]
    assert [message.subject for message in messages] == ["verdictd.audit.prod.shop.web", "verdictd.audit.prod"]
    event = read(messages[0].headers or {}, messages[0].data or b"")
    assert event is not None
    assert (event.id, event.type) == ("web-1.word", "io.verdictd.audit.v1")
    told = msgspec.json.decode(event.data, type=AuditEntry)
    assert (told.what, told.by, told.release_id) == ("cancel", "ana", "web-1")


@pytest.mark.usefixtures("unkept")
async def test_a_cdevent_that_finds_no_stream_fails_and_is_made_good_by_the_next_attempt(bus: Bus) -> None:
    given, jetstream = verdict(), bus.connection.jetstream
    config = (await jetstream.stream_info(subjects.CDEVENTS)).config
    await jetstream.delete_stream(subjects.CDEVENTS)
    with pytest.raises(Unavailable):
        await bus.cdevents.publish(RELEASE, given)
    await bus.verdicts.publish(given)
    await jetstream.add_stream(config)
    await bus.cdevents.publish(RELEASE, given)
    assert await published(bus) == [("verdictd.verdict.prod.shop.web", given)]
    assert (await jetstream.stream_info(subjects.CDEVENTS)).state.messages == 1


@pytest.mark.parametrize("service", [">", "*", "a.b", "a b", "a\r\nPUB x", ""])
async def test_a_name_that_would_break_out_of_its_token_is_refused(bus: Bus, service: str) -> None:
    with pytest.raises(InvalidInput):
        await bus.verdicts.publish(verdict(service=service))
    assert await published(bus) == []


async def test_an_attempt_that_timed_out_and_arrived_all_the_same_counts_once(
    nats_server: Broker, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = verdict()
    nats_server.signal(signal.SIGSTOP)
    with monkeypatch.context() as patch:
        patch.setattr(bus.connection, "_patience", Patience(least_seconds=0.2))
        patch.setattr(connection, "REQUEST_SECONDS", 600.0)
        with pytest.raises(TimedOut):
            await bus.verdicts.publish(given)
    nats_server.signal(signal.SIGCONT)
    await told(bus, given)
    assert await published(bus) == [("verdictd.verdict.prod.shop.web", given)]


async def test_an_attempt_at_a_server_that_hangs_is_given_up_at_once_when_we_stop(
    nats_server: Broker, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus.connection, "_patience", Patience(least_seconds=600.0))
    nats_server.signal(signal.SIGSTOP)
    publishing = asyncio.create_task(bus.verdicts.publish(verdict()))
    await asyncio.sleep(0.2)
    publishing.cancel()
    _, late = await asyncio.wait([publishing], timeout=10.0)
    nats_server.signal(signal.SIGCONT)
    assert not late
    assert publishing.cancelled()


async def test_late_verdicts_published_by_two_at_once_are_published_once(
    nats_server: Broker, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message id is beyond the server's memory (here: not understood by it); only the condition keeps them apart."""
    monkeypatch.setattr(publisher, "MESSAGE_ID", "X-Msg-Id")
    late = verdict().decided_at - 2 * publisher.FRESH_SECONDS
    async with open_bus(nats_server.settings, cluster="prod") as other, asyncio.TaskGroup() as group:
        for number in range(10):
            for replica in (bus, other):
                group.create_task(told(replica, verdict(f"web-{number}", decided_at=late)))
    assert sorted(found.release_id for _, found in await published(bus)) == [f"web-{number}" for number in range(10)]


async def test_verdicts_published_through_two_kills_of_the_server_are_all_there_once(nats_server: Broker, bus: Bus) -> None:
    async def publish_all() -> None:
        for number in range(60):
            await told(bus, verdict(f"web-{number}", action=Action.NONE))
            await asyncio.sleep(0.01)

    async with asyncio.timeout(90), asyncio.TaskGroup() as group:
        group.create_task(publish_all())
        for _ in range(2):
            await asyncio.sleep(0.2)
            await nats_server.kill()
            await nats_server.start()
            await until(lambda: bus.ready)
    assert [found.release_id for _, found in await published(bus)] == [f"web-{number}" for number in range(60)]


async def test_what_the_server_refuses_for_good_is_told_from_what_it_cannot_do_now(bus: Bus) -> None:
    with pytest.raises(Refused):
        await bus.verdicts.publish(verdict(reason="x" * 2_000_000))


async def test_what_is_out_can_be_asked_for_by_release(bus: Bus) -> None:
    old, new, other = verdict("web-1"), verdict("web-2"), verdict("web-3", service="other")
    for given in (old, new, other, verdict("web-4", cluster="prod-2")):
        await bus.verdicts.publish(given)
    await bus.connection.jetstream.publish("verdictd.verdict.prod.shop.web", b"no verdict")
    found = await bus.verdicts.published({"web-1", "web-3", "web-4", "web-5"}, since=old.decided_at - 60.0)
    assert found == {"web-1": old, "web-3": other}


async def test_a_verdict_that_is_out_in_words_of_a_newer_version_is_known_to_be_out(bus: Bus) -> None:
    given = verdict("web-1")
    headers, body = to_structured(verdict_event(given))
    subject = "verdictd.verdict.prod.shop.web"
    await bus.connection.jetstream.publish(subject, body.replace(b'"action":"revert"', b'"action":"shift"'), headers=headers)
    assert await bus.verdicts.published({"web-1", "web-2"}, since=given.decided_at - 60.0) == {"web-1": None}
