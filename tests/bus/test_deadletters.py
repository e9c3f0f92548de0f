"""The dead letters are a port: any source keeps its letters there, not only the broker's own."""

import msgspec
import pytest

from daemon.bus.opening import Bus
from daemon.errors import TransientError
from daemon.ports.events import DeadLetter
from tests.bus.test_eventsource import dead_letters
from tests.hand.broker import Broker, nats_server

__all__ = ["nats_server"]

pytestmark = pytest.mark.live

LETTER = DeadLetter(
    body=b'{"zen":"\xff"}',
    headers={"X-Delivery": "7", "Content-Type": "application/json"},
    reason="$.zen: not UTF-8; send UTF-8",
    key="hook:7",
    sent_to="POST /hooks/made-up",
)


async def test_a_letter_from_anywhere_is_kept_as_it_came_with_the_reason_in_front(bus: Bus) -> None:
    await bus.dead_letters.keep(LETTER)
    [(headers, data)] = await dead_letters(bus)
    assert data == LETTER.body
    assert headers.pop("Nats-Expected-Stream") == "VERDICTD_REJECTED"
    assert headers == {
        "Verdictd-Reason": LETTER.reason,
        "Verdictd-Subject": LETTER.sent_to,
        "Verdictd-Delivered": "1",
        "Verdictd-Header-X-Delivery": "7",
        "Verdictd-Header-Content-Type": "application/json",
        "Nats-Msg-Id": "hook:7",
    }


async def test_letters_with_one_key_are_kept_once(bus: Bus) -> None:
    for reason in ("one", "another"):
        await bus.dead_letters.keep(msgspec.structs.replace(LETTER, reason=reason))
    await bus.dead_letters.keep(msgspec.structs.replace(LETTER, key="hook:8"))
    assert [headers["Verdictd-Reason"] for headers, _ in await dead_letters(bus)] == ["one", LETTER.reason]


async def test_a_letter_that_is_too_large_says_how_large_it_was(bus: Bus) -> None:
    await bus.dead_letters.keep(msgspec.structs.replace(LETTER, body=b"x" * 5_000_000))
    [(headers, data)] = await dead_letters(bus)
    assert headers["Verdictd-Truncated"] == "5000000 bytes"
    assert 0 < len(data) < 5_000_000


async def test_a_letter_that_could_not_be_kept_is_told_so(nats_server: Broker, bus: Bus) -> None:
    await nats_server.kill()
    with pytest.raises(TransientError):
        await bus.dead_letters.keep(LETTER)
