"""The description of the API: all of it, nothing else, and with examples that are right."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from config.settings import Http
from daemon.http.server import create_app
from tests.hand.api import Engine, ports_of, serving
from tests.http.schemas import faults


async def described() -> dict[str, Any]:
    async with serving() as api:
        _, document = await api.call("GET", "/openapi.json")
    assert isinstance(document, dict)
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, of_path in document["paths"].items():
        for method, operation in of_path.items():
            yield method.upper(), path, operation


def routes(app: web.Application) -> set[tuple[str, str]]:
    found = set()
    for route in app.router.routes():
        assert route.resource is not None
        found.add((route.method, route.resource.canonical))
    return found


async def test_the_description_has_every_route_and_no_other() -> None:
    said = {(method, path) for method, path, _ in operations(await described())}
    # HEAD is said once, for all.
    assert said | {("HEAD", path) for method, path in said if method == "GET"} == routes(create_app(ports_of(Engine(), Http())))
    assert ("POST", "/v1/releases/{id}/rollback") in said


async def test_every_operation_has_a_name_of_its_own_that_clients_know_it_by() -> None:
    """Code is generated from these names: they are never changed."""
    named = {operation["operationId"]: f"{method} {path}" for method, path, operation in operations(await described())}
    assert named == {
        "sendEvent": "POST /hooks/{name}",
        "inviteEvents": "OPTIONS /hooks/{name}",
        "askGate": "POST /gates/http",
        "beginStage": "POST /gates/stage",
        "getStage": "GET /gates/stage",
        "measureForArgo": "POST /gates/argo",
        "askForFlagger": "POST /gates/flagger/{type}",
        "queryForFlagger": "GET /gates/prometheus/api/v1/query",
        "listCanaryConfigs": "GET /gates/kayenta/canaryConfig",
        "listCredentials": "GET /gates/kayenta/credentials",
        "startExecution": "POST /gates/kayenta/canary/{config}",
        "getExecution": "GET /gates/kayenta/canary/{id}",
        "cancelExecution": "PUT /gates/kayenta/pipelines/{id}/cancel",
        "submitRelease": "POST /v1/releases",
        "listReleases": "GET /v1/releases",
        "listVerdicts": "GET /v1/verdicts",
        "getRelease": "GET /v1/releases/{id}",
        "getVerdict": "GET /v1/releases/{id}/verdict",
        "getRecord": "GET /v1/releases/{id}/record",
        "rollbackRelease": "POST /v1/releases/{id}/rollback",
        "promoteRelease": "POST /v1/releases/{id}/promote",
        "cancelRelease": "POST /v1/releases/{id}/cancel",
        "followReleases": "GET /v1/events",
        "followRelease": "GET /v1/releases/{id}/events",
        "getCourse": "GET /v1/releases/{id}/course",
        "getRecording": "GET /v1/releases/{id}/recording",
        "goToPage": "GET /ui",
        "getPage": "GET /ui/",
        "getReleasePage": "GET /ui/release/{id}",
        "getPageFile": "GET /ui/files/{name}",
        "getPageLinks": "GET /ui/links",
        "listFreezes": "GET /v1/freezes",
        "listQuestions": "GET /v1/questions",
        "listWaiting": "GET /v1/waiting",
        "freeze": "POST /v1/freezes",
        "thaw": "DELETE /v1/freezes",
        "getHealth": "GET /healthz",
        "getReadiness": "GET /readyz",
        "getMetrics": "GET /metrics",
        "getDescription": "GET /openapi.json",
        "getClient": "GET /client",
    }
    assert len(named) == sum(1 for _ in operations(await described()))


async def test_every_operation_stands_under_a_tag_that_is_explained() -> None:
    document = await described()
    used = Counter(tag for _, _, operation in operations(document) for tag in operation["tags"])
    assert used == {
        "releases": 8,
        "verdicts": 1,
        "events": 3,
        "recordings": 1,
        "freezes": 3,
        "questions": 2,
        "hooks": 2,
        "gates": 5,
        "facades": 6,
        "operations": 5,
        "page": 5,
    }
    assert [tag["name"] for tag in document["tags"] if tag["description"]] == list(used)


async def test_every_reference_of_the_description_resolves() -> None:
    document = await described()
    wanted = set(re.findall(r"'#/components/schemas/([^']+)'", str(document)))
    assert {"Release", "ReleaseView", "ReleaseList", "Verdict", "Record", "Problem", "Said", "Ready"} <= wanted
    assert wanted == document["components"]["schemas"].keys()


async def test_what_is_in_a_path_is_described_as_its_parameter() -> None:
    for _, path, operation in operations(await described()):
        said = [one["name"] for one in operation["parameters"] if one["in"] == "path" and one["required"]]
        assert said == re.findall(r"\{(\w+)\}", path)


async def test_what_changes_something_is_said_to_need_the_token() -> None:
    document = await described()
    assert document["components"]["securitySchemes"].keys() == {"token", "hook", "gate"}
    for method, path, operation in operations(document):
        shown = {"hooks": "hook", "gates": "gate"}.get(path.split("/")[1], "token")
        guarded = method in {"POST", "DELETE"} or shown == "gate"  # to ask at a gate begins a release
        # By token where http.read says so.
        read = method == "GET" and not guarded and path not in {"/healthz", "/readyz", "/openapi.json", "/client"}
        assert ("security" in operation) == (guarded or read)
        if guarded or read:
            [needed, nothing] = operation["security"]
            assert (list(needed), nothing) == ([shown], {})
            assert shown != "token" or needed[shown] == [scope_of(method, path)]
        assert ("401" in operation["responses"]) == (guarded or read)


def scope_of(method: str, path: str) -> str:
    if method == "GET":
        return "read"
    return "freeze" if path == "/v1/freezes" else "submit" if path == "/v1/releases" else "command"


async def test_the_body_of_a_command_does_not_ask_for_the_word_in_the_address() -> None:
    assert set((await described())["components"]["schemas"]["Said"]["properties"]) == {"by", "reason"}


def contents(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from operation.get("requestBody", {"content": {}})["content"].values()
    for answer in operation["responses"].values():
        yield from answer["content"].values()


async def test_every_body_of_ours_has_an_example_and_each_is_as_its_schema_says() -> None:
    document = await described()
    checked = 0
    for _, path, operation in operations(document):
        for content in contents(operation):
            if "$ref" not in content.get("schema", {}) or content == operation["responses"]["default"]["content"].get(
                "application/problem+json"
            ):
                continue
            assert list(faults(content["example"], content["schema"], document=document)) == [], path
            checked += 1
    assert checked > 25


async def test_an_example_that_is_wrong_is_found() -> None:
    document = await described()
    submit = document["paths"]["/v1/releases"]["post"]["requestBody"]["content"]["application/json"]
    good = submit["example"]
    wrong = [
        {**good, "weight": 101},
        {**good, "weight": "10"},
        {**good, "strategy": "x"},
        {**good, "canary": {"sub": "v2"}},
        {name: value for name, value in good.items() if name != "canary"},
    ]
    assert [len(list(faults(one, submit["schema"], document=document))) for one in wrong] == [1, 1, 1, 1, 1]
    assert list(faults(good, submit["schema"], document=document)) == []


async def test_the_example_of_a_release_can_be_submitted_as_it_is() -> None:
    document = await described()
    example = document["paths"]["/v1/releases"]["post"]["requestBody"]["content"]["application/json"]["example"]
    async with serving() as api:
        status, view = await api.call("POST", "/v1/releases", json=example)
        assert status == 202
        schema = document["paths"]["/v1/releases"]["post"]["responses"]["202"]["content"]["application/json"]["schema"]
        assert list(faults(view, schema, document=document)) == []
