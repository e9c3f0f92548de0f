"""What a payload would become is said before it is sent: the release, why there is none, or what is wrong with it."""

import json
from pathlib import Path
from typing import Any

import pytest

from daemon import names
from daemon.cli import main
from daemon.cli.parser import build
from daemon.events.announcing import read_release
from daemon.http.hooks.senders import SENDERS
from daemon.http.hooks.understanding import Received
from daemon.settings import load_settings
from daemon.watcher.settings import hearing_of

OURS = {"service": "web", "namespace": "shop", "baseline": {"subset": "v1"}, "canary": {"subset": "v2"}}
REPOSITORY = {"html_url": "https://github.com/octo/web"}
DEPLOYMENT: dict[str, Any] = {"id": 7, "sha": "f95f852b", "payload": {"verdictd": OURS}}
EVENT = {"specversion": "1.0", "id": "7", "source": "/ci", "type": "io.verdictd.release.v1", "data": OURS}
BATCH = "Content-Type: application/cloudevents-batch+json"
GITHUB = ("--sender", "github", "--header", "X-GitHub-Event: deployment")


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    return tmp_path / "payload.json"


def explained(payload: Path, document: Any, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    payload.write_text(json.dumps(document))
    code = main(["hook", "--explain", str(payload), *options])
    return code, capsys.readouterr().out


def test_a_payload_that_carries_a_release_is_shown_as_that_release(payload: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = explained(payload, {"deployment": DEPLOYMENT, "repository": REPOSITORY}, capsys, *GITHUB)
    sender, read, first, *release = said.split("\n")
    assert code == 0
    assert sender == f"{payload}: the sender is github, as --sender says"
    assert read.startswith(f"{payload}: read: service web, revision f95f852b")
    assert first.startswith(f"{payload}: announces the release web-")
    assert {**OURS, "artifact": "f95f852b"}.items() <= json.loads("\n".join(release)).items()
    assert "null" not in said


def test_one_that_announces_nothing_says_why_and_how_it_would(payload: Path, capsys: pytest.CaptureFixture[str]) -> None:
    event = {"deployment": {**DEPLOYMENT, "payload": {}}, "repository": REPOSITORY}
    code, said = explained(payload, event, capsys, *GITHUB)
    assert code == 0
    assert "announces nothing: $.deployment.payload.verdictd: " in said
    assert 'make the deployment with "payload"' in said


def test_one_that_would_be_refused_is_told_every_fault(payload: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = explained(payload, {**EVENT, "id": "", "data": {**OURS, "weight": "10%"}}, capsys)
    assert code == 65
    lines = [line.removeprefix(f"{payload}: ").partition(":")[0] for line in said.splitlines()]
    assert lines == ["the sender is cloudevents, since nothing says another", "read", "$.id", "$.data.weight"]
    assert explained(payload, EVENT, capsys, "--header", BATCH)[0] == 65


def test_each_event_of_a_batch_is_a_line_for_a_program(payload: Path, capsys: pytest.CaptureFixture[str]) -> None:
    batch = [EVENT, {**EVENT, "type": "theirs"}, {**EVENT, "source": ""}]
    code, said = explained(payload, batch, capsys, "--json", "--header", BATCH)
    assert code == 65
    told = [json.loads(line) for line in said.splitlines()]
    assert [one["outcome"] for one in told] == ["taken", "passed", "refused"]
    assert told[0]["release"]["service"] == "web"
    assert told[2]["problems"][0]["path"] == "$.source"


SETTINGS = """
cluster: prod-eu
telemetry: {prom: {kind: prometheus, url: "http://127.0.0.1:9090", dialect: istio}}
meshes: {istio: {kind: istio, telemetry: prom}}
sources: {cluster: {kind: kubernetes}}
policies: {strict: {}}
hooks: {gh: {sender: github, secret_files: [/etc/verdictd/hooks/gh]}}
mapping:
  - {service: web, environment: production, namespace: shop, policy: strict}
  - {environment: staging, cluster: staging-eu}
"""


@pytest.fixture
def settings(tmp_path: Path) -> str:
    file = tmp_path / "settings.yaml"
    file.write_text(SETTINGS)
    return str(file)


def deployed(environment: str) -> dict[str, Any]:
    return {"deployment": {"id": 7, "sha": "f95f852bd8", "environment": environment}, "repository": REPOSITORY}


def test_a_payload_without_arms_is_explained_step_by_step_with_the_row_that_it_fits(
    payload: Path, settings: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--config", settings, "--name", "gh", *GITHUB[2:])
    code, said = explained(payload, deployed("production"), capsys, *options)
    lines = [line.removeprefix(f"{payload}: ") for line in said.splitlines()]
    assert code == 0
    assert lines[:3] == [
        "the sender is github, as hooks.gh says",
        "read: service web, revision f95f852bd8, environment production",
        "mapping[0] is taken: service web, environment production, namespace shop, policy strict",
    ]
    assert lines[3].endswith("whose arms are looked for in the cluster until it takes traffic")
    expected = {"service": "web", "namespace": "shop", "cluster": "prod-eu", "policy": "strict", "revision": "f95f852bd8"}
    assert expected.items() <= json.loads("\n".join(lines[4:])).items()


def test_what_is_explained_is_what_comes_from_the_stream_though_a_later_row_fits_the_mapped_words(
    payload: Path, settings: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path(settings).open("a") as file:
        file.write("  - {service: web, name: web-staging, namespace: staging}\n")
    code, said = explained(payload, deployed("production"), capsys, "--config", settings, "--json", *GITHUB)
    assert code == 0
    told = json.loads(said)
    hearing = hearing_of(load_settings(Path(settings)))
    headers = {"x-github-event": "deployment"}
    answered = SENDERS["github"].read(Received(hook="github", headers=headers, body=payload.read_bytes(), hearing=hearing))
    heard = read_release(answered.headers, answered.body, hearing)
    assert told["id"] == names.new_release_id(heard.release.service, origin=heard.origin)
    assert {"service": "web", "namespace": "shop", "policy": "strict"}.items() <= told["outline"].items()
    assert (heard.release.service, heard.release.namespace, heard.release.policy) == ("web", "shop", "strict")


def test_an_environment_that_no_row_knows_is_explained_with_the_row_that_would(
    payload: Path, settings: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = explained(payload, deployed("review"), capsys, "--config", settings, *GITHUB[2:])
    assert code == 0
    assert "the sender is github, by its headers" in said
    assert "no row of mapping is about it" in said
    assert "announces nothing: $.deployment.payload.verdictd: the environment 'review' is no row's" in said
    assert "add a row for it under mapping" in said


def test_what_is_no_header_and_no_file_is_wrong_usage(payload: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explained(payload, EVENT, capsys, "--header", "nothing")[0] == 64
    assert main(["hook", "--explain", str(payload.parent / "absent")]) == 64


def test_every_sender_of_hooks_can_be_explained() -> None:
    for sender in SENDERS:
        assert build().parse_args(["hook", "--explain", "-", "--sender", sender]).sender == sender
