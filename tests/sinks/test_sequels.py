"""What came after a verdict, as each channel tells it: in the place of the verdict where one message can be changed."""

import json
from datetime import UTC, datetime
from typing import Any, get_args

import msgspec
import pytest
from standardwebhooks import Webhook

from daemon.errors import InvalidInput
from daemon.model import Action, Outcome, Release
from daemon.ports.notices import Notice, Sequel, SequelKind
from daemon.sinks.alertmanager import ALERTMANAGER
from daemon.sinks.apprise import AppriseSettings
from daemon.sinks.channel import ChannelKind, Message, Telling
from daemon.sinks.channels import CHANNELS
from daemon.sinks.github import DEPLOYMENT, DeploymentSettings
from daemon.sinks.gitlab import STATUS
from daemon.sinks.webhook import CALLBACK, WEBHOOK, CallbackSettings, WebhookSettings
from daemon.sinks.wording import worded
from tests.hand.samples import RELEASE, verdict
from tests.sinks.test_channels import PUBLIC, SECRET, SETTINGS, SIGNING, notice, sent

KINDS: tuple[SequelKind, ...] = get_args(SequelKind)


def sequel(kind: SequelKind = "reverted_again", *, times: int = 1, detail: str = "route web: 10 %", **changes: Any) -> Sequel:
    release: Release = notice().release
    of = verdict(**{"decided_at": 1_000_000.0, **changes})
    return Sequel(release=release, of=of, kind=kind, at=1_000_050.0, detail=detail, times=times)


def told(kind: ChannelKind, one: Sequel, *, secret: str = SECRET, settings: Any = None) -> Message:
    assert kind.follows is not None
    telling = Telling(settings=settings or SETTINGS[kind.name], secret=secret, public_url=PUBLIC, now=1_000_100.0)
    return kind.follows(one, telling)


def body(message: Message) -> Any:
    return json.loads(message.body)


def test_which_channels_tell_it_is_those_that_change_one_message_or_take_events() -> None:
    assert [kind.name for kind in CHANNELS if kind.follows is not None] == [
        "webhook",
        "callback",
        "github-deployment",
        "gitlab-status",
        "alertmanager",
    ]


@pytest.mark.parametrize("kind", CHANNELS, ids=lambda kind: kind.name)
def test_it_is_the_same_request_whenever_it_is_made(kind: ChannelKind) -> None:
    if kind.follows is not None:
        assert told(kind, sequel()) == told(kind, sequel())


def test_a_webhook_gets_an_event_of_its_own_type_and_id_that_is_signed_as_the_verdict_is() -> None:
    message = told(WEBHOOK, sequel(times=2), secret=SIGNING)
    event = body(message)
    assert (event["type"], event["id"]) == ("io.verdictd.sequel.v1", "web-1.reverted_again.2")
    assert message.headers["webhook-id"] == event["id"]
    at = datetime.fromtimestamp(1_000_100.0, UTC)
    assert message.headers["webhook-signature"] == Webhook(SIGNING).sign(event["id"], at, message.body.decode())
    assert (event["releaseid"], event["kind"], event["outcome"]) == ("web-1", "reverted_again", "rollback")
    assert event["time"] == "1970-01-12T13:47:30.000Z"
    assert event["data"] == {
        "release_id": "web-1",
        "service": "web",
        "namespace": "shop",
        "cluster": "prod",
        "kind": "reverted_again",
        "at": 1_000_050.0,
        "detail": "route web: 10 %",
        "times": 2,
        "outcome": "rollback",
        "action": "revert",
    }


def test_a_callback_is_told_where_the_settings_say_so_and_only_at_hosts_that_are_allowed() -> None:
    assert not CallbackSettings(hosts=["ci.example"]).wants_sequel(sequel())
    assert CallbackSettings(hosts=["ci.example"], sequels=True).wants_sequel(sequel())
    assert told(CALLBACK, sequel()).url == "https://ci.example/x?y=1"
    with pytest.raises(InvalidInput, match=r"release\.callback"):
        told(CALLBACK, sequel(), settings=CallbackSettings(hosts=["other.example"]))


def test_webhooks_and_chats_can_be_spared_and_a_chat_is_told_only_what_changes_what_people_think() -> None:
    assert WebhookSettings(url="http://ci/").wants_sequel(sequel("traffic_left"))
    assert not WebhookSettings(url="http://ci/", sequels=False).wants_sequel(sequel())
    chat = AppriseSettings(urls_file="urls")
    assert [kind for kind in KINDS if chat.wants_sequel(sequel(kind))] == ["reverted_again", "reverted_late", "revert_given_up"]
    assert not chat.wants_sequel(sequel(times=2))
    assert not AppriseSettings(urls_file="urls", sequels=False).wants_sequel(sequel())


def test_a_deployment_and_a_commit_get_another_status_of_the_same_state_that_says_it() -> None:
    for kind, state in ((DEPLOYMENT, "failure"), (STATUS, "failed")):
        message, before = told(kind, sequel(detail="<b>@here")), sent(kind)
        assert (message.url, message.headers) == (before.url, before.headers)
        assert body(message)["state"] == body(before)["state"] == state
        assert body(message)["description"] == (
            "rollback: somebody gave the canary traffic again, and it was taken back again: ‹b›＠here"
        )
    with pytest.raises(InvalidInput, match="repositories"):
        told(DEPLOYMENT, sequel(), settings=DeploymentSettings(repositories=["other/*"]))


@pytest.mark.parametrize("kind", ["traffic_left", "reverted_again"])
def test_an_alert_stays_the_one_that_it_is_and_says_what_came_after(kind: SequelKind) -> None:
    [before], [after] = body(sent(ALERTMANAGER)), body(told(ALERTMANAGER, sequel(kind)))
    assert (after["labels"], after["startsAt"], after["endsAt"]) == (before["labels"], before["startsAt"], before["endsAt"])
    assert after["annotations"]["description"].endswith(worded(sequel(kind), public_url=PUBLIC).traffic)


def test_an_alert_that_the_canary_still_gets_traffic_ends_when_it_does_not_and_one_that_it_was_taken_back_comes_instead() -> None:
    failed: dict[str, Any] = {"action": Action.FAILED, "outcome": Outcome.ROLLBACK}
    [before] = body(sent(ALERTMANAGER, notice(**failed)))
    now, ended = body(told(ALERTMANAGER, sequel("reverted_late", **failed)))
    assert before["labels"] == ended["labels"]
    assert ended["endsAt"] == "1970-01-12T13:47:30.000Z"
    assert now["labels"] == before["labels"] | {"severity": "warning", "action": "revert"}
    assert now["endsAt"] == before["endsAt"]
    # Whatever comes then is said of the one that is left.
    [left] = body(told(ALERTMANAGER, sequel("traffic_left", **failed)))
    assert left["labels"] == now["labels"]
    [still] = body(told(ALERTMANAGER, sequel("revert_given_up", **failed)))
    assert still["labels"] == before["labels"]


@pytest.mark.parametrize("kind", KINDS)
def test_people_read_what_happened_where_the_traffic_is_and_what_to_run(kind: SequelKind) -> None:
    words = worded(sequel(kind, detail="<b>x", times=3), public_url=PUBLIC)
    gave_up = kind == "revert_given_up"
    assert words.reason.endswith(": ‹b›x")
    assert ("3 times by now" in words.reason) is (kind == "reverted_again")
    assert ("STILL GETS TRAFFIC" in words.traffic) is gave_up
    assert words.command == f"verdictd {'revert' if gave_up else 'explain'} web-1"
    assert words.link == f"{PUBLIC}/v1/releases/web-1"
    assert worded(sequel(kind, detail=""), public_url="").reason


def test_a_version_that_does_not_know_it_finds_no_verdict_in_it() -> None:
    """Or it would be told as a verdict once more."""
    with pytest.raises(msgspec.ValidationError, match="verdict"):
        msgspec.json.decode(msgspec.json.encode(sequel()), type=Notice)
    assert sequel().release_id == RELEASE.service + "-1"
