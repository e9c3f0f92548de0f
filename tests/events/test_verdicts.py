"""Verdicts as events: what consumers rely on, and back again."""

import json

import msgspec
import pytest

from daemon.errors import InvalidEvent
from daemon.events.cdevents import rolledback
from daemon.events.cloudevents import CloudEvent, read, to_structured
from daemon.events.verdicts import VERDICT_TYPE, read_verdict, verdict_event
from daemon.model import Action
from tests.events.binary import to_binary
from tests.hand.samples import verdict

VERDICT = verdict(
    "web-0b31", cluster="prod-eu", reason="5 % of the canary's requests failed", decided_at=1_787_408_825.315, policy_hash="0b31"
)


def test_a_verdict_s_event_says_what_consumers_filter_by() -> None:
    _, body = to_structured(verdict_event(VERDICT))
    event = json.loads(body)
    data = event.pop("data")
    assert event == {
        "specversion": "1.0",
        "id": "web-0b31.verdict",
        "source": "/clusters/prod-eu/verdictd",
        "type": VERDICT_TYPE,
        "subject": "shop/web",
        "time": "2026-08-22T14:27:05.315Z",
        "datacontenttype": "application/json",
        "releaseid": "web-0b31",
        "outcome": "rollback",
        "meaning": "rollback",
    }
    assert (data["outcome"], data["action"], data["reason"]) == ("rollback", "revert", VERDICT.reason)


@pytest.mark.parametrize("encode", [to_structured, to_binary])
def test_a_verdict_comes_back_as_it_went(encode: type) -> None:
    event = read(*encode(verdict_event(VERDICT)))
    assert event is not None
    assert read_verdict(event) == VERDICT


def test_other_events_are_no_verdicts() -> None:
    with pytest.raises(InvalidEvent, match="is no verdict"):
        read_verdict(CloudEvent(id="1", source="/s", type="t"))
    with pytest.raises(InvalidEvent, match=r"\$\.data"):
        read_verdict(CloudEvent(id="1", source="/s", type=VERDICT_TYPE, data=b"{}"))


def test_traffic_taken_back_is_told_as_cdevents_wants_it() -> None:
    event = rolledback(VERDICT)
    assert event is not None
    document = json.loads(event.data)
    context, subject = document["context"], document["subject"]
    assert (context["id"], context["source"], context["type"]) == (event.id, event.source, event.type)
    assert (context["timestamp"], subject["id"]) == (event.time, event.subject)
    assert set(context) == {"specversion", "id", "source", "type", "timestamp"}
    assert subject["content"] == {"environment": {"id": "prod-eu"}, "artifactId": "pkg:generic/shop/web"}
    assert document["customData"]["verdictd"]["verdict"] == "rollback"


@pytest.mark.parametrize("action", [action for action in Action if action is not Action.REVERT])
def test_where_no_traffic_was_taken_back_nothing_is_told(action: Action) -> None:
    assert rolledback(msgspec.structs.replace(VERDICT, action=action)) is None
