"""Verdicts out: once, in every way an attempt can fail."""

import asyncio

import pytest

from daemon.bus import publisher, subjects
from daemon.bus.opening import Bus
from daemon.errors import InvalidInput
from daemon.events.cloudevents import read
from daemon.events.verdicts import read_verdict
from daemon.model import Action, Outcome, Verdict
from tests.bus.samples import verdict
from tests.live.nats import Broker

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


async def test_a_verdict_is_on_its_subject_as_it_was_given(bus: Bus) -> None:
    given = verdict()
    await bus.verdicts.publish(given)
    assert await published(bus) == [("verdictd.verdict.prod.shop.web", given)]


async def test_publishing_again_adds_nothing(bus: Bus) -> None:
    given = verdict()
    for _ in range(3):
        await bus.verdicts.publish(given)
    assert len(await published(bus)) == 1


async def test_publishing_again_after_the_duplicate_window_adds_nothing(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "MESSAGE_ID", "X-Msg-Id")  # as if the server had forgotten its ids
    given = verdict(decided_at=verdict().decided_at - 2 * publisher.FRESH_SECONDS)
    other = verdict("web-2")
    await bus.verdicts.publish(given)
    await bus.verdicts.publish(other)
    await bus.verdicts.publish(given)
    assert [found.release_id for _, found in await published(bus)] == ["web-1", "web-2"]


async def test_a_verdict_given_while_the_server_is_down_is_published_once_when_it_is_back(nats_server: Broker, bus: Bus) -> None:
    await bus.verdicts.publish(verdict("web-1"))
    await nats_server.kill()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(bus.verdicts.publish(verdict("web-2")))
        group.create_task(bus.verdicts.publish(verdict("web-1")))
        await asyncio.sleep(1.0)
        await nats_server.start()
    assert [found.release_id for _, found in await published(bus)] == ["web-1", "web-2"]


async def test_traffic_taken_back_is_also_told_as_a_cdevent(bus: Bus) -> None:
    await bus.verdicts.publish(verdict("web-1"))
    await bus.verdicts.publish(verdict("web-2", outcome=Outcome.PROMOTE, meaning="promote", action=Action.NONE))
    jetstream = bus.connection.jetstream
    assert (await jetstream.stream_info(subjects.CDEVENTS)).state.messages == 1
    message = await jetstream.get_msg(subjects.CDEVENTS, seq=1)
    event = read(message.headers or {}, message.data or b"")
    assert event is not None
    assert (message.subject, event.type) == ("verdictd.cdevents.prod.shop.web", "dev.cdevents.service.rolledback.0.3.0")


@pytest.mark.parametrize("service", [">", "*", "a.b", "a b", "a\r\nPUB x", ""])
async def test_a_name_that_would_break_out_of_its_token_is_refused(bus: Bus, service: str) -> None:
    with pytest.raises(InvalidInput):
        await bus.verdicts.publish(verdict(service=service))
    assert await published(bus) == []
