"""What each channel is sent, against the contracts of whoever takes it; and that no stranger's word gets to mean anything there."""

import json
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from standardwebhooks import Webhook

from daemon.errors import InvalidInput
from daemon.model import Action, GitHubDeployment, GitHubRule, GitLabCommit, Outcome, Release
from daemon.ports.notices import Notice, PersonWanted
from daemon.sinks.alertmanager import ALERTMANAGER, AlertmanagerSettings
from daemon.sinks.channel import ChannelKind, Message, Telling
from daemon.sinks.channels import CHANNELS
from daemon.sinks.flux import FLUX, FluxSettings
from daemon.sinks.github import DEPLOYMENT, DISPATCH, DeploymentSettings, DispatchSettings
from daemon.sinks.githubrule import ProtectionRuleSettings
from daemon.sinks.gitlab import PIPELINE, STATUS, PipelineSettings, StatusSettings
from daemon.sinks.pipelines import told
from daemon.sinks.webhook import CALLBACK, WEBHOOK, CallbackSettings, WebhookSettings
from daemon.sinks.wording import neutral, worded
from tests.hand.samples import RELEASE, verdict

PUBLIC = "https://verdictd.example"
GITHUB = GitHubDeployment(repository="Acme/shop", deployment=42)
RULE = GitHubRule(repository="Acme/shop", run=77, environment="production")
GITLAB = GitLabCommit(project="acme/shop", commit="a" * 40)
SECRET = "s3cret"
SIGNING = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SETTINGS: Mapping[str, Any] = {
    "webhook": WebhookSettings(url="http://ci/hook"),
    "callback": CallbackSettings(hosts=["ci.example"]),
    "github-deployment": DeploymentSettings(repositories=["acme/*"]),
    "github-dispatch": DispatchSettings(repository="acme/gitops"),
    "github-protection-rule": ProtectionRuleSettings(repositories=["acme/*"]),
    "gitlab-status": StatusSettings(projects=["acme/*"]),
    "gitlab-pipeline": PipelineSettings(project="acme/gitops"),
    "alertmanager": AlertmanagerSettings(url="http://alertmanager:9093"),
    "flux": FluxSettings(url="http://webhook-receiver.flux-system/hook/abc"),
}


def notice(release: Release | None = None, **changes: Any) -> Notice:
    told = msgspec.structs.replace(RELEASE, callback="https://ci.example/x?y=1", github=GITHUB, gitlab=GITLAB, github_rule=RULE)
    return Notice(release=release or told, verdict=verdict(**{"decided_at": 1_000_000.0, **changes}))


def sent(kind: ChannelKind, one: Notice | None = None, *, secret: str = SECRET, settings: Any = None) -> Message:
    settings = settings or SETTINGS[kind.name]
    return kind.message(one or notice(), Telling(settings=settings, secret=secret, public_url=PUBLIC, now=1_000_100.0))


def body(message: Message) -> Any:
    return json.loads(message.body)


def test_every_row_has_settings_here() -> None:
    assert SETTINGS.keys() == {kind.name for kind in CHANNELS}
    for kind in CHANNELS:
        assert kind.settings.__struct_config__.tag == kind.name


@pytest.mark.parametrize("kind", CHANNELS, ids=lambda kind: kind.name)
def test_a_notice_is_the_same_request_whenever_it_is_made(kind: ChannelKind) -> None:
    assert sent(kind) == sent(kind)


def test_a_webhook_is_the_cloudevent_that_nats_has_and_a_foreign_reader_takes_its_signature() -> None:
    message = sent(WEBHOOK, secret=SIGNING)
    assert message.headers["webhook-id"] == "web-1.verdict" == body(message)["id"]
    assert body(message)["type"] == "io.verdictd.verdict.v1"
    at = datetime.fromtimestamp(1_000_100.0, UTC)
    assert message.headers["webhook-timestamp"] == "1000100"
    assert message.headers["webhook-signature"] == Webhook(SIGNING).sign("web-1.verdict", at, message.body.decode())
    unpadded = "whsec_" + "A" * 43
    assert sent(WEBHOOK, secret=unpadded).headers == sent(WEBHOOK, secret=f"{unpadded}=").headers
    for wrong in ("whsec_%", "whsec_"):
        with pytest.raises(InvalidInput, match="write whsec_ and the Base64 of 24 to 64 bytes"):
            sent(WEBHOOK, secret=wrong)


def test_a_secret_that_signs_nothing_is_the_authorization_as_it_stands() -> None:
    message = sent(WEBHOOK, secret="verbatim")
    assert message.headers["Authorization"] == "verbatim"
    assert "webhook-signature" not in message.headers
    assert "Authorization" not in sent(WEBHOOK, secret="").headers


@pytest.mark.parametrize(
    ("hosts", "callback", "allowed"),
    [
        (["ci.example"], "https://ci.example/x?y=1", True),
        (["CI.example"], "https://ci.EXAMPLE.:8443/x", True),
        (["*.example"], "https://ci.example/", True),
        (["*.ci.example"], "https://ci.example/", False),
        (["*.example"], "https://example/", False),
        (["ci.example"], "https://ci.example.evil/", False),
        (["ci.example"], "https://evil/#ci.example", False),
        (["ci.example"], "https://ci.example@evil/", False),
        (["ci.example"], "ftp://ci.example/", False),
        (["ci.example"], "https://ci.example\\@evil/", False),
        (["10.0.0.1"], "http://10.0.0.1/", True),
        (["fd00::1"], "http://[fd00::1]/", True),
    ],
)
def test_a_callback_goes_to_hosts_that_are_allowed_and_to_no_other(hosts: list[str], callback: str, *, allowed: bool) -> None:
    one = notice(msgspec.structs.replace(RELEASE, callback=callback))
    assert CALLBACK.concerns(None, one)
    if allowed:
        assert sent(CALLBACK, one, settings=CallbackSettings(hosts=hosts)).url
    else:
        with pytest.raises(InvalidInput, match=r"release\.callback"):
            sent(CALLBACK, one, settings=CallbackSettings(hosts=hosts))


def test_channels_that_tell_something_of_a_release_leave_out_releases_that_have_it_not() -> None:
    bare = notice(RELEASE)
    assert [kind.name for kind in CHANNELS if not kind.concerns(SETTINGS[kind.name], bare)] == [
        "callback",
        "github-deployment",
        "github-protection-rule",
        "gitlab-status",
        "flux",
    ][: 4 if bare.verdict.action is Action.REVERT else 5]


@pytest.mark.parametrize(
    ("meaning", "github", "gitlab"),
    [("promote", "success", "success"), ("rollback", "failure", "failed"), ("hold", "error", "canceled")],
)
def test_what_a_verdict_means_is_said_in_github_s_and_gitlab_s_words(meaning: str, github: str, gitlab: str) -> None:
    one = notice(meaning=meaning)
    status = sent(DEPLOYMENT, one)
    assert status.url == "https://api.github.com/repos/Acme/shop/deployments/42/statuses"
    assert status.headers["Authorization"] == "Bearer s3cret"
    assert body(status)["state"] == github
    assert body(status)["log_url"] == f"{PUBLIC}/v1/releases/web-1"
    commit = sent(STATUS, one)
    assert commit.url == f"https://gitlab.com/api/v4/projects/acme%2Fshop/statuses/{'a' * 40}"
    assert commit.headers["PRIVATE-TOKEN"] == "s3cret"
    assert body(commit) | {"description": ""} == {
        "state": gitlab,
        "name": "verdictd",
        "description": "",
        "target_url": f"{PUBLIC}/v1/releases/web-1",
    }


def test_only_repositories_and_projects_that_are_allowed_are_told_whatever_a_release_names() -> None:
    with pytest.raises(InvalidInput, match="repositories"):
        sent(DEPLOYMENT, settings=DeploymentSettings(repositories=["other/*"]))
    with pytest.raises(InvalidInput, match="projects"):
        sent(STATUS, settings=StatusSettings(projects=["other/*"]))


def test_a_commit_that_has_its_status_already_was_told_before() -> None:
    assert STATUS.told_before("gitlab.com:443 answered 400: Cannot transition status via :run from :running")
    assert not STATUS.told_before("gitlab.com:443 answered 400: name is missing")


@pytest.mark.parametrize("text", ["x" * 500, "ä" * 500])
def test_descriptions_are_as_long_as_github_and_gitlab_take(text: str) -> None:
    assert len(body(sent(DEPLOYMENT, notice(reason=text)))["description"]) == 140
    assert len(body(sent(STATUS, notice(reason=text)))["description"]) == 255


def test_a_workflow_and_a_pipeline_get_names_and_words() -> None:
    message = sent(DISPATCH)
    assert message.url == "https://api.github.com/repos/acme/gitops/dispatches"
    payload = body(message)["client_payload"]
    assert body(message)["event_type"] == "verdictd"
    assert len(payload) <= 10
    assert (payload["id"], payload["service"], payload["namespace"]) == ("web-1", "web", "shop")
    trigger = sent(PIPELINE)
    assert trigger.url == "https://gitlab.com/api/v4/projects/acme%2Fgitops/trigger/pipeline"
    assert body(trigger)["token"] == "s3cret"
    assert body(trigger)["ref"] == "main"
    assert body(trigger)["variables"] == {f"VERDICTD_{key.upper()}": value for key, value in payload.items()}


def test_a_pipeline_gets_the_revision_unless_that_is_more_than_github_takes() -> None:
    release = msgspec.structs.replace(RELEASE, revision="4f2a")
    assert body(sent(DISPATCH, notice(release)))["client_payload"]["revision"] == "4f2a"
    on = body(sent(DISPATCH, notice(release, after="web-0")))["client_payload"]
    assert (on["after"], len(on), "revision" in on) == ("web-0", 10, False)
    assert body(sent(PIPELINE, notice(release, after="web-0")))["variables"]["VERDICTD_REVISION"] == "4f2a"


@pytest.mark.parametrize(
    ("said", "origin"),
    [
        ({}, ""),
        ({"revision": "main@sha1:4f2a"}, "Revision main＠sha1:4f2a."),
        ({"initiated_by": "ana\x1b[2J\n@all"}, "Initiated by ana ⟦2J ＠all."),
        ({"revision": "4f2a", "initiated_by": "ana"}, "Revision 4f2a, initiated by ana."),
        ({"revision": "x" * 1024}, f"Revision {'x' * 197}...."),
    ],
)
def test_people_read_which_revision_it_is_and_who_initiated_it_and_strangers_write_no_markup(
    said: dict[str, str], origin: str
) -> None:
    one = notice(msgspec.structs.replace(RELEASE, **said))
    words = worded(one, public_url="")
    assert (words.origin, origin in words.text) == (origin, True)
    alert = body(sent(ALERTMANAGER, one))[0]
    assert alert["annotations"].get("origin", "") == origin
    assert not {*alert["labels"]} & {"revision", "initiated_by", "origin"}


@given(st.text(max_size=60))
def test_no_artifact_means_anything_to_a_shell_an_expression_or_a_variable(artifact: str) -> None:
    value = told(notice(msgspec.structs.replace(RELEASE, artifact=artifact)), public_url="")["artifact"]
    assert value in {"", artifact}
    assert shlex.split(f"run {value}") == ["run", *([value] if value else [])]
    assert not set(value) & set("$`\\'\"(){}<>|&;*?[]!#~ \n\t")


@pytest.mark.parametrize(
    ("action", "outcome", "severity"),
    [
        ("failed", "rollback", "critical"),
        ("blocked", "rollback", "critical"),
        ("revert", "rollback", "warning"),
        ("none", "inconclusive", "info"),
        ("none", "promote", "info"),
    ],
)
def test_an_alert_is_as_bad_as_where_the_traffic_is(action: str, outcome: str, severity: str) -> None:
    [alert] = body(sent(ALERTMANAGER, notice(action=Action(action), outcome=Outcome(outcome))))
    assert alert["labels"]["severity"] == severity
    assert alert["labels"]["release"] == "web-1"
    assert alert["endsAt"] == "1970-01-12T14:48:20.000Z"


def test_flux_gets_a_cdevent_of_the_version_that_it_reads() -> None:
    message = sent(FLUX, notice(action=Action.REVERT))
    event = body(message)
    assert event["context"]["version"] == "0.4.1"
    assert "specversion" not in event["context"]
    assert event["subject"]["type"] == "service"
    assert message.headers["Ce-Type"] == event["context"]["type"] == "dev.cdevents.service.rolledback.0.2.0"
    assert FLUX.concerns(None, notice(action=Action.REVERT))
    assert not FLUX.concerns(None, notice(action=Action.NONE))


def wanted(reason: str = "found good after 300 s; errors 0 %") -> PersonWanted:
    return PersonWanted(release=notice().release, release_id="web-1", cluster="prod", until=1_000_000.0, reason=reason)


def test_that_a_person_is_waited_for_is_told_where_the_verdict_takes_its_place_and_nowhere_else() -> None:
    telling = {name: Telling(settings=settings, secret=SECRET, public_url=PUBLIC) for name, settings in SETTINGS.items()}
    asked = {kind.name: body(kind.asks.message(wanted(), telling[kind.name])) for kind in CHANNELS if kind.asks is not None}
    said = "waits for a person until 1970-01-12 13:46 UTC: found good after 300 s; errors 0 %"
    assert asked == {
        "github-deployment": {
            "state": "pending",
            "description": said,
            "auto_inactive": False,
            "log_url": f"{PUBLIC}/v1/releases/web-1",
        },
        "github-protection-rule": {"environment_name": "production", "comment": f"{said} ({PUBLIC}/v1/releases/web-1)"},
        "gitlab-status": {"state": "pending", "name": "verdictd", "description": said, "target_url": f"{PUBLIC}/v1/releases/web-1"},
    }
    for kind in CHANNELS:
        if kind.asks is not None:
            message = kind.asks.message(wanted(), telling[kind.name])
            assert (message.url, message.headers) == (sent(kind).url, sent(kind).headers), (
                "the same place, which the verdict updates"
            )
            assert (kind.asks.place(notice().release), kind.asks.place(RELEASE)) == (True, False)
    assert DEPLOYMENT.asks is not None
    with pytest.raises(InvalidInput, match="repositories"):
        DEPLOYMENT.asks.message(wanted(), Telling(settings=DeploymentSettings(repositories=["other/*"])))


def test_people_read_what_was_found_until_when_it_waits_and_what_to_run() -> None:
    words = worded(wanted("<b>good</b>"), public_url=PUBLIC)
    assert words.title == "verdictd: waits for a person: web in shop (prod)"
    assert words.text.splitlines() == [
        "waits for a person until 1970-01-12 13:46 UTC: ‹b›good‹/b›",
        "The canary is watched on, and is taken back if it turns bad.",
        f"{PUBLIC}/v1/releases/web-1",
        "Run: verdictd promote web-1 --reason TEXT",
    ]


def test_filters_let_through_that_a_person_is_waited_for_as_a_promotion_of_which_nothing_is_done() -> None:
    def passes(**filters: Any) -> bool:
        return WebhookSettings(url="http://ci/", **filters).wants_person(notice().release)

    assert passes()
    assert passes(namespaces=["sh*"], outcomes=["promote"], actions=["none"])
    assert not passes(namespaces=["other"])
    assert not passes(outcomes=["rollback"])
    assert not passes(actions=["revert"])


NASTY = st.text(
    alphabet=st.one_of(st.sampled_from("<>&@*_~`[]()|#\\${}!:/'\"= \n\r\t\u202e\u200b-+.1"), st.characters()), max_size=120
)


@given(NASTY)
def test_no_reason_is_markup_a_mention_a_link_or_hidden_anywhere(reason: str) -> None:
    shown = neutral(f"b {reason}")
    assert shown.isprintable()
    assert not set(shown) & set("<>&@*_~`[]|#\\${}!")
    assert "://" not in shown
    rendered = MarkdownIt("commonmark").render(shown)
    assert rendered.startswith("<p>")
    assert rendered.count("<") == 2
    assert neutral(shown) == shown


@given(NASTY)
def test_what_is_told_to_people_has_a_line_for_each_thing_whatever_a_reason_holds(reason: str) -> None:
    words = worded(notice(reason=reason, action=Action.FAILED), public_url=PUBLIC)
    lines = words.text.splitlines()
    assert lines[-3:] == [
        "THE CANARY STILL GETS TRAFFIC: taking it back failed.",
        f"{PUBLIC}/v1/releases/web-1",
        f"Run: {words.command}",
    ]
    assert len(lines) <= 4


@pytest.mark.parametrize("action", list(Action))
def test_where_the_traffic_is_and_what_to_run_is_said_of_every_action(action: Action) -> None:
    words = worded(notice(action=action, outcome=Outcome.ROLLBACK), public_url="")
    assert words.traffic
    assert words.link == ""
    still = action in {Action.BLOCKED, Action.FAILED, Action.NONE}
    assert words.command == f"verdictd {'revert' if still else 'explain'} web-1"


def test_filters_let_through_what_they_name() -> None:
    one = notice(action=Action.REVERT, outcome=Outcome.ROLLBACK)

    def passes(**filters: Any) -> bool:
        return WebhookSettings(url="http://ci/", **filters).wants(one.release, one.verdict)

    assert passes()
    assert passes(namespaces=["sh*"], outcomes=["rollback"], actions=["revert", "failed"])
    assert not passes(namespaces=["other"])
    assert not passes(outcomes=["promote"])
    assert not passes(actions=["none"])


def test_a_watch_after_a_promotion_is_told_as_one_and_changes_a_status_only_where_it_says_something() -> None:
    bad = notice(after="web-0")
    nothing = notice(after="web-0", outcome=Outcome.INCONCLUSIVE, meaning="hold", action=Action.NONE)
    for kind in (DEPLOYMENT, STATUS):
        settings = SETTINGS[kind.name]
        assert kind.concerns(settings, bad)
        assert not kind.concerns(settings, nothing)
        assert kind.concerns(settings, notice(outcome=Outcome.INCONCLUSIVE))
    assert worded(bad, public_url=PUBLIC).title.startswith("verdictd: rollback after its promotion: ")
    assert told(bad, public_url=PUBLIC)["after"] == "web-0"
    assert "after" not in told(notice(), public_url=PUBLIC)
