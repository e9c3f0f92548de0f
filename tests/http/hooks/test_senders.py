"""What each sender's payload becomes: the release that it carries, and a name by which it is known when it comes again."""

import json
from collections.abc import Callable, Mapping
from typing import Any, get_args

import msgspec
import pytest
from msgspec.structs import fields

from config.hooksenders import HOOK_SENDERS, HookSender
from config.settings import Hook
from daemon.errors import InvalidEvent, NoRelease
from daemon.events.announcing import read_release
from daemon.http.hooks import flux, github, gitlab, template
from daemon.http.hooks.senders import SENDERS
from daemon.http.hooks.understanding import Received, Understood
from daemon.model import ArmSpec, GitHubDeployment, GitHubRule, GitLabCommit, Outline, Release

OURS: dict[str, Any] = {"service": "web", "namespace": "shop", "baseline": {"subset": "v1"}, "canary": {"subset": "v2"}}

Read = Callable[[Received], Understood]


def released(artifact: str | None) -> Release:
    return Release(service="web", namespace="shop", baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"), artifact=artifact)


def but_where_to_tell(release: Release | Outline) -> Release | Outline:
    return msgspec.structs.replace(release, github=None, github_rule=None, gitlab=None, revision=None, initiated_by=None)


@pytest.mark.parametrize("name", ["octo/web", "octo_corp/web.js"])
def test_a_deployment_of_github_says_where_its_status_is_told(name: str) -> None:
    document = {**deployment(), "repository": {"full_name": name, "html_url": "https://github.com/octo/web"}}
    assert github.read(received(document, GITHUB)).release.github == GitHubDeployment(repository=name, deployment=7)
    document["repository"] = {"full_name": "no name", "html_url": "https://github.com/octo/web"}
    assert github.read(received(document, GITHUB)).release.github is None


def waiting_job(**changes: Any) -> dict[str, Any]:
    """As https://docs.github.com/en/webhooks/webhook-events-and-payloads#deployment_protection_rule has it."""
    return {
        "action": "requested",
        "environment": "production",
        "event": "push",
        "deployment_callback_url": "https://api.github.com/repos/octo/web/actions/runs/77/deployment_protection_rule",
        **deployment(),
        "pull_requests": [],
        "installation": {"id": 1},
        **changes,
    }


def test_a_job_that_waits_for_a_protection_rule_says_which_run_it_is_and_is_no_other_event_of_its_deployment() -> None:
    understood = github.read(received(waiting_job(), GITHUB_RULE))
    assert understood.release.github_rule == GitHubRule(repository="octo/web", run=77, environment="production")
    assert understood.release.github is None
    assert understood.release_id != github.read(received(deployment(), GITHUB)).release_id
    assert understood.release_id == github.read(received(waiting_job(event="release"), GITHUB_RULE)).release_id
    on_premises = "https://hub.example/api/v3/repos/Octo/web/actions/runs/8/deployment_protection_rule"
    rule = github.read(received(waiting_job(deployment_callback_url=on_premises), GITHUB_RULE)).release.github_rule
    assert rule is not None
    assert (rule.repository, rule.run) == ("octo/web", 8)


@pytest.mark.parametrize(
    "address",
    [
        None,
        "",
        "http://169.254.169.254/latest/meta-data",
        "https://api.github.com/repos/other/web/actions/runs/77/deployment_protection_rule",
        "https://api.github.com/repos/octo/web/actions/runs/77/deployment_protection_rule?x=1",
        "https://api.github.com/repos/octo/web/actions/runs/../deployment_protection_rule",
        "https://evil/#/repos/octo/web/actions/runs/77/deployment_protection_rule",
    ],
)
def test_an_answer_that_would_go_anywhere_but_to_a_run_of_the_repository_is_refused(address: str | None) -> None:
    with pytest.raises(InvalidEvent, match=r"deployment_callback_url: is no address of a run of octo/web"):
        github.read(received(waiting_job(deployment_callback_url=address), GITHUB_RULE))


def test_a_protection_rule_without_an_environment_is_refused_with_its_path() -> None:
    with pytest.raises(InvalidEvent, match=r"\$\.environment"):
        github.read(received(waiting_job(environment=None), GITHUB_RULE))


def test_a_deployment_of_gitlab_says_where_its_commit_s_status_is_told() -> None:
    commit_url = f"https://gitlab.example.com/shop/web/-/commit/{'a' * 40}"
    project = {"web_url": "https://gitlab.example.com/shop/web", "path_with_namespace": "shop/web"}
    told = gitlab.read(received({**FILLED, "commit_url": commit_url, "project": project}, GITLAB)).release.gitlab
    assert told == GitLabCommit(project="shop/web", commit="a" * 40)
    assert gitlab.read(received({**FILLED, "project": project}, GITLAB)).release.gitlab is None


def received(document: Any, headers: Mapping[str, str] | None = None) -> Received:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Received(hook="ci", headers=headers or {}, body=body)


def deployment(*, payload: Any = None, number: int = 7, maker: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {
        "action": "created",
        "deployment": {
            "url": "https://api.github.com/repos/octo/web/deployments/7",
            "id": number,
            "sha": "f95f852bd8fca8fcc58a9a2d6c842781e32a215e",
            "ref": "main",
            "task": "deploy",
            "payload": {"verdictd": OURS} if payload is None else payload,
            "environment": "production",
            "production_environment": True,
            **({"creator": {"login": "octocat"}} if maker is None else maker),
        },
        "repository": {"full_name": "octo/web", "html_url": "https://github.com/octo/web"},
        "sender": {"login": "octocat"},
    }


def status(state: str, **changes: Any) -> dict[str, Any]:
    return {**deployment(**changes), "deployment_status": {"id": 1, "state": state, "environment": "production"}}


GITHUB = {"x-github-event": "deployment", "x-github-delivery": "72d3162e"}
GITHUB_STATUS = {**GITHUB, "x-github-event": "deployment_status"}
GITHUB_RULE = {**GITHUB, "x-github-event": "deployment_protection_rule"}
GITLAB = {"x-gitlab-event": "Deployment Hook", "webhook-id": "f0f5", "x-gitlab-instance": "https://gitlab.example.com"}
FILLED = {"object_kind": "deployment", "status": "running", "short_sha": "279484c0", "verdictd": OURS}
NAMED = {"deployment_id": 15, "project": {"web_url": "https://gitlab.example.com/shop/web"}}


def applied(*, reason: str = "ReconciliationSucceeded", **metadata: str) -> dict[str, Any]:
    return {
        "involvedObject": {"kind": "Kustomization", "namespace": "flux-system", "name": "web", "uid": "9ab0", "apiVersion": "x/v1"},
        "severity": "info",
        "timestamp": "2026-11-26T09:00:00Z",
        "message": "Applied revision: main@sha1:279484c0",
        "reason": reason,
        "reportingController": "kustomize-controller",
        "metadata": {"revision": "main@sha1:279484c0", "verdictd": json.dumps(OURS), **metadata},
    }


STRAIGHT = {
    **applied(),
    "metadata": {
        "kustomize.toolkit.fluxcd.io/revision": "main@sha1:279484c0",
        "event.toolkit.fluxcd.io/verdictd": json.dumps(OURS),
    },
}
SHA = "f95f852bd8fca8fcc58a9a2d6c842781e32a215e"


RUN = {"workflow_run": {"id": 9, "actor": {"login": "ana"}, "triggering_actor": {"login": "ben"}}}
ROBOT = {"creator": {"login": "github-actions[bot]"}}


@pytest.mark.parametrize(
    ("read", "document", "headers", "revision", "initiated_by"),
    [
        (github.read, deployment(), GITHUB, SHA, "octocat"),
        (github.read, {**deployment(maker=ROBOT), **RUN}, GITHUB, SHA, "ben"),
        (github.read, {**deployment(maker=ROBOT), "workflow_run": {"actor": {"login": "ana"}}}, GITHUB, SHA, "ana"),
        (github.read, {**deployment(maker=ROBOT), "workflow_run": None}, GITHUB, SHA, "github-actions[bot]"),
        (github.read, deployment(maker={"creator": None}), GITHUB, SHA, None),
        (github.read, deployment(payload={"verdictd": {**OURS, "initiated_by": "zoe"}}), GITHUB, SHA, "zoe"),
        (github.read, waiting_job(), GITHUB_RULE, SHA, "octocat"),
        (gitlab.read, {**FILLED, "user": {"name": "Ana B.", "username": "ana"}}, GITLAB, "279484c0", "ana"),
        (gitlab.read, {**FILLED, "user": {"username": ""}}, GITLAB, "279484c0", None),
        (gitlab.read, {**FILLED, "user": "Ana B.", "revision": 7}, GITLAB, "279484c0", None),
        (gitlab.read, {**FILLED, "user": {"username": 7}}, GITLAB, "279484c0", None),
        (flux.read, applied(), {}, "main@sha1:279484c0", None),
        (flux.read, applied(initiated_by="ana"), {}, "main@sha1:279484c0", "ana"),
        (flux.read, applied(revision="latest@sha256:5c", originRevision="main@sha1:4f2a"), {}, "main@sha1:4f2a", None),
        (template.read, {"attempt": "a", "verdictd": OURS, "revision": "4f2a", "initiated_by": "ana"}, {}, "4f2a", "ana"),
        (template.read, {"attempt": "a", "verdictd": OURS, "revision": "", "initiated_by": None}, {}, None, None),
        (template.read, {"attempt": "a", "verdictd": {**OURS, "revision": "", "initiated_by": ""}}, {}, None, None),
        (template.read, {"attempt": "a", "verdictd": {**OURS, "revision": "4f2a"}, "revision": "other"}, {}, "4f2a", None),
    ],
)
def test_a_payload_says_which_revision_it_is_of_and_who_initiated_it_where_that_is_known(
    read: Read, document: Any, headers: dict[str, str], revision: str | None, initiated_by: str | None
) -> None:
    release = read(received(document, headers)).release
    assert (release.revision, release.initiated_by) == (revision, initiated_by)


def test_a_name_that_is_longer_than_any_is_refused_with_its_path() -> None:
    document = {"attempt": "a", "verdictd": {**OURS, "initiated_by": "x" * 1025}}
    with pytest.raises(InvalidEvent, match=r"\$\.verdictd\.initiated_by"):
        template.read(received(document))


def test_every_sender_that_can_be_named_has_its_room_and_stands_in_one_list() -> None:
    assert tuple(SENDERS) == HOOK_SENDERS
    [of_sender] = [field.type for field in fields(Hook) if field.name == "sender"]
    assert get_args(of_sender)[0] is HookSender


@pytest.mark.parametrize(
    ("read", "document", "headers", "artifact"),
    [
        (github.read, deployment(), GITHUB, SHA),
        (github.read, deployment(payload=json.dumps({"verdictd": OURS})), GITHUB, SHA),
        (github.read, deployment(payload={"verdictd": {**OURS, "artifact": "ours"}}), GITHUB, "ours"),
        (github.read, status("in_progress"), GITHUB_STATUS, SHA),
        (github.read, status("success"), GITHUB_STATUS, SHA),
        (github.read, waiting_job(), GITHUB_RULE, SHA),
        (gitlab.read, FILLED, GITLAB, "279484c0"),
        (gitlab.read, {**FILLED, **NAMED, "status": "success"}, GITLAB, "279484c0"),
        (gitlab.read, {"verdictd": json.dumps(OURS)}, GITLAB, None),
        (flux.read, applied(), {}, "main@sha1:279484c0"),
        (flux.read, applied(reason="UpgradeSucceeded"), {}, "main@sha1:279484c0"),
        (flux.read, STRAIGHT, {}, "main@sha1:279484c0"),
        (template.read, {"attempt": "uid/1", "verdictd": OURS}, {}, None),
        (template.read, {"attempt": "uid/1", "verdictd": json.dumps(OURS), "artifact": "web:2", "else": [1]}, {}, "web:2"),
    ],
)
def test_what_a_payload_carries_is_the_release_that_our_readers_find_on_the_stream(
    read: Read, document: Any, headers: dict[str, str], artifact: str | None
) -> None:
    understood = read(received(document, headers))
    assert but_where_to_tell(understood.release) == released(artifact)
    kept = read_release(understood.headers, understood.body)
    assert (kept.release, kept.origin) == (understood.release, understood.origin)


@pytest.mark.parametrize(
    ("read", "one", "same", "other"),
    [
        (github.read, deployment(), status("success"), deployment(number=8)),
        (gitlab.read, {**FILLED, **NAMED}, {**FILLED, **NAMED, "status": "success"}, {**FILLED, **NAMED, "deployment_id": 16}),
        (flux.read, applied(), STRAIGHT, applied(revision="main@sha1:00000000")),
        (
            template.read,
            {"attempt": "a", "verdictd": OURS},
            {"attempt": "a", "verdictd": OURS, "artifact": "web:2"},
            {"attempt": "b", "verdictd": OURS},
        ),
    ],
)
def test_one_attempt_is_one_release_however_often_it_is_told(read: Read, one: Any, same: Any, other: Any) -> None:
    def named(document: Any) -> tuple[str, str]:
        headers = {**GITLAB, **(GITHUB_STATUS if "deployment_status" in document else GITHUB)}
        understood = read(received(document, headers))
        return understood.release_id, understood.incoming.key

    assert named(one) == named(same) != named(other)


def test_attempts_of_different_services_and_clusters_are_different_however_they_are_named() -> None:
    others: tuple[dict[str, str], ...] = (
        {},
        {"service": "api"},
        {"namespace": "lab"},
        {"cluster": "prod-eu"},
        {"cluster": "prod-us"},
    )
    keys = {template.read(received({"attempt": "build-7", "verdictd": {**OURS, **other}})).incoming.key for other in others}
    assert len(keys) == len(others)


def test_a_delivery_of_gitlab_that_names_no_deployment_is_known_by_its_id() -> None:
    def key(headers: dict[str, str]) -> str:
        return gitlab.read(received(FILLED, headers)).incoming.key

    assert key({"webhook-id": "a"}) == key({"webhook-id": "a", "x-gitlab-event-uuid": "z"}) != key({"webhook-id": "b"})
    with pytest.raises(InvalidEvent, match=r"headers\.Idempotency-Key: is missing"):
        key({})


@pytest.mark.parametrize("name", ["webhook-id", "x-gitlab-instance"])
def test_bytes_that_are_no_text_name_no_event(name: str) -> None:
    with pytest.raises(InvalidEvent, match="headers: hold bytes that are not UTF-8"):
        gitlab.read(received(FILLED, {**GITLAB, name: "a\udcff"}))


@pytest.mark.parametrize(
    ("read", "document", "headers", "path"),
    [
        (github.read, {"zen": "Keep it logically awesome.", "hook_id": 1}, {"x-github-event": "ping"}, "headers.X-GitHub-Event"),
        (github.read, {}, {"x-github-event": "workflow_run"}, "headers.X-GitHub-Event"),
        (github.read, status("failure"), GITHUB_STATUS, "$.deployment_status.state"),
        (github.read, deployment(payload={}), GITHUB, "$.deployment.payload.verdictd"),
        (github.read, deployment(payload=""), GITHUB, "$.deployment.payload.verdictd"),
        (gitlab.read, {**FILLED, "status": "failed"}, GITLAB, "$.status"),
        (gitlab.read, {**FILLED, "verdictd": None}, GITLAB, "$.verdictd"),
        (gitlab.read, {"object_kind": "pipeline"}, GITLAB, "$.verdictd"),
        (flux.read, applied(reason="HealthCheckFailed"), {}, "$.reason"),
        (flux.read, {**applied(), "metadata": {}}, {}, "$.metadata.verdictd"),
        (template.read, {"attempt": "a", "verdictd": None}, {}, "$.verdictd"),
        (template.read, {"attempt": "a", "verdictd": ""}, {}, "$.verdictd"),
    ],
)
def test_what_is_right_and_announces_nothing_says_why(read: Read, document: Any, headers: dict[str, str], path: str) -> None:
    with pytest.raises(NoRelease) as caught:
        read(received(document, headers))
    [fault] = caught.value.faults
    assert fault.path == path
    assert fault.message
    assert fault.fix


@pytest.mark.parametrize(
    ("read", "document", "headers", "paths"),
    [
        (github.read, deployment(), {}, ["headers.X-GitHub-Event"]),
        (github.read, b"{", GITHUB, ["$"]),
        (github.read, {"deployment": {"id": "7"}}, GITHUB, ["$.deployment.id", "$.deployment.sha", "$.repository"]),
        (github.read, deployment(payload="{"), GITHUB, ["$.deployment.payload"]),
        (github.read, deployment(payload={"verdictd": 5}), GITHUB, ["$.deployment.payload.verdictd"]),
        (
            github.read,
            deployment(payload={"verdictd": {"service": "we b", "canary": {"subset": "v2"}}}),
            GITHUB,
            ["$.deployment.payload.verdictd.baseline", "$.deployment.payload.verdictd.service"],
        ),
        (gitlab.read, {**FILLED, "verdictd": {**OURS, "weight": "10%"}}, GITLAB, ["$.verdictd.weight"]),
        (gitlab.read, {**FILLED, "verdictd": "{"}, GITLAB, ["$.verdictd"]),
        (flux.read, {"reason": "ReconciliationSucceeded"}, {}, ["$.involvedObject"]),
        (flux.read, applied(verdictd="[]"), {}, ["$.metadata.verdictd"]),
        (flux.read, {**applied(), "metadata": {"verdictd": json.dumps(OURS)}}, {}, ["$.metadata.revision"]),
        (template.read, {"verdictd": OURS}, {}, ["$.attempt"]),
        (template.read, {"attempt": "a", "verdictd": [1]}, {}, ["$.verdictd"]),
    ],
)
def test_what_is_wrong_says_where_it_stands_in_what_was_sent(
    read: Read, document: Any, headers: dict[str, str], paths: list[str]
) -> None:
    with pytest.raises(InvalidEvent) as caught:
        read(received(document, headers))
    assert not isinstance(caught.value, NoRelease)
    assert sorted(fault.path for fault in caught.value.faults) == sorted(paths)
    assert all(fault.message and fault.fix for fault in caught.value.faults)
