"""Payloads that name no arms: what each sender's own words announce where arms are found, and what they do where nobody looks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Hook, MappingRow
from daemon.errors import InvalidEvent, NoRelease
from daemon.events.announcing import read_release
from daemon.events.hearing import Hearing
from daemon.http.hooks.senders import SENDERS
from daemon.http.hooks.understanding import Received, Understood
from daemon.model import ArmSpec, GitHubDeployment, Outline, Release
from tests.events.test_hearing import cdevent
from tests.hand.api import TOKEN, Api, serving

SHA = "f95f852bd8fca8fcc58a9a2d6c842781e32a215e"
FINDING = Hearing(
    cluster="prod-eu", finds_arms=True, mapping=(MappingRow(environment="production", namespace="shop", policy="strict"),)
)
ARMS: dict[str, Any] = {"baseline": {"subset": "v1"}, "canary": {"subset": "v2"}}
GITHUB = {"x-github-event": "deployment"}
GITLAB = {"x-gitlab-event": "Deployment Hook", "webhook-id": "f0f5"}
CLOUDEVENT = {"specversion": "1.0", "id": "7", "source": "/ci", "type": "io.verdictd.release.v1"}


def deployment(environment: str = "production", payload: Any = "") -> dict[str, Any]:
    made = {"id": 7, "sha": SHA, "ref": "main", "task": "deploy", "environment": environment, "payload": payload}
    return {"deployment": made, "repository": {"full_name": "octo/web", "html_url": "https://github.com/octo/web"}}


def gitlab(**changes: Any) -> dict[str, Any]:
    """GitLab's own deployment event, without a template."""
    return {
        "object_kind": "deployment",
        "status": "success",
        "deployment_id": 15,
        "environment": "production",
        "project": {"name": "Web", "web_url": "https://gitlab.example.com/shop/web", "path_with_namespace": "shop/web"},
        "short_sha": "279484c0",
        "commit_url": "https://gitlab.example.com/shop/web/-/commit/x",
        **changes,
    }


def understood(sender: Any, document: Any, headers: Mapping[str, str] | None = None, hearing: Hearing = FINDING) -> Understood:
    return SENDERS[sender].read(Received(hook="ci", headers=headers or {}, body=json.dumps(document).encode(), hearing=hearing))


def outline(**said: Any) -> Outline:
    return Outline(**{"service": "web", "namespace": "shop", "cluster": "prod-eu", "policy": "strict", **said})


@pytest.mark.parametrize(
    ("sender", "document", "headers", "announced"),
    [
        ("github", deployment(), GITHUB, outline(revision=SHA, github=GitHubDeployment(repository="octo/web", deployment=7))),
        (
            "github",
            deployment(payload={"verdictd": {"artifact": "reg/web:2", "service": "front"}}),
            GITHUB,
            outline(
                service="front",
                artifact="reg/web:2",
                revision=SHA,
                github=GitHubDeployment(repository="octo/web", deployment=7),
            ),
        ),
        ("gitlab", gitlab(), GITLAB, outline(revision="279484c0")),
        ("gitlab", gitlab(verdictd={"version": "2"}), GITLAB, outline(version="2", revision="279484c0")),
        (
            "template",
            {
                "attempt": "uid/1",
                "service": "web",
                "namespace": "shop",
                "revision": SHA,
                "artifact": "",
                "environment": "production",
            },
            {},
            outline(revision=SHA),
        ),
        (
            "template",
            {"attempt": "uid/1", "service": "web", "images": ["reg/web:2", "reg/proxy:9"], "environment": "production"},
            {},
            outline(images=("reg/web:2", "reg/proxy:9")),
        ),
        (
            "template",
            {"attempt": "uid/1", "verdictd": {"service": "web", "canary": {"subset": "v2"}, "cluster": "prod-eu"}},
            {},
            outline(namespace="default", policy=None, canary=ArmSpec(subset="v2")),
        ),
        (
            "flux",
            {
                "involvedObject": {"kind": "HelmRelease", "namespace": "shop", "name": "web", "uid": "9ab0"},
                "reason": "UpgradeSucceeded",
                "metadata": {"revision": "1.5.0", "verdictd": '{"service": "web", "environment": "production"}'},
            },
            {},
            outline(revision="1.5.0"),
        ),
        (
            "cloudevents",
            {**CLOUDEVENT, "data": {"service": "web", "environment": "production", "version": "2"}},
            {},
            outline(version="2"),
        ),
        ("cloudevents", {"service": "web", "environment": "production", "version": "2"}, {}, outline(version="2")),
    ],
)
def test_what_a_sender_says_by_itself_is_an_announcement_that_means_the_same_on_the_stream(
    sender: str, document: Any, headers: dict[str, str], announced: Outline
) -> None:
    found = understood(sender, document, headers)
    assert found.release == announced
    kept = read_release(found.headers, found.body, FINDING)
    assert (kept.release, kept.origin) == (announced, found.origin)


SHIFTING = (
    MappingRow(service="web", environment="production", namespace="shop"),
    MappingRow(service="web", name="web-staging", namespace="staging", policy="lax"),
)
CDEVENT = json.loads(cdevent("deployed").replace(b"test123", b"production"))
CDEVENT_TYPE = CDEVENT["context"]["type"]
CDEVENT_ENVELOPED = {
    **CLOUDEVENT,
    "id": CDEVENT["context"]["id"],
    "source": "/ci/pipelines/7",
    "type": CDEVENT_TYPE,
    "data": CDEVENT,
}
SENT: list[tuple[str, Any, dict[str, str]]] = [
    ("github", deployment(), GITHUB),
    ("github", deployment(payload={"verdictd": {"service": "web", **ARMS}}), GITHUB),
    ("gitlab", gitlab(), GITLAB),
    ("template", {"attempt": "uid/1", "service": "web", "revision": SHA, "environment": "production"}, {}),
    ("cloudevents", {"service": "web", "environment": "production", **ARMS}, {}),
    ("cloudevents", {**CLOUDEVENT, "traceparent": "00-1", "data": {"service": "web", "environment": "production", **ARMS}}, {}),
    ("cloudevents", CDEVENT, {}),
    ("cloudevents", CDEVENT_ENVELOPED, {}),
]


@pytest.mark.parametrize(("sender", "document", "headers"), SENT)
def test_what_a_hook_keeps_is_mapped_once_and_means_the_same_to_a_daemon_with_the_same_rows_and_to_one_with_none(
    sender: str, document: Any, headers: dict[str, str]
) -> None:
    here = Hearing(cluster="prod-eu", finds_arms=True, mapping=SHIFTING)
    answered = understood(sender, document, headers, here)
    assert (answered.release.service, answered.release.namespace, answered.release.cluster) == ("web", "shop", "prod-eu")
    assert answered.release.policy != "lax"
    for reader in (here, Hearing(cluster="prod-us", finds_arms=True)):
        heard = read_release(answered.headers, answered.body, reader)
        assert (heard.release, heard.origin) == (answered.release, answered.origin)


def test_of_an_event_that_a_hook_keeps_its_name_and_what_others_said_of_it_stay() -> None:
    body = json.loads(understood(*SENT[5]).body)
    assert (body["id"], body["source"], body["traceparent"], body["verdictdmapped"]) == ("7", "/ci", "00-1", "true")


@pytest.mark.parametrize("name", ["id", "source"])
def test_a_cdevent_that_is_named_nothing_is_refused_when_it_is_sent_and_not_when_it_is_kept(name: str) -> None:
    with pytest.raises(InvalidEvent) as caught:
        understood("cloudevents", {**CDEVENT, "context": {**CDEVENT["context"], name: ""}})
    assert [one.path for one in caught.value.faults] == [f"$.context.{name}"]


_WORDS = dict.fromkeys(("name", "namespace", "cluster", "policy"), st.none() | st.sampled_from(["web", "front", "shop"]))
_SERVICE, _ENVIRONMENT = (st.none() | st.sampled_from(names) for names in (["web", "front"], ["production", "staging"]))
_ROWS = st.lists(st.builds(MappingRow, service=_SERVICE, environment=_ENVIRONMENT, **_WORDS), max_size=4)


@given(_ROWS, st.sampled_from(SENT), st.booleans())
def test_whatever_the_rows_are_what_a_hook_keeps_is_read_as_it_was_answered(
    rows: list[MappingRow], sent: tuple[str, Any, dict[str, str]], finds_arms: bool
) -> None:
    hearing = Hearing(cluster="production", finds_arms=finds_arms, mapping=tuple(rows))
    try:
        answered = understood(*sent, hearing)
    except InvalidEvent:
        return
    heard = read_release(answered.headers, answered.body, hearing)
    assert (heard.release, heard.origin) == (answered.release, answered.origin)


@pytest.mark.parametrize(("sender", "document", "headers"), [("github", deployment(), GITHUB), ("gitlab", gitlab(), GITLAB)])
def test_where_nobody_finds_arms_a_deployment_by_itself_announces_none_and_says_how_it_would(
    sender: str, document: Any, headers: dict[str, str]
) -> None:
    with pytest.raises(NoRelease, match=r"nothing here says which versions to compare.*; or have arms found: add a source of kind"):
        understood(sender, document, headers, Hearing(cluster="prod-eu", mapping=FINDING.mapping))


def test_what_is_meant_for_us_and_names_no_arms_is_refused_where_nobody_finds_them() -> None:
    with pytest.raises(InvalidEvent) as caught:
        understood("github", deployment(payload={"verdictd": {"artifact": "reg/web:2"}}), GITHUB, Hearing(cluster="production"))
    assert not isinstance(caught.value, NoRelease)
    assert [one.path.rpartition(".")[2] for one in caught.value.faults] == ["baseline", "canary"]
    assert all("add a source of kind kubernetes" in one.fix for one in caught.value.faults)


@pytest.mark.parametrize(("sender", "made", "headers"), [("github", deployment, GITHUB), ("gitlab", gitlab, GITLAB)])
def test_a_deployment_to_an_environment_that_is_none_of_ours_announces_none(
    sender: str, made: Any, headers: dict[str, str]
) -> None:
    with pytest.raises(NoRelease, match=r"the environment 'staging' is no row's of mapping, nor this cluster's name \(prod-eu\)"):
        understood(sender, made(environment="staging"), headers)


@pytest.mark.parametrize("environment", ["review/feature-1", "Production – web", "x" * 64])
@pytest.mark.parametrize(("sender", "made", "headers"), [("github", deployment, GITHUB), ("gitlab", gitlab, GITLAB)])
def test_a_deployment_to_an_environment_that_nothing_here_could_be_called_is_passed_and_not_refused(
    sender: str, made: Any, headers: dict[str, str], environment: str
) -> None:
    """Tools switch a webhook off that is answered with 4xx again and again, and a review environment is no fault of anybody."""
    with pytest.raises(NoRelease, match=r"environment: .* is not a usable name; add a row for it under mapping in the settings"):
        understood(sender, made(environment=environment), headers)
    row = MappingRow(environment=environment, namespace="shop", policy="strict")
    found = understood(sender, made(environment=environment), headers, Hearing(cluster="prod-eu", finds_arms=True, mapping=(row,)))
    assert (found.release.cluster, found.release.policy) == ("prod-eu", "strict")


@pytest.mark.parametrize("repository", ["web.js", ".github", "x" * 100])
def test_a_deployment_of_a_repository_that_no_service_could_be_called_is_passed_unless_a_row_names_its_service(
    repository: str,
) -> None:
    document = {**deployment(), "repository": {"html_url": f"https://github.com/octo/{repository}"}}
    of_gitlab = gitlab(project={"web_url": f"https://gitlab.example.com/shop/{repository}"})
    for sender, made, headers in (("github", document, GITHUB), ("gitlab", of_gitlab, GITLAB)):
        with pytest.raises(NoRelease, match=r"service: .* is not a usable name; add a row for it under mapping in the settings"):
            understood(sender, made, headers)
        row = MappingRow(service=repository, environment="production", name="web")
        found = understood(sender, made, headers, Hearing(cluster="prod-eu", finds_arms=True, mapping=(row,)))
        assert found.release.service == "web"


def test_what_a_person_calls_a_service_that_nothing_could_be_called_is_refused() -> None:
    with pytest.raises(InvalidEvent) as caught:
        understood("template", {"attempt": "uid/1", "service": "we b", "version": "2", "environment": "production"})
    assert not isinstance(caught.value, NoRelease)
    [fault] = caught.value.faults
    assert fault.path.endswith(".service")


def test_images_beside_both_arms_say_nothing_more() -> None:
    document = {"attempt": "uid/1", "images": ["reg/web:2"], "verdictd": {"service": "web", **ARMS}}
    for hearing in (FINDING, Hearing()):
        found = understood("template", document, hearing=hearing).release
        assert isinstance(found, Release)
        assert found.artifact is None


def test_its_environment_says_nothing_of_a_payload_with_both_arms_unless_a_row_names_it() -> None:
    ours = {"service": "web", **ARMS}
    found = understood("github", deployment("staging", {"verdictd": ours}), GITHUB).release
    assert isinstance(found, Release)
    assert (found.cluster, found.policy, found.artifact) == (None, "default", SHA)
    found = understood("github", deployment("production", {"verdictd": ours}), GITHUB).release
    assert (found.cluster, found.namespace, found.policy) == ("prod-eu", "shop", "strict")


def test_a_pipeline_that_is_no_deployment_announces_none_by_itself() -> None:
    for changes in ({"object_kind": "pipeline"}, {"status": None}):
        with pytest.raises(NoRelease):
            understood("gitlab", gitlab(**changes), GITLAB)


@pytest.fixture
def hooks(tmp_path: Path) -> dict[str, Hook]:
    (tmp_path / "ci").write_text(TOKEN)
    return {"ci": Hook(sender="cloudevents", secret_files=[str(tmp_path / "ci")])}


async def posted(api: Api, path: str, document: Any) -> tuple[int, Any]:
    return await api.call("POST", path, json=document, headers={"Authorization": f"Bearer {TOKEN}"})


async def test_a_hook_keeps_an_announcement_without_arms_and_the_api_hands_it_on(hooks: dict[str, Hook]) -> None:
    document = {"service": "web", "environment": "production", "artifact": "reg/web:2"}
    async with serving(hooks=hooks, hearing=FINDING) as api:
        status, heard = await posted(api, "/hooks/ci", document)
        assert (status, heard["outcome"]) == (202, "taken")
        [event] = api.engine.events.values()
        assert event.release == outline(artifact="reg/web:2")
        status, view = await api.call("POST", "/v1/releases", json=document)
        assert (status, view["stage"]) == (202, "locating")
        assert [one for _, one in api.engine.outlines] == [outline(artifact="reg/web:2")]


async def test_where_nobody_finds_arms_hook_and_api_answer_400_with_both_ways_to_mend_it(hooks: dict[str, Hook]) -> None:
    document = {"service": "web", "artifact": "reg/web:2"}
    async with serving(hooks=hooks) as api:
        for path in ("/hooks/ci", "/v1/releases"):
            status, problem = await posted(api, path, document)
            assert status == 400
            assert "add a source of kind kubernetes" in json.dumps(problem)
        assert not api.engine.events
        assert not api.engine.outlines
