"""Deliveries that wait to be handed out again: in time, once, and within bounds."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nats.aio.msg import Msg

from daemon.bus import delivering
from daemon.bus.delivering import Delivery, Waiting
from tests.hand.clock import HandClock


def delivery(waiting: Waiting, number: int, data: bytes = b"x") -> Delivery:
    metadata = SimpleNamespace(sequence=SimpleNamespace(stream=number, consumer=number), timestamp=datetime.now(UTC))
    return Delivery(cast("Msg", cast("Any", SimpleNamespace(data=data, metadata=metadata))), waiting=waiting)


def test_what_is_postponed_comes_when_its_time_has_come_and_once() -> None:
    now = HandClock()
    waiting = Waiting(monotonic=now.monotonic)
    late, soon = delivery(waiting, 1), delivery(waiting, 2)
    late.postpone(seconds=10.0)
    soon.postpone(seconds=5.0)
    assert waiting.take() == []
    now.time += 5.0
    assert waiting.take() == [soon]
    now.time += 5.0
    assert waiting.take() == [late]
    assert waiting.take() == []


def test_a_delivery_of_the_same_message_takes_the_place_of_the_one_that_waits() -> None:
    now = HandClock()
    waiting = Waiting(monotonic=now.monotonic)
    old = delivery(waiting, 1)
    old.postpone(seconds=0.0)
    waiting.replace(delivery(waiting, 1))
    assert old.answered, "it is not held any more"
    assert waiting.take() == []


@pytest.mark.parametrize(("count", "size"), [(3, 1), (1, 30)])
def test_what_waits_is_bounded_in_number_and_in_bytes(monkeypatch: pytest.MonkeyPatch, count: int, size: int) -> None:
    monkeypatch.setattr(delivering, "MAX_WAITING", 3)
    monkeypatch.setattr(delivering, "MAX_WAITING_BYTES", 30)
    waiting = Waiting(monotonic=HandClock().monotonic)
    for number in range(count):
        assert not waiting.is_full
        delivery(waiting, number, b"x" * size).postpone(seconds=0.0)
    assert waiting.is_full
    assert len(waiting.take()) == count
    assert not waiting.is_full
