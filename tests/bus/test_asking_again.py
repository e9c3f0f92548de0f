"""A question that gets lost, as between two leaders, is asked again; what changes something is not."""

from typing import Any

import nats.aio.client
import nats.errors
import pytest

from daemon.bus import natsclient
from daemon.bus.opening import Bus

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("unkept")]

QUESTION = "$JS.API.STREAM.INFO.VERDICTD_VERDICTS"
CHANGE = "$JS.API.STREAM.PURGE.VERDICTD_VERDICTS"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is sent of these two; the first of each gets lost."""
    found: list[str] = []
    publish = nats.aio.client.Client.publish

    async def lossy(client: nats.aio.client.Client, subject: str, *rest: Any) -> None:
        is_first = subject in {QUESTION, CHANGE} and subject not in found
        if subject in {QUESTION, CHANGE}:
            found.append(subject)
        if not is_first:
            await publish(client, subject, *rest)

    monkeypatch.setattr(natsclient, "ASK_AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(nats.aio.client.Client, "publish", lossy)
    return found


async def test_what_only_reads_is_asked_again_until_it_is_answered(bus: Bus, sent: list[str]) -> None:
    answer = await bus.connection.client.request(QUESTION, b"", timeout=30.0)
    assert b"VERDICTD_VERDICTS" in answer.data
    assert len(sent) >= 2


async def test_what_changes_something_is_sent_once(bus: Bus, sent: list[str]) -> None:
    with pytest.raises(nats.errors.TimeoutError):
        await bus.connection.client.request(CHANGE, b"", timeout=0.3)
    assert sent == [CHANGE]
