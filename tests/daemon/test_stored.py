"""What is kept is read by older and newer versions: what is unknown is left unread, what must not be guessed is refused."""

import json
from typing import Any

import msgspec
import pytest

from daemon import stored
from daemon.http.api.examples import RECORD
from daemon.model import Record

TOMORROW: dict[str, Any] = {"form": stored.FORM + 1}


def document() -> dict[str, Any]:
    """A record as this version keeps it."""
    made: dict[str, Any] = json.loads(stored.encode(RECORD, carried={}))
    return made


def read(changed: dict[str, Any]) -> stored.Stored[Record]:
    return stored.decode(json.dumps(changed).encode(), Record)


def test_what_is_written_is_read_again_with_nothing_left_over() -> None:
    found = read(document())
    assert found == stored.Stored(value=RECORD)
    assert document()["form"] == stored.FORM


class Nothing(msgspec.Struct, omit_defaults=True):
    """What says nothing, if nobody does."""

    word: str = ""


@pytest.mark.parametrize("value", [RECORD, Nothing(), Nothing("a")])
def test_what_is_written_with_nothing_carried_is_what_is_written_with_something_but_for_that(value: msgspec.Struct) -> None:
    carrying = stored.encode(value, carried={"x": 1})
    assert stored.encode(value, carried={}) == carrying.replace(b',"x":1}', b"}")


def test_fields_of_a_newer_version_are_left_unread_named_and_carried_to_the_place_they_came_from() -> None:
    made = document() | TOMORROW | {"signature": [1, {"by": "x"}]}
    made["policy"]["budget"] = {"minutes": 5}
    made["policy"]["tolerances"]["latency"]["p50"] = 1.3
    made["release"]["canary"]["zone"] = "b"
    found = read(made)
    assert found.value == RECORD
    assert sorted(found.unread) == ["policy.budget", "policy.tolerances.latency.p50", "release.canary.zone", "signature"]
    again = json.loads(stored.encode(found.value, carried=found.carried))
    assert again | TOMORROW == made


def test_unknown_fields_in_a_list_are_left_unread_and_not_carried() -> None:
    made = document() | TOMORROW
    made["marks"][0]["node"] = "n1"
    found = read(made)
    assert found.value == RECORD
    assert (found.unread, found.carried) == (("marks[0].node",), {})


@pytest.mark.parametrize(
    ("at", "word"),
    [(("verdict", "action"), "pause"), (("verdict", "outcome"), "partly"), (("policy", "mode"), "advise"), (("marks",), {})],
)
def test_a_word_that_only_a_newer_version_knows_is_not_guessed(at: tuple[str, ...], word: object) -> None:
    made = document() | TOMORROW
    place = made
    for key in at[:-1]:
        place = place[key]
    place[at[-1]] = word
    with pytest.raises(stored.NewerForm, match=r"kept by a newer version of verdictd: .*\$\." + at[0]):
        read(made)


def test_the_same_word_in_a_form_of_ours_is_damage_and_no_newer_version() -> None:
    made = document()
    made["verdict"]["action"] = "pause"
    with pytest.raises(stored.Unreadable) as raised:
        read(made)
    assert not isinstance(raised.value, stored.NewerForm)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 5000, b'{"form": "3"}'])
def test_what_is_no_record_at_all_is_unreadable(data: bytes) -> None:
    with pytest.raises(stored.Unreadable):
        stored.decode(data, Record)


def test_what_was_carried_does_not_stand_over_what_is_known() -> None:
    carried = {"sample_digest": "other", "release": {"service": "other", "zone": "b"}, "bounds_ms": {"x": 1}}
    again = json.loads(stored.encode(RECORD, carried=carried))
    assert again["release"].pop("zone") == "b"
    assert again == document()
