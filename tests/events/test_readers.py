"""Event forms are rows: a new one is a module and a row, and changes nothing of the others."""

import json
from collections.abc import Mapping

import pytest

from daemon.errors import InvalidEvent
from daemon.events import announcing
from daemon.events.announced import Announced
from daemon.events.announcing import read_release
from daemon.events.hearing import Hearing
from daemon.model import ArmSpec, Release
from tests.events import made_up_form
from tests.events.test_announcing import CUSTOM, EXPECTED, RELEASE, cdevent, cloudevent

LINE = Release(service="web", baseline=ArmSpec(version="v1"), canary=ArmSpec(version="v2"))


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcing, "READERS", (made_up_form.read, *announcing.READERS))
    monkeypatch.setattr(announcing, "EVENT_DATA", (*announcing.EVENT_DATA, made_up_form.EVENT_DATA))


@pytest.mark.usefixtures("rows")
def test_a_made_up_form_is_read_as_a_message_and_as_a_cloudevent_s_data() -> None:
    assert read_release({"x-made-up": "7"}, b"web v1 -> v2") == Announced(release=LINE, origin="made up\n7")
    event = cloudevent("web v1 -> v2", event_type="example.line.v1")
    assert read_release({}, json.dumps(event).encode()).release == LINE


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("document", [RELEASE, cloudevent(RELEASE), cdevent(), cdevent(custom=CUSTOM)])
def test_the_other_forms_are_read_as_before(document: dict[str, object]) -> None:
    assert read_release({}, json.dumps(document).encode()).release == EXPECTED


@pytest.mark.usefixtures("rows")
def test_its_faults_have_path_and_fix() -> None:
    with pytest.raises(InvalidEvent, match=r"\$: is no line; send: SERVICE OLD -> NEW"):
        read_release({"x-made-up": "7"}, b"web")
    with pytest.raises(InvalidEvent, match=r"\$\.data: is no line; send: SERVICE OLD -> NEW"):
        read_release({}, json.dumps(cloudevent("web", event_type="example.line.v1")).encode())


@pytest.mark.usefixtures("rows")
def test_who_sends_an_unknown_type_is_told_of_it_too() -> None:
    with pytest.raises(InvalidEvent, match=r"service\.upgraded or example\.line\.v1"):
        read_release({}, json.dumps(cloudevent({}, event_type="example.other")).encode())


def test_each_reader_is_asked_once_and_none_after_the_one_that_knows_the_form(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def never(_headers: Mapping[str, str], _body: bytes, _hearing: Hearing) -> None:
        asked.append("never")

    def always(_headers: Mapping[str, str], _body: bytes, _hearing: Hearing) -> Announced:
        asked.append("always")
        return Announced(release=LINE, origin=None)

    monkeypatch.setattr(announcing, "READERS", (never, always, never))
    assert read_release({}, b"") == Announced(release=LINE, origin=None)
    assert asked == ["never", "always"]
