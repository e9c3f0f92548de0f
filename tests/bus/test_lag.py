"""What waits on the streams of events and commands is counted, and said where it does not come."""

from contextlib import AsyncExitStack

import pytest

from daemon.bus import consuming, subjects
from daemon.bus.lag import HELD_UP_SECONDS, Backlog, Lag
from daemon.bus.opening import Bus
from daemon.bus.serving import durable_of
from tests.bus.test_eventsource import announce, take
from tests.hand.samples import DOCUMENT

pytestmark = pytest.mark.live


class Elapsed:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def test_what_waits_and_what_is_unanswered_is_counted(bus: Bus) -> None:
    lag = Lag(bus.connection, cluster="prod")
    await lag.look()
    assert lag.backlogs == {subjects.RELEASES: Backlog(), subjects.COMMANDS: Backlog()}
    for _ in range(3):
        await announce(bus, DOCUMENT)
    taken = await take(bus, 3)
    await taken[0].accept()
    for _ in range(70):
        await announce(bus, DOCUMENT)
    await lag.look()
    assert lag.backlogs[subjects.RELEASES] == Backlog(waiting=70, unanswered=2)
    assert lag.standing.problem is None


async def test_a_consumer_whose_messages_another_client_has_and_does_not_answer_is_said_until_they_come(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    elapsed, durable = Elapsed(), durable_of("prod")
    lag = Lag(bus.connection, cluster="prod", monotonic=elapsed)
    await announce(bus, DOCUMENT)
    [first] = await take(bus, 1)
    await first.accept()
    info = await bus.connection.jetstream.consumer_info(subjects.RELEASES, durable)
    await bus.connection.jetstream.add_consumer(subjects.RELEASES, info.config.evolve(max_ack_pending=2, ack_wait=600.0))
    for _ in range(5):
        await announce(bus, DOCUMENT)
    async with AsyncExitStack() as stack:
        stranger = await stack.enter_async_context(bus.connection.pulling(subjects.RELEASES, durable))
        held = await stranger.fetch(2, timeout=30.0)
        await lag.look()
        elapsed.seconds = HELD_UP_SECONDS - 1.0
        await lag.look()
        assert lag.standing.problem is None
        elapsed.seconds = HELD_UP_SECONDS
        await lag.look()
        assert lag.standing.problem is not None
        assert lag.standing.problem.startswith(
            "3 messages wait on VERDICTD_RELEASES and none has come for 20 s, while 2 are given out"
        )
        for message in held:
            await message.ack_sync()
    monkeypatch.setattr(consuming, "FETCH_SECONDS", 0.5)
    for announcement in await take(bus, 3):
        await announcement.accept()
    await lag.look()
    assert lag.standing.problem is None
    assert lag.backlogs[subjects.RELEASES].waiting == 0
