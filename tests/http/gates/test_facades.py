"""Prometheus and Kayenta as their clients know them: each word as a sample or a score, and one release for an attempt."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from msgspec.structs import replace

from config.settings import Gates
from daemon.errors import Elsewhere, Unavailable
from daemon.events.hearing import Hearing
from daemon.http.gates import kayenta, prometheus
from daemon.http.gates.asking import Word
from tests.hand.api import NOW, Api, Engine, serving
from tests.http.gates.test_gates import SECRET, WriteGate, found, gate

__all__ = ["gate"]

QUERY = 'verdictd_gate{namespace="web",workload="shop"}'
PROMETHEUS = "/gates/prometheus/api/v1/query?query="
CONFIGS = "/gates/kayenta/canaryConfig?application=shop&configurationAccountName="
ACCOUNTS = "metricsAccountName=&configurationAccountName=&storageAccountName="
START = f"/gates/kayenta/canary/default?application=shop&{ACCOUNTS}"


async def query(api: Api, text: str) -> tuple[int, Any]:
    return await api.call("GET", PROMETHEUS + quote(text))


def execution(control: str = "service=shop-v1", experiment: str = "service=shop-v2", **thresholds: float) -> dict[str, Any]:
    """What Argo Rollouts' provider sends; its region is the namespace."""
    arm = {"region": "web", "step": 60, "start": "2026-11-26T09:00:00Z", "end": "2026-11-26T10:00:00Z"}
    pair = {"controlScope": {"scope": control, **arm}, "experimentScope": {"scope": experiment, **arm}}
    return {"scopes": {"default": pair}, "thresholds": {"pass": 95, "marginal": 75, **thresholds}}


async def start(api: Api, document: dict[str, Any], path: str = START) -> tuple[int, Any]:
    return await api.call("POST", path, data=json.dumps(document).encode(), headers={"Content-Type": "application/json"})


@pytest.mark.parametrize(("word", "value"), [("promote", "1"), ("hold", "1"), ("pending", "1"), ("rollback", "0")])
async def test_a_metric_template_gets_a_sample_for_each_word(word: str, value: str) -> None:
    engine = Engine()
    async with serving(engine) as api:
        assert (await query(api, QUERY))[0] == 200
        [(release_id, begun)] = engine.submitted
        if (end := found(Word(word))(release_id)) is not None:
            engine.ends[release_id] = replace(end, decided_at=NOW)
            engine.releases[release_id] = replace(engine.releases[release_id], verdict=engine.ends[release_id])
        status, told = await query(api, QUERY)
    assert (status, told["status"], told["data"]["resultType"]) == (200, "success", "vector")
    [series] = told["data"]["result"]
    assert series["value"] == [NOW, value]
    assert (series["metric"]["__name__"], series["metric"]["release"]) == ("verdictd_gate", release_id)
    assert len(engine.submitted) == 1
    assert (begun.baseline.service, begun.canary.service, begun.namespace) == ("shop-primary", "shop-canary", "web")


async def test_flagger_s_probe_is_answered_and_what_is_no_question_is_refused_as_prometheus_does() -> None:
    async with serving() as api:
        status, told = await query(api, "vector(1)")
        assert (status, told["data"]["result"][0]["value"]) == (200, [NOW, "1"])
        for text in (
            "",
            "up",
            "verdictd_gate",
            'verdictd_gate{namespace="web"}',
            'verdictd_gate{namespace="web",workload="shop",workload="shop"}',
            'verdictd_gate{namespace="web",workload="shop",pod="x"}',
            'verdictd_gate{namespace="web",workload=~"shop"}',
            'verdictd_gate{namespace="web",workload="sh\\"op"}',
            'verdictd_gate{namespace="web",workload="shop",interval="often"}',
            'verdictd_gate{namespace="we.b",workload="shop"}',
            f"sum({QUERY})",
        ):
            status, told = await query(api, text)
            assert (status, told["status"], told["errorType"]) == (422, "error", "bad_data"), text
            assert "?query" in told["error"]
        assert api.engine.submitted == []


def test_a_question_may_say_service_mesh_policy_and_interval_in_any_order_and_with_blanks() -> None:
    text = ' verdictd_gate{ policy="strict", workload="shop" ,mesh="edge",service="till",interval="5m",namespace="web", } '
    question = prometheus.read(text)
    assert (question.release.service, question.release.mesh, question.release.policy) == ("till", "edge", "strict")
    assert question.silence_seconds == 900.0
    assert prometheus.read(QUERY).silence_seconds == 600.0


@pytest.mark.parametrize(
    ("word", "complete", "score", "classification"),
    [("promote", True, 100, "Pass"), ("rollback", True, 0, "Fail"), ("hold", True, 76, "Marginal"), ("pending", False, None, None)],
)
async def test_an_execution_has_a_score_for_each_word(word: str, complete: bool, score: int, classification: str) -> None:
    async with serving() as api:
        status, started = await start(api, execution())
        assert status == 200
        [(release_id, begun)] = api.engine.submitted
        if (end := found(Word(word))(release_id)) is not None:
            api.engine.ends[release_id] = end
        status, told = await api.call("GET", f"/gates/kayenta/canary/{started['canaryExecutionId']}?storageAccountName=")
    assert (status, told["complete"], told["status"]) == (200, complete, "succeeded" if complete else "running")
    assert (begun.service, begun.namespace, begun.policy) == ("shop", "web", "default")
    assert (begun.baseline.service, begun.canary.service) == ("shop-v1", "shop-v2")
    if complete:
        judged = told["result"]["judgeResult"]
        assert (judged["score"]["score"], judged["score"]["classification"]) == (score, classification)
        assert judged["results"][0]["controlMetadata"]["stats"]["count"] == 0
        assert told["result"]["canaryDuration"] == "PT999.000S"
        assert (told["startTimeIso"], told["endTimeIso"]) == ("1970-01-01T00:00:01.000Z", "1970-01-01T00:16:40.000Z")


async def test_each_interval_of_one_pipeline_s_run_is_one_release_and_another_run_or_time_is_another() -> None:
    later = execution()
    named = execution(experiment="service=shop-v3,attempt=7")
    for document in (later, named):
        document["scopes"]["default"]["experimentScope"]["end"] = "2026-11-26T11:00:00Z"
    async with serving() as api:
        for path, document, releases in (
            (f"{START}&parentPipelineExecutionId=run-1", execution(), 1),
            (f"{START}&parentPipelineExecutionId=run-1", later, 1),
            (f"{START}&parentPipelineExecutionId=run-2", later, 2),
            (START, execution(), 3),
            (START, execution(marginal=60.0), 3),
            (START, later, 4),
            (START, execution(experiment="service=shop-v3"), 5),
            (START, execution(experiment="service=shop-v3,attempt=7"), 6),
            (START, named, 6),
        ):
            assert (await start(api, document, path))[0] == 200
            assert len(api.engine.releases) == releases


async def test_scopes_are_arms_by_their_fields_or_labels_and_spinnaker_s_may_carry_the_rest() -> None:
    document = execution("rollouts-pod-template-hash=7c9d", "subset=canary, attempt=7, rollouts-pod-template-hash=85d5")
    pair = document["scopes"]["default"]
    pair["experimentScope"] |= {"location": "prod", "extendedScopeParams": {"verdictd": '{"mesh":"edge","weight":10}'}}
    async with serving() as api:
        assert (await start(api, document))[0] == 200
        [(_, begun)] = api.engine.submitted
    assert begun.baseline.labels == {"rollouts-pod-template-hash": "7c9d"}
    assert (begun.canary.subset, begun.canary.labels) == ("canary", {"rollouts-pod-template-hash": "85d5"})
    assert (begun.namespace, begun.mesh, begun.weight) == ("prod", "edge", 10.0)


def without_scopes(document: dict[str, Any]) -> None:
    document["scopes"] = {}


def two_pairs(document: dict[str, Any]) -> None:
    document["scopes"]["other"] = execution("service=a", "service=b")["scopes"]["default"]


def plain_scope(document: dict[str, Any]) -> None:
    document["scopes"]["default"]["controlScope"]["scope"] = "web"


def twice(document: dict[str, Any]) -> None:
    document["scopes"]["default"]["controlScope"]["scope"] = "service=a,service=b"


def no_room(document: dict[str, Any]) -> None:
    document["thresholds"] = {"pass": 76, "marginal": 75}


def nothing_fails(document: dict[str, Any]) -> None:
    document["thresholds"]["marginal"] = 0


@pytest.mark.parametrize(
    ("spoil", "path"),
    [
        (without_scopes, "$.scopes"),
        (two_pairs, "$.scopes"),
        (plain_scope, "$.scopes.default.controlScope.scope"),
        (twice, "$.scopes.default.controlScope.scope"),
        (no_room, "$.thresholds"),
        (nothing_fails, "$.thresholds"),
    ],
)
async def test_an_execution_that_cannot_be_judged_is_refused_with_place_and_mend(
    spoil: Callable[[dict[str, Any]], None], path: str
) -> None:
    document = execution()
    spoil(document)
    async with serving() as api:
        status, problem = await start(api, document)
        assert (status, problem["path"]) == (400, path)
        assert problem["fix"]
        assert (await start(api, execution(), f"{START}&parentPipelineExecutionId=%FF"))[0] == 400
        assert api.engine.submitted == []


async def test_every_policy_is_a_config_and_what_is_no_policy_and_no_execution_is_not_found() -> None:
    async with serving(policies=("default", "strict")) as api:
        _, configs = await api.call("GET", CONFIGS)
        assert [(one["id"], one["name"], one["applications"]) for one in configs] == [
            ("default", "default", ["shop"]),
            ("strict", "strict", ["shop"]),
        ]
        assert (await api.call("GET", "/gates/kayenta/credentials"))[1][0]["name"] == "verdictd"
        assert (await start(api, execution(), "/gates/kayenta/canary/lax?application=shop"))[0] == 404
        for name in ("shop-1", "shop-1.x", "shop-1.1000", "shop-1.76"):
            assert (await api.call("GET", f"/gates/kayenta/canary/{name}"))[0] == 404


async def test_a_stage_that_is_cancelled_leaves_the_watch_alone() -> None:
    async with serving() as api:
        _, started = await start(api, execution())
        assert (await api.call("PUT", f"/gates/kayenta/pipelines/{started['canaryExecutionId']}/cancel"))[0] == 200
        assert api.engine.commands == []


@pytest.mark.parametrize("broken", [Unavailable("the store is away"), Elsewhere("it is another verdictd's"), None])
async def test_a_daemon_that_cannot_answer_says_so_in_no_shape_that_could_be_taken_for_a_verdict(broken: Exception | None) -> None:
    async with serving(Engine(broken=broken, full=broken is None)) as api:
        assert (await query(api, QUERY))[0] == 503
        assert (await start(api, execution()))[0] == 503
        if broken is not None:
            assert (await api.call("GET", "/gates/kayenta/canary/shop-1.76"))[0] == 503


async def test_to_ask_by_get_needs_the_secret_too_and_no_page_of_another_site_may(gate: WriteGate) -> None:
    ours = gate(SECRET)
    shown = {"Authorization": f"Bearer {SECRET}"}
    path = PROMETHEUS + quote(QUERY)
    async with serving(gates=Gates(prometheus=ours, kayenta=ours)) as api:
        assert (await api.call("GET", path))[0] == 401
        assert (await api.call("GET", CONFIGS))[0] == 401
        assert (await api.call("GET", path, headers={**shown, "Sec-Fetch-Site": "cross-site"}))[0] == 403
        assert api.engine.submitted == []
        assert (await api.call("GET", path, headers=shown))[0] == 200


def test_the_score_to_hold_is_more_than_marginal_which_one_client_takes_for_a_failure() -> None:
    for marginal, between in ((75.0, 76), (75.9, 76), (0.5, 1)):
        document = json.dumps(execution(marginal=marginal)).encode()
        _, held = kayenta.read(document, hearing=Hearing(), config="default", application="shop", parent=None)
        assert held == between
        assert kayenta.execution_of(kayenta.execution_name("shop-1", between=held)) == ("shop-1", between)
