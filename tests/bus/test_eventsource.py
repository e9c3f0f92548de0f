"""Events in: understood, refused, seen twice, and never lost."""

import asyncio
import contextlib
import gc
import json
from contextlib import aclosing
from typing import Any

import pytest
from nats.js.errors import NotFoundError

from config.settings import MappingRow
from daemon import names
from daemon.aio.tasks import background
from daemon.bus import consuming, eventsource, subjects
from daemon.bus.delivering import Waiting
from daemon.bus.eventsource import NatsAnnouncement
from daemon.bus.opening import Bus, open_bus
from daemon.bus.streams import ensure_streams
from daemon.errors import InvalidEvent, Unavailable
from daemon.events.hearing import Hearing
from daemon.http.hooks.senders import SENDERS
from daemon.http.hooks.understanding import Received
from daemon.interventions import Command
from daemon.model import Outline
from daemon.watcher.awaited import AwaitedCanaries
from tests.events.test_hearing import cdevent
from tests.hand.broker import Broker
from tests.hand.clock import HandClock
from tests.hand.samples import DOCUMENT
from tests.hand.waiting import until

pytestmark = pytest.mark.live

SUBJECT = "verdictd.release.prod.shop.web"


async def announce(bus: Bus, body: bytes | dict[str, Any], headers: dict[str, str] | None = None) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    await bus.connection.jetstream.publish(SUBJECT, data, headers=headers)


async def take(bus: Bus, count: int, *, within: float = 30.0) -> list[NatsAnnouncement]:
    """The next announcements, unanswered; longer than the broker waits for an answer that somebody else owes."""
    taken: list[NatsAnnouncement] = []
    async with asyncio.timeout(within), aclosing(bus.events.announcements()) as announcements:
        async for announcement in announcements:
            taken.append(announcement)
            if len(taken) == count:
                break
    return taken


async def consuming_begun(bus: Bus, *, cluster: str) -> None:
    """Read until this cluster's consumer is there; no event for it is."""

    async def there() -> bool:
        with contextlib.suppress(NotFoundError):
            return bool(await bus.connection.jetstream.consumer_info(subjects.RELEASES, f"verdictd-{cluster}"))
        return False

    async with asyncio.timeout(40), background(_read_nothing(bus)):
        while not await there():
            await asyncio.sleep(0.02)


async def _read_nothing(bus: Bus) -> None:
    async with aclosing(bus.events.announcements()) as announcements:
        async for announcement in announcements:
            raise AssertionError(announcement.release_id)


async def outstanding(bus: Bus) -> int:
    info = await bus.connection.jetstream.consumer_info(subjects.RELEASES, "verdictd-prod")
    return (info.num_pending or 0) + (info.num_ack_pending or 0)


async def all_answered(bus: Bus) -> None:
    """Until the broker has heard of every answer: nobody waits for it to hear of refused ones."""
    async with asyncio.timeout(40):
        while await outstanding(bus):
            await asyncio.sleep(0.02)


async def dead_letters(bus: Bus) -> list[tuple[dict[str, str], bytes]]:
    state = (await bus.connection.jetstream.stream_info(subjects.REJECTED)).state
    messages = [
        await bus.connection.jetstream.get_msg(subjects.REJECTED, seq=n) for n in range(state.first_seq or 1, state.last_seq + 1)
    ]
    return [(message.headers or {}, message.data or b"") for message in messages]


async def test_a_bare_release_is_announced_and_acknowledged_when_accepted(bus: Bus) -> None:
    await announce(bus, DOCUMENT)
    [announcement] = await take(bus, 1)
    assert announcement.release().service == "web"
    assert announcement.release_id is not None
    assert announcement.release_id.startswith("web-")
    assert await outstanding(bus) == 1
    await announcement.accept()
    await all_answered(bus)


async def test_the_same_cloudevent_sent_twice_gives_the_same_release_id(bus: Bus) -> None:
    event = {"specversion": "1.0", "id": "7", "source": "/ci", "type": "io.verdictd.release.v1", "data": DOCUMENT}
    await announce(bus, event)
    await announce(bus, event, {"Content-Type": "application/cloudevents+json"})
    await announce(bus, DOCUMENT, {"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/ci", "ce-type": "io.verdictd.release.v1"})
    await announce(bus, {**event, "id": "8"})
    first, second, third, other = [announcement.release_id for announcement in await take(bus, 4)]
    assert first == second == third
    assert first != other


async def test_a_bare_release_is_told_from_the_next_by_its_place_and_keeps_its_id_when_redelivered(bus: Bus) -> None:
    await announce(bus, DOCUMENT)
    await announce(bus, DOCUMENT)
    first, second = await take(bus, 2)
    assert first.release_id != second.release_id
    await first._delivery.put_back()
    [again] = await take(bus, 1)
    assert again.release_id == first.release_id


async def test_a_cdevent_without_arms_is_an_outline_by_the_mapping_and_the_broker_keeps_what_waits(
    nats_server: Broker,
) -> None:
    hearing = Hearing(cluster="prod", finds_arms=True, mapping=(MappingRow(environment="live", namespace="shop"),))
    async with open_bus(nats_server.settings, cluster="prod", hearing=hearing) as bus:
        await announce(bus, cdevent("deployed").replace(b"test123", b"live"))
        await announce(bus, cdevent("upgraded").replace(b"test123", b"staging"))
        mapped, unmapped = await take(bus, 2)
        outline = mapped.release()
        assert isinstance(outline, Outline)
        assert (outline.service, outline.namespace, outline.cluster) == ("web", "shop", "prod")
        with pytest.raises(InvalidEvent, match=r"no daemon serves the cluster 'staging'.*say under mapping what it is called here"):
            unmapped.release()
        waiting = [AwaitedCanaries(bus.awaited, lapsed=bus.lapsed, clock=HandClock(), wait_seconds=60.0) for _ in range(2)]
        kept = await waiting[0].keep(outline, release_id="web-1", sender=mapped.sender, since=5.0)
        await mapped.accept()
        await waiting[1].load()
        assert waiting[1].all() == [kept]
        assert await waiting[1].keep(outline, release_id="web-1", sender="", since=9.0) == kept
        await waiting[1].forget("web-1")
        await waiting[0].load()
        assert waiting[0].all() == []


async def test_what_a_hook_keeps_comes_from_the_stream_as_the_release_that_it_was_answered(nats_server: Broker) -> None:
    rows = (
        MappingRow(service="web", environment="production", namespace="shop"),
        MappingRow(service="web", name="web-staging", namespace="staging", policy="lax"),
    )
    hearing = Hearing(cluster="prod", finds_arms=True, mapping=rows)
    repository = {"full_name": "octo/web", "html_url": "https://github.com/octo/web"}
    deployment = {"deployment": {"id": 7, "sha": "f95f852b", "environment": "production"}, "repository": repository}
    cdeployed = cdevent("deployed").replace(b"test123", b"production")
    async with open_bus(nats_server.settings, cluster="prod", hearing=hearing) as bus:
        for sender, body, headers in (
            (SENDERS["github"], json.dumps(deployment).encode(), {"x-github-event": "deployment"}),
            (SENDERS["cloudevents"], cdeployed, {}),
        ):
            answered = sender.read(Received(hook="ci", headers=headers, body=body, hearing=hearing))
            await bus.event_log.keep(answered.incoming)
            [heard] = await take(bus, 1)
            assert heard.release_id == answered.release_id
            assert heard.release() == answered.release
            assert (answered.release.namespace, answered.release.policy) == ("shop", None)
            await heard.accept()


async def test_a_dead_letter_tells_all_faults_of_its_release(bus: Bus) -> None:
    await announce(bus, {**DOCUMENT, "service": "web.>", "weight": "10%", "canary": {"subst": "v2"}})
    [announcement] = await take(bus, 1)
    with pytest.raises(InvalidEvent) as caught:
        announcement.release()
    await announcement.reject(str(caught.value))
    [(headers, _)] = await dead_letters(bus)
    reasons = headers["Verdictd-Reason"].split(" | ")
    assert sorted(reason.split(":")[0] for reason in reasons) == ["$.canary.subst", "$.service", "$.weight"]
    assert "$.canary.subst: is not a known key; did you mean subset?" in reasons


async def test_what_is_not_understood_is_rejected_with_its_reason_and_the_next_is_taken(bus: Bus) -> None:
    bad = {**DOCUMENT, "service": "web.>"}
    await announce(bus, b"\xff{not json", {"X-Sender": "ci"})
    await announce(bus, bad)
    await announce(bus, {"specversion": "1.0", "id": "7", "source": "/ci", "type": "com.example.other", "data": {}})
    await announce(bus, {**DOCUMENT, "strategy": "shadow"})
    await announce(bus, DOCUMENT)
    *refused, good = await take(bus, 5)
    for announcement in refused:
        assert announcement.release_id is None
        with pytest.raises(InvalidEvent) as caught:
            announcement.release()
        await announcement.reject(str(caught.value))
    await good.accept()
    await all_answered(bus)
    letters = await dead_letters(bus)
    assert [headers["Verdictd-Reason"].split(":")[0] for headers, _ in letters] == ["$", "$.service", "$.type", "$.strategy"]
    assert letters[0][1] == b"\xff{not json"
    assert letters[0][0]["Verdictd-Header-X-Sender"] == "ci"
    assert letters[1][0]["Verdictd-Subject"] == SUBJECT
    assert json.loads(letters[1][1]) == bad


async def test_what_was_not_answered_when_the_daemon_stopped_comes_at_once_to_the_next(
    nats_server: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "ACK_WAIT_SECONDS", 600.0)
    async with open_bus(nats_server.settings, cluster="prod") as bus:
        for _ in range(5):
            await announce(bus, DOCUMENT)
        held = await take(bus, 2)
        assert len(held) == 2
    async with open_bus(nats_server.settings, cluster="prod") as bus:
        assert len(await take(bus, 5)) == 5


async def test_events_sent_around_a_kill_of_the_server_all_arrive(nats_server: Broker, bus: Bus) -> None:
    seen: set[str] = set()

    async def watch() -> None:
        async with aclosing(bus.events.announcements()) as announcements:
            async for announcement in announcements:
                await announcement.accept()
                seen.add(announcement.release().service)
                if len(seen) == 2:
                    return

    async with asyncio.timeout(90), asyncio.TaskGroup() as group:
        group.create_task(watch())
        await announce(bus, {**DOCUMENT, "service": "before"})
        await until(lambda: bool(seen))
        await nats_server.kill()
        await asyncio.sleep(1.0)
        await nats_server.start()
        await until(lambda: bus.ready)
        await announce(bus, {**DOCUMENT, "service": "after"})
    assert seen == {"before", "after"}


async def test_a_sender_s_message_id_names_the_event(bus: Bus) -> None:
    await announce(bus, DOCUMENT, {"Nats-Msg-Id": "build-7"})
    await announce(bus, DOCUMENT, {"Nats-Msg-Id": "build-8"})
    first, second = await take(bus, 2)
    assert first.release_id != second.release_id
    assert first.release_id == names.new_release_id("web", origin="message\nbuild-7")


async def test_an_event_for_another_cluster_is_left_to_it(nats_server: Broker, bus: Bus) -> None:
    async with open_bus(nats_server.settings, cluster="other") as elsewhere:
        await consuming_begun(elsewhere, cluster="other")
    await announce(bus, {**DOCUMENT, "cluster": "other"})
    await announce(bus, {**DOCUMENT, "cluster": "prod"})
    [ours] = await take(bus, 1)
    assert ours.release().cluster == "prod"
    async with open_bus(nats_server.settings, cluster="other") as elsewhere:
        [theirs] = await take(elsewhere, 1)
        assert theirs.release().cluster == "other"


async def test_what_is_worked_on_is_held_and_what_is_dropped_comes_again(
    nats_server: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "ACK_WAIT_SECONDS", 2.0)
    monkeypatch.setattr(consuming, "HEARTBEAT_SECONDS", 0.2)
    async with open_bus(nats_server.settings, cluster="prod") as bus:
        await announce(bus, DOCUMENT)
        held = await take(bus, 1)
        with pytest.raises(TimeoutError):
            await take(bus, 1, within=2.5)
        release_id = held[0].release_id
        held.clear()
        gc.collect()
        [again] = await take(bus, 1)
        assert again.release_id == release_id


async def test_an_event_that_is_never_accepted_is_rejected_in_the_end(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventsource, "MAX_DELIVERIES", 2)
    await announce(bus, DOCUMENT)
    for _ in range(2):
        [announcement] = await take(bus, 1)
        await announcement._delivery.put_back()
    [announcement] = await take(bus, 1)
    with pytest.raises(InvalidEvent) as caught:
        announcement.release()
    await announcement.reject(str(caught.value))
    [(headers, _)] = await dead_letters(bus)
    assert headers["Verdictd-Reason"].startswith("$: delivered 2 times and never accepted; ")
    assert headers["Verdictd-Delivered"] == "3"
    await all_answered(bus)


@pytest.mark.usefixtures("unkept")
async def test_a_letter_that_cannot_be_kept_comes_again_until_it_can(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventsource, "RETRY_SECONDS", 0.2)
    await announce(bus, b"nonsense")
    [announcement] = await take(bus, 1)
    await bus.connection.jetstream.delete_stream(subjects.REJECTED)
    await announcement.reject("nonsense")
    assert await outstanding(bus) == 1
    await ensure_streams(bus.connection.jetstream, replicas=1, patience_seconds=20.0)
    [announcement] = await take(bus, 1)
    await announcement.reject("nonsense\r\nwith a line break and a ü")
    await all_answered(bus)
    [(headers, data)] = await dead_letters(bus)
    assert (headers["Verdictd-Reason"], data) == ("nonsense  with a line break and a \\xfc", b"nonsense")


async def test_an_event_as_large_as_the_server_takes_is_rejected_cut_and_says_so(bus: Bus) -> None:
    await announce(bus, b"x" * (1024 * 1024 - 300))
    [announcement] = await take(bus, 1)
    await announcement.reject("too much")
    [(headers, data)] = await dead_letters(bus)
    assert len(data) == 1024 * 1024 - 16 * 1024
    assert headers["Verdictd-Truncated"] == "1048276 bytes; the whole is at VERDICTD_RELEASES:1"
    assert bus.ready


async def test_odd_and_huge_headers_do_not_stand_in_the_way_of_a_burial(bus: Bus) -> None:
    await announce(bus, b"{}", {"X!Odd": "1", "X-Huge": "y" * 20_000, "X-Late": "3", "Nats-Msg-Id": "7"})
    [announcement] = await take(bus, 1)
    await announcement.reject("no release")
    [(headers, _)] = await dead_letters(bus)
    assert [key for key in headers if key.startswith("Verdictd-Header-")] == []
    assert headers["Verdictd-Reason"] == "no release"


async def test_two_clusters_keep_the_same_letter_once(nats_server: Broker, bus: Bus) -> None:
    await announce(bus, b"nonsense")
    async with open_bus(nats_server.settings, cluster="other") as elsewhere:
        for daemon in (bus, elsewhere):
            [announcement] = await take(daemon, 1)
            await announcement.reject("nonsense")
    assert len(await dead_letters(bus)) == 1


async def test_commands_arrive_with_their_release_and_are_kept_while_nobody_listens(nats_server: Broker) -> None:
    async with open_bus(nats_server.settings, cluster="prod") as bus:
        for command in ("rollback", "promote"):
            body = json.dumps({"command": command, "by": "ann"}).encode()
            await bus.connection.jetstream.publish("verdictd.command.web-1", body)
    async with open_bus(nats_server.settings, cluster="prod") as bus, aclosing(bus.commands.commands()) as commands:
        assert await anext(commands) == ("web-1", Command(command="rollback", by="ann"))
        assert await anext(commands) == ("web-1", Command(command="promote", by="ann"))
    async with open_bus(nats_server.settings, cluster="prod") as bus, aclosing(bus.commands.commands()) as commands:
        # The one that nobody asked on after may not have been carried out.
        assert await anext(commands) == ("web-1", Command(command="promote", by="ann"))


async def test_a_command_that_cannot_be_carried_out_now_comes_again(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventsource, "RETRY_SECONDS", 0.1)
    for release_id in ("web-1", "web-2"):
        await bus.connection.jetstream.publish(f"verdictd.command.{release_id}", b'{"command":"cancel"}')
    async with asyncio.timeout(40), aclosing(bus.commands.commands()) as commands:
        cancel = Command(command="cancel")
        assert await anext(commands) == ("web-1", cancel)
        assert await commands.athrow(Unavailable("nobody has it now")) == ("web-2", cancel)
        assert await anext(commands) == ("web-1", cancel)


@pytest.mark.parametrize(
    ("subject", "body", "reason"),
    [
        ("verdictd.command.web-1", b"rollback", "$: not JSON: JSON is malformed"),
        ("verdictd.command.web-1", b'{"command":"explode"}', '$.command: "explode" is not one of them; write'),
        ("verdictd.command.web-1", b'{"command":"cancel","extra":1}', "$.extra: is not a known key"),
        ("verdictd.command.Web_1", b'{"command":"cancel"}', "subject: 'Web_1' is not a usable name"),
    ],
)
async def test_a_command_that_is_not_understood_is_rejected(bus: Bus, subject: str, body: bytes, reason: str) -> None:
    await bus.connection.jetstream.publish(subject, body)
    await bus.connection.jetstream.publish("verdictd.command.web-2", b'{"command":"cancel"}')
    async with asyncio.timeout(40), aclosing(bus.commands.commands()) as commands:
        assert await anext(commands) == ("web-2", Command(command="cancel"))
    [(headers, data)] = await dead_letters(bus)
    assert headers["Verdictd-Reason"].startswith(reason)
    assert data == body


async def test_a_consumer_that_somebody_deletes_is_made_again(bus: Bus) -> None:
    await announce(bus, DOCUMENT)
    [announcement] = await take(bus, 1)
    await announcement.accept()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(take(bus, 1))
        await asyncio.sleep(0.3)
        await bus.connection.jetstream.delete_consumer(subjects.RELEASES, "verdictd-prod")
        await announce(bus, {**DOCUMENT, "service": "later"})
    assert len(waiting.result()) == 1


@pytest.mark.broad
async def test_a_thousand_events_are_accepted(bus: Bus) -> None:
    for number in range(1_000):
        await announce(bus, {**DOCUMENT, "service": f"web-{number}"})
    seen = set()
    async with asyncio.timeout(60), aclosing(bus.events.announcements()) as announcements:
        async for announcement in announcements:
            await announcement.accept()
            seen.add(announcement.release_id)
            if len(seen) == 1_000:
                break
    await all_answered(bus)


async def test_a_postponed_event_comes_again_though_somebody_still_remembers_it(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventsource, "RETRY_SECONDS", 0.2)
    await announce(bus, DOCUMENT)
    async with asyncio.timeout(40.0), aclosing(bus.events.announcements()) as announcements:
        first = await anext(announcements)
        await first.postpone()
        second = await anext(announcements)
    assert second.release_id == first.release_id
    await second.accept()
    await all_answered(bus)


async def test_an_outage_of_any_length_rejects_no_event(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is postponed does not count towards its deliveries; it is held meanwhile, and handed out again."""
    monkeypatch.setattr(eventsource, "MAX_DELIVERIES", 1)
    monkeypatch.setattr(eventsource, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(consuming, "FETCH_SECONDS", 0.1)
    await announce(bus, DOCUMENT)
    async with asyncio.timeout(40.0), aclosing(bus.events.announcements()) as announcements:
        for _ in range(5):
            announcement = await anext(announcements)
            assert announcement.release().service == "web"
            await announcement.postpone()
        announcement = await anext(announcements)
    assert announcement._delivery.message.metadata.num_delivered == 1
    await announcement.accept()
    await all_answered(bus)
    assert await dead_letters(bus) == []


async def test_a_postponed_event_is_held_for_longer_than_the_server_waits(
    nats_server: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "ACK_WAIT_SECONDS", 2.0)
    monkeypatch.setattr(consuming, "HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr(eventsource, "RETRY_SECONDS", 2.5)
    async with open_bus(nats_server.settings, cluster="prod") as bus:
        await announce(bus, DOCUMENT)
        async with asyncio.timeout(40.0), aclosing(bus.events.announcements()) as announcements:
            await (await anext(announcements)).postpone()
            again = await anext(announcements)
        assert again._delivery.message.metadata.num_delivered == 1
        await again.accept()


async def test_what_the_server_delivers_anew_takes_the_place_of_what_waits(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = HandClock()
    monkeypatch.setattr(bus.events.consumer, "_waiting", Waiting(monotonic=clock.monotonic))
    await announce(bus, DOCUMENT)
    async with asyncio.timeout(40.0), aclosing(bus.events.announcements()) as announcements:
        first = await anext(announcements)
        await first.postpone()
        await first._delivery.message.nak()  # as after a connection that was lost for longer than the server waits
        second = await anext(announcements)
        assert second._delivery.message.metadata.num_delivered == 2
        await second.accept()
        clock.time += 2 * eventsource.RETRY_SECONDS
        await announce(bus, {**DOCUMENT, "service": "next"})
        assert (await anext(announcements)).release().service == "next"
