"""What strangers put on the wire: each of them is rejected with the reason, and the next event is taken."""

import asyncio
import base64
import json
import logging
from contextlib import aclosing
from typing import Any

import pytest
from nats.js.api import AckPolicy

from daemon.aio.tasks import cancel_all
from daemon.bus import consuming, eventsource, subjects
from daemon.bus.eventsource import NatsAnnouncement
from daemon.bus.natsclient import UNREADABLE, NatsClient
from daemon.bus.opening import Bus, open_bus
from daemon.bus.serving import Served
from daemon.errors import InvalidEvent, NotFound
from daemon.interventions import Command
from tests.bus import raw
from tests.bus.test_eventsource import all_answered, announce, consuming_begun, dead_letters, take
from tests.hand.broker import Broker
from tests.hand.samples import DOCUMENT
from tests.hand.waiting import until

pytestmark = pytest.mark.live

START = b'{"specversion":"1.0","id":"1","source":"/x","type":"io.verdictd.release.v1",'
BINARY = {b"ce-specversion": b"1.0", b"ce-id": b"1", b"ce-source": b"/x", b"ce-type": b"io.verdictd.release.v1"}
GOOD = json.dumps(DOCUMENT).encode()

BODIES = {
    "an attribute holding the byte FF": (START + b'"foo":"\xff","data":{}}', "$.foo"),
    "an attribute of 1e999": (START + b'"foo":1e999,"data":{}}', "$.foo"),
    "an attribute of 5 000 digits": (START + b'"foo":' + b"9" * 5_000 + b',"data":{}}', "$.foo"),
    "base64 with a letter beyond ASCII": (START + '"data_base64":"é"}'.encode(), "$.data_base64"),
    "base64 with the byte FF": (START + b'"data_base64":"\xff"}', "$.data_base64"),
    "a CDEvent with custom data beyond ASCII": (
        '{"context":{"specversion":"0.5.1","id":"1","source":"/c","type":"dev.cdevents.service.deployed.0.3.0"},'
        '"subject":{"id":"shop/web","content":{"environment":{"id":"prod"}}},"customData":"é"}'.encode(),
        "$.customData",
    ),
    "a deadline of 400 digits": (GOOD[:-1] + b',"deadline":' + b"9" * 400 + b"}", "$.deadline"),
    "a deep document": (GOOD[:-1] + b',"route":' + b"[" * 50_000, "$"),
}


async def refused(bus: Bus) -> NatsAnnouncement:
    """The next announcement, which cannot be used and is rejected, as the engine does it."""
    [announcement] = await take(bus, 1)
    assert announcement.release_id is None
    with pytest.raises(InvalidEvent) as caught:
        announcement.release()
    await announcement.reject(str(caught.value))
    return announcement


@pytest.mark.parametrize("what", BODIES)
async def test_a_message_that_once_ended_the_daemon_is_rejected_and_the_next_is_taken(
    bus: Bus, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    body, path = BODIES[what]
    await announce(bus, body)
    await announce(bus, DOCUMENT)
    await refused(bus)
    [good] = await take(bus, 1)
    await good.accept()
    await all_answered(bus)
    [(headers, data)] = await dead_letters(bus)
    assert headers["Verdictd-Reason"].startswith(f"{path}: ")
    assert "defect" not in headers["Verdictd-Reason"]
    assert data == body
    # The engine says it, which sees every refusal; twice would be noise.
    assert "rejected" not in caplog.text


@pytest.mark.parametrize(
    ("headers", "path"),
    [
        ({**BINARY, b"ce-id": b"a\xff"}, "headers.ce-id"),
        ({**BINARY, b"ce-foo": b"\xfe\xff"}, "headers.ce-foo"),
        ({**BINARY, b"ce-id": b"%ff"}, "headers.ce-id"),
        ({b"Nats-Msg-Id": b"build-\xff"}, "headers.Nats-Msg-Id"),
    ],
)
async def test_headers_that_are_no_utf8_are_rejected_and_the_letter_can_be_read(
    nats_server: Broker, bus: Bus, headers: dict[bytes, bytes], path: str
) -> None:
    await raw.publish(nats_server.url, b"verdictd.release.x", GOOD, headers=headers)
    await refused(bus)
    [(letter, data)] = await dead_letters(bus)
    assert letter["Verdictd-Reason"].startswith(f"{path}: holds bytes that are not UTF-8")
    assert data == GOOD
    await all_answered(bus)


async def test_any_bytes_in_other_headers_do_no_harm_and_are_kept_as_far_as_they_can_be(nats_server: Broker, bus: Bus) -> None:
    odd = {b"X-Sender": b"M\xfcnchen\x7f\x01", b"X-Huge": b"\xff" * 4_000, b"X\xff": b"1", b"X Y": b"2", b"": b"3"}
    await raw.publish(nats_server.url, b"verdictd.release.x", b"x" * 1_040_000, headers=odd)
    await refused(bus)
    [(letter, data)] = await dead_letters(bus)
    assert letter["Verdictd-Header-X-Sender"] == "M\\ufffdnchen"
    assert "Verdictd-Header-X-Huge" not in letter
    assert len(data) == 1024 * 1024 - 16 * 1024
    assert bus.ready


UNREADABLE_HEADERS = {
    "nothing": b"\r\n\r\n",
    "the version alone": b"NATS/1.0",
    "a status that is no UTF-8": b"NATS/1.0 \xff\xfe\r\n\r\n",
    "a status cut in a character": "NATS/1.0 50\u00e9\r\n\r\n".encode(),
    "a status before a header that is no UTF-8": b"NATS/1.0 503\r\nX: \xff\r\n\r\n",
}


@pytest.mark.parametrize("what", ["nothing", "the version alone"])  # this broker takes a status away
async def test_headers_that_cannot_be_read_are_rejected_and_do_not_deafen_the_daemon(
    nats_server: Broker, bus: Bus, what: str
) -> None:
    await raw.publish_block(nats_server.url, b"verdictd.release.x", GOOD, block=UNREADABLE_HEADERS[what])
    await announce(bus, DOCUMENT)
    await refused(bus)
    [good] = await take(bus, 1)
    await good.accept()
    await all_answered(bus)
    [(letter, data)] = await dead_letters(bus)
    assert letter["Verdictd-Reason"].startswith("headers: cannot be read: ")
    assert data == GOOD


@pytest.mark.parametrize("what", UNREADABLE_HEADERS)
async def test_headers_that_cannot_be_read_are_said_to_be(what: str) -> None:
    headers = await NatsClient()._process_headers(UNREADABLE_HEADERS[what])
    assert headers is not None
    assert list(headers) == [UNREADABLE]


@pytest.mark.parametrize("status", [b"100", b"200", b"404", b"408", b"409", b"503", b"pending"])
@pytest.mark.parametrize("inline", [True, False])
async def test_a_sender_s_status_is_not_taken_for_the_broker_s(nats_server: Broker, bus: Bus, status: bytes, inline: bool) -> None:
    block = b"NATS/1.0 %b No Messages\r\n\r\n" if inline else b"NATS/1.0\r\nStatus: %b\r\nDescription: x\r\n\r\n"
    await announce(bus, DOCUMENT)
    await raw.publish_block(nats_server.url, b"verdictd.release.x", b"no release", block=block % status)
    await announce(bus, DOCUMENT)
    [first] = await take(bus, 1)
    await first.accept()
    await refused(bus)
    [last] = await take(bus, 1)
    await last.accept()
    await all_answered(bus)
    [(letter, data)] = await dead_letters(bus)
    assert data == b"no release"
    assert inline or letter["Verdictd-Header-status"] == status.decode()


async def test_a_command_with_a_stranger_s_headers_is_carried_out_or_rejected(nats_server: Broker, bus: Bus) -> None:
    word = b'{"command":"cancel"}'
    await raw.publish_block(nats_server.url, b"verdictd.command.web-1", word, block=b"\r\n\r\n")
    await raw.publish_block(nats_server.url, b"verdictd.command.web-2", word, block=b"NATS/1.0 503\r\n\r\n")
    async with asyncio.timeout(40), aclosing(bus.commands.commands()) as commands:
        assert await anext(commands) == ("web-2", Command(command="cancel"))
    [(letter, _)] = await dead_letters(bus)
    assert letter["Verdictd-Subject"] == "verdictd.command.web-1"


async def test_a_subject_that_is_no_utf8_does_not_deafen_the_daemon(nats_server: Broker, bus: Bus) -> None:
    await raw.publish(nats_server.url, b"verdictd.release.\xff", b"{}")
    await raw.publish(nats_server.url, b"verdictd.command.\xff", b'{"command":"rollback"}')
    await announce(bus, DOCUMENT)
    await refused(bus)
    [good] = await take(bus, 1)
    await good.accept()
    await bus.connection.jetstream.publish("verdictd.command.web-1", b'{"command":"cancel"}')
    async with asyncio.timeout(40), aclosing(bus.commands.commands()) as commands:
        assert await anext(commands) == ("web-1", Command(command="cancel"))
    assert {letter["Verdictd-Subject"] for letter, _ in await dead_letters(bus)} == {
        "verdictd.release.\\xff",
        "verdictd.command.\\xff",
    }


@pytest.mark.parametrize("body", [b'{"command":"rollback","by":"\xff"}', b'{"command":' + b"[" * 50_000, b'{"command":1e999}', b""])
async def test_a_command_of_a_stranger_is_rejected(bus: Bus, body: bytes) -> None:
    await bus.connection.jetstream.publish("verdictd.command.web-1", body)
    await bus.connection.jetstream.publish("verdictd.command.web-2", b'{"command":"cancel"}')
    async with asyncio.timeout(40), aclosing(bus.commands.commands()) as commands:
        assert await anext(commands) == ("web-2", Command(command="cancel"))
    [(headers, data)] = await dead_letters(bus)
    assert headers["Verdictd-Reason"]
    assert data == body


async def test_what_was_delivered_too_often_is_rejected_before_it_is_read(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventsource, "MAX_DELIVERIES", 1)
    await announce(bus, DOCUMENT)
    await bus.connection.jetstream.publish("verdictd.command.web-1", b'{"command":"cancel"}')
    [first] = await take(bus, 1)
    await first._delivery.put_back()
    async with asyncio.timeout(40), aclosing(bus.commands.commands()) as commands:
        await anext(commands)

    def ends_the_daemon(*_args: object) -> None:
        raise SystemExit

    monkeypatch.setattr(eventsource, "read_release", ends_the_daemon)
    monkeypatch.setattr(eventsource, "read_command", ends_the_daemon)
    await refused(bus)
    await bus.connection.jetstream.publish("verdictd.command.web-2", b"no command")
    async with aclosing(bus.commands.commands()) as commands:
        with pytest.raises(SystemExit):
            async with asyncio.timeout(40):
                await anext(commands)
    reasons = [headers["Verdictd-Reason"] for headers, _ in await dead_letters(bus)]
    assert [reason.split(";")[0] for reason in reasons] == ["$: delivered 1 times and never accepted"] * 2


async def test_a_defect_of_ours_costs_one_message_and_is_logged_as_one(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_args: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("daemon.events.announcing.cloudevents.opened", broken)
        await announce(bus, DOCUMENT)
        await refused(bus)
    await announce(bus, DOCUMENT)
    [good] = await take(bus, 1)
    await good.accept()
    [(headers, _)] = await dead_letters(bus)
    assert "through a defect of verdictd (ZeroDivisionError)" in headers["Verdictd-Reason"]
    assert [record.levelno for record in caplog.records if "defect of verdictd" in record.message] == [logging.ERROR]


async def test_a_message_that_came_past_the_stream_is_not_read(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    taking = asyncio.create_task(take(bus, 1))
    await until(lambda: bool(bus.connection._pulls))
    [pull] = bus.connection._pulls
    inbox = pull._sub.subject.replace("*", "7")
    await bus.connection.client.publish(inbox, GOOD)
    await bus.connection.client.publish(inbox, GOOD, reply="$JS.ACK.OTHER.x.1.1.1.1.1")
    await announce(bus, DOCUMENT)
    [announcement] = await taking
    await announcement.accept()
    await all_answered(bus)


async def test_an_event_for_a_cluster_that_nobody_has_is_rejected_once_by_several_daemons(nats_server: Broker, bus: Bus) -> None:
    async with open_bus(nats_server.settings, cluster="prod-eu") as elsewhere:
        await consuming_begun(elsewhere, cluster="prod-eu")
        await announce(bus, {**DOCUMENT, "cluster": "prod-ue"})
        for daemon in (bus, elsewhere):
            await refused(daemon)
    [(headers, data)] = await dead_letters(bus)
    assert headers["Verdictd-Reason"] == (
        "$.cluster: no daemon serves the cluster 'prod-ue'; there are prod, prod-eu; did you mean prod-eu?"
    )
    assert json.loads(data)["cluster"] == "prod-ue"


async def test_the_environment_of_a_cdevent_is_its_cluster(bus: Bus) -> None:
    event = {
        "context": {"version": "0.4.1", "id": "1", "source": "/c", "type": "dev.cdevents.service.deployed.0.2.0"},
        "subject": {"id": "shop/web", "content": {"environment": {"id": "test123"}}},
        "customData": base64.b64encode(json.dumps({"verdictd": arms()}).encode()).decode(),
    }
    await announce(bus, event)
    await refused(bus)
    [(headers, _)] = await dead_letters(bus)
    assert headers["Verdictd-Reason"] == (
        "$.subject.content.environment.id: no daemon serves the cluster 'test123'; there are prod; "
        "correct the name, say under mapping what it is called here, or start that cluster's daemon and send the event again"
    )


async def test_an_event_for_a_cluster_whose_daemon_is_away_waits_for_it(nats_server: Broker, bus: Bus) -> None:
    async with open_bus(nats_server.settings, cluster="other") as elsewhere:
        await consuming_begun(elsewhere, cluster="other")
    await announce(bus, {**DOCUMENT, "cluster": "other"})
    await announce(bus, DOCUMENT)
    [ours] = await take(bus, 1)
    await ours.accept()
    await all_answered(bus)
    assert await dead_letters(bus) == []
    async with open_bus(nats_server.settings, cluster="other") as elsewhere:
        [theirs] = await take(elsewhere, 1)
        assert theirs.release().cluster == "other"


async def test_a_cluster_that_is_removed_is_served_no_longer(
    nats_server: Broker, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.bus.serving.REMEMBERED_SECONDS", 0.0)
    async with open_bus(nats_server.settings, cluster="old") as elsewhere:
        await consuming_begun(elsewhere, cluster="old")
    await bus.connection.jetstream.delete_consumer(subjects.RELEASES, "verdictd-old")
    await announce(bus, {**DOCUMENT, "cluster": "old"})
    await refused(bus)


async def test_the_clusters_that_are_there_are_read_page_by_page_and_told_in_part(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.bus.serving._PAGE", 2)
    await consuming_begun(bus, cluster="prod")
    for number in range(12):
        await bus.connection.jetstream.add_consumer(
            subjects.RELEASES, durable_name=f"verdictd-c{number:02}", ack_policy=AckPolicy.EXPLICIT
        )
    await bus.connection.jetstream.add_consumer(subjects.RELEASES, durable_name="somebody-s", ack_policy=AckPolicy.EXPLICIT)
    with pytest.raises(InvalidEvent) as caught:
        await Served(bus.connection).check("elsewhere", path="$.cluster")
    assert caught.value.message == (
        "no daemon serves the cluster 'elsewhere'; there are c00, c01, c02, c03, c04, c05, c06, c07, c08, c09 and 3 more"
    )


async def test_where_the_clusters_cannot_be_listed_the_event_is_refused_without_naming_them(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_args: object, **_options: object) -> None:
        raise TimeoutError

    monkeypatch.setattr("nats.js.JetStreamContext.consumers_info", silent)
    with pytest.raises(InvalidEvent) as caught:
        await Served(bus.connection).check("elsewhere", path="$.cluster")
    assert caught.value.message == "no daemon serves the cluster 'elsewhere'"


@pytest.mark.usefixtures("unkept")
async def test_a_stream_that_is_gone_says_nothing_of_clusters(bus: Bus) -> None:
    await bus.connection.jetstream.delete_stream(subjects.RELEASES)
    with pytest.raises(NotFound):
        await Served(bus.connection).check("elsewhere", path="$.cluster")


async def test_an_event_comes_again_while_nobody_can_tell_who_is_there(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(eventsource, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(consuming, "FETCH_SECONDS", 0.1)
    asked, told = 0, asyncio.Event()

    async def silent(*_args: object, **_options: object) -> None:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise TimeoutError
        told.set()

    with monkeypatch.context() as patch:
        patch.setattr("nats.js.JetStreamContext.consumer_info", silent)
        patch.setattr(bus.events.consumer, "_ensure", nothing)
        await bus.connection.jetstream.add_consumer(subjects.RELEASES, durable_name="verdictd-prod", ack_policy="explicit")
        await announce(bus, {**DOCUMENT, "cluster": "far"})
        reading = asyncio.create_task(take(bus, 1))
        async with asyncio.timeout(40):
            await told.wait()
        assert not reading.done()
        await cancel_all([reading])
    assert asked == 3
    assert await dead_letters(bus) == []
    assert "an event for another cluster is looked at again later" in caplog.text


def arms() -> dict[str, Any]:
    return {"baseline": {"subset": "v1"}, "canary": {"subset": "v2"}}


async def nothing() -> None:
    """In place of what is not wanted."""
