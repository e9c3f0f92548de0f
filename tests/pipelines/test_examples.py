"""The examples say what the daemon and the commands understand, and the pages say what the examples say."""

import json
import re
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml

from daemon import thinclient
from daemon.cli.exits import Exit
from daemon.cli.parser import build
from daemon.errors import InvalidEvent
from daemon.events.hearing import Hearing
from daemon.http.gates.asking import Word
from daemon.http.gates.flagger import YES
from daemon.http.hooks.senders import SENDERS
from daemon.http.hooks.understanding import Received
from daemon.model import Outcome, Outline, Release
from daemon.releasecheck import decode_release
from tests.hand.api import serving
from tests.pipelines.examples import (
    FOLDER,
    PAGES,
    ROOT,
    Decided,
    addresses,
    documents,
    jenkins_commands,
    of_kind,
    shell_lines,
    text,
)

LONGEST_PAGE = 30
RELEASE = {"service": "checkout", "namespace": "shop", "baseline": {"subset": "v1"}, "canary": {"subset": "v2"}}


def commands() -> list[list[str]]:
    """The calls of the command and of the thin client, without what stands before them."""
    found = []
    for line in shell_lines():
        for part in re.split(r"&&|\|\||[;|]", line):
            words = shlex.split(part, comments=True)
            called = [start for start in ("verdictd", "verdictd.py") if start in words[:2]]
            found += [words[words.index(start) :] for start in called]
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_each_command_of_the_examples_is_one(words: list[str]) -> None:
    parser = build() if words[0] == "verdictd" else thinclient.build()
    # Durations stand in variables of the tool where they can be set: any will do.
    parser.parse_args(["5m" if word == "$TIMEOUT" else word for word in words[1:]])


def test_there_are_commands_of_every_tool_that_runs_some() -> None:
    assert len(commands()) == 4
    assert len(jenkins_commands()) == 4


@pytest.mark.parametrize(("name", "address"), addresses())
async def test_each_address_of_the_examples_is_answered_by_the_daemon(name: str, address: str) -> None:
    """Every path is one of the API's, or below one that a tool adds to; every hook and gate is one."""
    parts = urlsplit(address)
    async with serving() as api:
        _, described = await api.call("GET", "/openapi.json")
    paths = described["paths"]
    fits = [path for path in paths if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), parts.path)]
    below = [path for path in paths if path.startswith(f"{parts.path}/")]
    assert fits or below, name
    known = {one["name"] for path in fits for operation in paths[path].values() for one in operation["parameters"]}
    assert {key for key, _ in parse_qsl(parts.query)} <= known


def test_the_release_of_the_examples_is_one() -> None:
    release = decode_release(json.loads(text("release.json")), path="$")
    assert (release.service, release.policy) == ("checkout", "enforce")


def test_gitlab_lets_an_inconclusive_verdict_pass_with_a_warning_and_no_other() -> None:
    [pipeline] = documents("gitlab-ci.yaml")
    assert pipeline["canary"]["allow_failure"]["exit_codes"] == [Exit.INCONCLUSIVE]
    assert {*pipeline["canary"]["artifacts"]["reports"].values()} == {"verdictd.env", "verdictd.xml"}


def test_jenkins_makes_an_inconclusive_verdict_unstable_and_every_other_code_a_failure() -> None:
    assert re.findall(r"code == (\d+)\) \{ unstable", text("Jenkinsfile")) == [str(int(Exit.INCONCLUSIVE))]
    assert "code != 0) { error(" in text("Jenkinsfile")
    assert text("Jenkinsfile").count("{") == text("Jenkinsfile").count("}")


def test_github_reads_outputs_that_there_are() -> None:
    read = {*re.findall(r"steps\.verdict\.outputs\.(\w+)", text("github-actions.yaml"))}
    assert read <= {"release", "outcome", "meaning", "action", "code", "reason", "url"}
    assert read


def gates_page() -> list[Any]:
    page = (ROOT / "docs" / "gates.md").read_text(encoding="utf-8")
    return [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)]


def named(document: Any, service: str, other: str) -> Any:
    """The same with another service's name."""
    return yaml.safe_load(re.sub(rf"\b{service}\b", other, yaml.safe_dump(document)))


def test_the_gates_templates_are_those_of_the_page_about_gates_where_they_are_asked_for_real() -> None:
    page = gates_page()
    web, kayenta = of_kind("argo-rollouts.yaml", "AnalysisTemplate")
    [template] = [one for one in page if one.get("kind") == "AnalysisTemplate"]
    assert web["spec"] == template["spec"]
    [metric] = [one for one in page if "kayenta" in one.get("provider", {})]
    assert kayenta["spec"]["metrics"] == [named(metric, "web", "checkout")]
    [metric] = of_kind("flagger.yaml", "MetricTemplate")
    assert metric["spec"] == next(one for one in page if one.get("kind") == "MetricTemplate")["spec"]
    [canary] = of_kind("flagger.yaml", "Canary")
    webhooks = {one["type"]: one["url"] for one in canary["spec"]["analysis"]["webhooks"]}
    [analysis] = [one["analysis"] for one in page if "analysis" in one]
    assert webhooks == {one["type"]: one["url"] for one in analysis["webhooks"]}
    assert webhooks.keys() <= YES.keys()


NEW = {"images": ["reg/proxy:9", "reg/checkout:2"], "revision": "4f2a", "initiated_by": "ana"}
NOTHING = {"images": [], "revision": "", "initiated_by": ""}
"""As the template's functions give it of an Application that has none of it."""
SHORT = {"service": "checkout", "namespace": "shop"}


@pytest.mark.parametrize(("applied", "revision", "initiated_by"), [(NEW, "4f2a", "ana"), (NOTHING, None, None)])
@pytest.mark.parametrize("said", [RELEASE, {**SHORT, "artifact": "reg/checkout:2"}, SHORT])
def test_argo_cd_s_template_filled_in_is_an_announcement(
    applied: dict[str, Any], revision: str | None, initiated_by: str | None, said: dict[str, Any]
) -> None:
    [config] = of_kind("argocd-notifications.yaml", "ConfigMap")
    body = yaml.safe_load(config["data"]["template.verdictd"])["webhook"]["verdictd"]["body"]
    filled = {".app.metadata.uid": "5f0e", ".app.status.operationState.startedAt": "2026-11-03T10:00:00Z"}
    for name, value in filled.items():
        body = body.replace(f"{{{{{name}}}}}", value)
    told = {
        'index .app.metadata.annotations "verdictd.io/release"': json.dumps(said),
        'dig "status" "summary" "images" list .app': applied["images"],
        'dig "status" "operationState" "syncResult" "revision" "" .app': applied["revision"],
        'dig "status" "operationState" "operation" "initiatedBy" "username" "" .app': applied["initiated_by"],
    }
    for name, value in told.items():
        body = body.replace(f"{{{{toJson ({name})}}}}", json.dumps(value))
    assert "{{" not in body
    sender = SENDERS["template"]
    [part] = sender.parts(Received(hook="argocd", headers={}, body=body.encode(), hearing=Hearing(finds_arms=True)))
    if said == SHORT and applied == NOTHING:
        with pytest.raises(InvalidEvent, match="says neither what is new nor which versions to compare"):
            sender.read(part)
        return
    found = sender.read(part).release
    assert (found.service, found.revision, found.initiated_by) == ("checkout", revision, initiated_by)
    if isinstance(found, Outline):
        assert found.images == tuple(applied["images"])
    else:
        assert (found.baseline.subset, found.canary.subset) == ("v1", "v2")
    service = yaml.safe_load(config["data"]["service.webhook.verdictd"])
    assert service["url"].endswith("/hooks/argocd")


@pytest.mark.parametrize("prefix", ["", "event.toolkit.fluxcd.io/"])
def test_flux_s_annotation_is_an_announcement_from_the_controller_itself_and_through_its_notifications(prefix: str) -> None:
    """The latter strips the prefix."""
    [kustomization] = of_kind("flux.yaml", "Kustomization")
    [(_, value)] = kustomization["metadata"]["annotations"].items()
    event = {
        "involvedObject": {"kind": "Kustomization", "name": "shop", "namespace": "flux-system", "uid": "5f0e"},
        "severity": "info",
        "reason": "ReconciliationSucceeded",
        "message": "",
        "metadata": {f"{prefix}verdictd": value, f"{prefix or 'kustomize.toolkit.fluxcd.io/'}revision": "main@sha1:f95f852b"},
        "reportingController": "kustomize-controller",
    }
    sender = SENDERS["flux"]
    [part] = sender.parts(Received(hook="flux", headers={}, body=json.dumps(event).encode()))
    release = sender.read(part).release
    assert isinstance(release, Release)
    assert (release.service, release.canary.subset) == ("checkout", "v2")
    [provider] = of_kind("flux.yaml", "Provider")
    [alert] = of_kind("flux.yaml", "Alert")
    assert (provider["spec"]["type"], alert["spec"]["providerRef"]) == ("generic-hmac", {"name": provider["metadata"]["name"]})


@pytest.mark.parametrize(
    ("outcome", "ends"), [(Outcome.PROMOTE, "SUCCEEDED"), (Outcome.ROLLBACK, "TERMINAL"), (Outcome.INCONCLUSIVE, "CANCELED")]
)
async def test_spinnaker_s_stage_ends_as_the_verdict_is(outcome: Outcome, ends: str) -> None:
    """By Orca's rules: POST, then GET at the same address; the status is what the path names, compared without regard to case."""
    stage = json.loads(text("spinnaker-webhook-stage.json"))
    parts = urlsplit(stage["url"].replace("${execution.id}", "01J8Z7Q0"))
    words = {
        word.strip().upper(): status
        for status, key in (("SUCCEEDED", "successStatuses"), ("TERMINAL", "terminalStatuses"), ("CANCELED", "canceledStatuses"))
        for word in stage[key].split(",")
    }
    assert (stage["statusUrlResolution"], stage["statusJsonPath"]) == ("getMethod", "$.verdict")
    assert {word.upper() for word in Word} - words.keys() == {"PENDING"}
    assert not parts.netloc.partition(":")[0].endswith((".local", ".internal"))
    async with serving(Decided(outcome=outcome)) as api:
        address = f"{parts.path}?{parts.query}"
        for method, body in (("POST", stage["payload"]), ("GET", None)):
            status, told = await api.call(method, address, json=body, headers=stage["customHeaders"])
            assert (status, words[told["verdict"].upper()]) == (200, ends)
        assert len(api.engine.submitted) == 1


def releases() -> list[Release]:
    """Those that stand as JSON on the pages."""
    texts = {page.name: page.read_text(encoding="utf-8") for page in sorted(PAGES.glob("*.md"))}
    pattern = re.compile(r"'(\{\"service\".*\})'")
    return [decode_release(json.loads(written), path=name) for name, text in texts.items() for written in pattern.findall(text)]


def test_the_releases_on_the_pages_are_releases() -> None:
    assert [release.service for release in releases()] == ["checkout", "checkout"]


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_a_page_is_short_names_its_examples_and_says_what_they_say(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LONGEST_PAGE
    examples = {*re.findall(r"\(\.\./\.\./deploy/pipelines/([\w.-]+)\)", page.read_text(encoding="utf-8"))}
    assert examples
    whole = {line.strip() for example in examples for line in text(example).splitlines()}
    for line in lines:
        if re.match(r" *(- )?(run: |)verdictd ", line):
            assert line.strip() in whole


def test_each_example_has_a_page_and_each_page_a_row() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES.glob("*.md"))
    assert {path.name for path in FOLDER.iterdir() if f"deploy/pipelines/{path.name}" not in pages} == {"release.json"}
    table = (ROOT / "docs" / "tools.md").read_text(encoding="utf-8")
    assert {page.name for page in PAGES.glob("*.md") if f"(tools/{page.name})" not in table} == set()
    for test in re.findall(r"`(tests/[\w/.]+)`", table):
        assert (ROOT / test).is_file(), test
