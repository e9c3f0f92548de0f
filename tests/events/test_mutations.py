"""Whatever arrives is read or refused: nothing else comes out of the readers of events and commands."""

import pytest

from daemon.errors import InvalidEvent
from daemon.events.announcing import read_release
from daemon.events.commanding import read_command
from tests.events import mutating

COUNT = 5_000


def test_five_thousand_mutated_messages_are_read_or_refused_with_our_own_errors() -> None:
    assert list(mutating.defects(0, COUNT)) == []


@pytest.mark.parametrize("message", mutating.EVENTS)
def test_the_messages_are_good_before_they_are_mutated(message: mutating.Message) -> None:
    refused = b"rolledback" in message[1] or "batch" in message[0].get("Content-Type", "")
    if refused:
        with pytest.raises(InvalidEvent):
            read_release(*message)
    else:
        assert read_release(*message).release.service == "web"


@pytest.mark.parametrize("message", mutating.COMMANDS)
def test_so_are_the_commands(message: mutating.Message) -> None:
    assert read_command(message[1]).command in {"rollback", "promote"}


def test_mutations_are_many_and_the_same_again() -> None:
    first = [mutating.mutated(number, mutating.EVENTS) for number in range(1_000)]
    assert first == [mutating.mutated(number, mutating.EVENTS) for number in range(1_000)]
    assert len({repr(message) for message in first}) > 900


def test_a_defect_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("daemon.events.announcing.cloudevents.opened", broken)
    assert list(mutating.defects(0, 1)) == ["mutation 0: an event could not be read, through a defect of verdictd"]
