"""The gates over HTTP: what each word is to each asker, who may ask, and that to ask is what begins a watch, once."""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from analyzers.counts import Effect, Signal
from config.errors import ConfigError
from config.settings import Gate, Gates, Http
from daemon.errors import Elsewhere, Unavailable
from daemon.http.api.gates import STATUSES
from daemon.http.gates import access
from daemon.http.gates.asking import Attempt, Desk, Word
from daemon.http.gates.flagger import YES
from daemon.http.waiting import Waiting
from daemon.model import Outcome, Verdict
from tests.hand.api import RELEASE, TOKEN, Api, Engine, release, serving, verdict, view

SECRET = "shared with the controller"
QUESTION = {"attempt": "shop/7c9d5f", "verdictd": RELEASE}
HOOK = {"name": "shop", "namespace": "web", "phase": "Progressing", "checksum": "85d557f47b"}

WriteGate = Callable[..., Gate]


@pytest.fixture
def gate(tmp_path: Path) -> WriteGate:
    """Makes a gate whose secrets are in files."""

    def write(*values: str) -> Gate:
        files = [tmp_path / f"gate-{number}" for number, _ in enumerate(values)]
        for file, value in zip(files, values, strict=True):
            file.write_text(f"{value}\n")
        return Gate(secret_files=[str(file) for file in files])

    return write


def found(word: Word) -> Callable[[str], Verdict | None]:
    """The verdict that means it; null for none yet."""
    outcomes = {Word.PROMOTE: Outcome.PROMOTE, Word.ROLLBACK: Outcome.ROLLBACK, Word.HOLD: Outcome.INCONCLUSIVE}
    return lambda release_id: verdict(release_id, outcomes[word]) if word in outcomes else None


async def ask(api: Api, path: str, document: Any, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return await api.call("POST", path, data=body, headers={"Content-Type": "application/json", **(headers or {})})


async def decided(api: Api, path: str, document: Any, word: Word) -> tuple[int, Any]:
    """Ask twice: the first begins the watch, the second is answered once there is this word."""
    await ask(api, path, document)
    [(release_id, _)] = api.engine.submitted
    if (end := found(word)(release_id)) is not None:
        api.engine.ends[release_id] = end
    return await ask(api, path, document)


@pytest.mark.parametrize("word", Word)
async def test_the_http_gate_says_each_word_as_json_and_by_the_status_where_that_is_asked_for(word: Word) -> None:
    async with serving() as api:
        status, told = await decided(api, "/gates/http", QUESTION, word)
        assert (status, told["verdict"], told["release"]) == (200, word, api.engine.submitted[0][0])
        status, told = await ask(api, "/gates/http?answer=status", QUESTION)
        assert (status, told["verdict"]) == (STATUSES[word], word)
    assert len(set(STATUSES.values())) == len(Word)
    assert ("outcome" in told) == (word is not Word.PENDING)


@pytest.mark.parametrize("word", Word)
async def test_argo_s_metric_is_answered_with_200_and_json_whatever_the_word_is(word: Word) -> None:
    async with serving() as api:
        status, told = await decided(api, "/gates/argo", QUESTION, word)
    assert (status, told["verdict"]) == (200, word)


@pytest.mark.parametrize(
    ("kind", "yes"),
    [
        ("rollout", {"promote", "hold", "pending"}),
        ("confirm-traffic-increase", {"promote", "pending"}),
        ("confirm-promotion", {"promote"}),
        ("rollback", {"rollback"}),
    ],
)
@pytest.mark.parametrize("word", Word)
async def test_a_webhook_of_flagger_is_yes_or_no_for_each_word(kind: str, yes: set[str], word: Word) -> None:
    async with serving() as api:
        status, text = await decided(api, f"/gates/flagger/{kind}", HOOK, word)
    assert status == (200 if word in yes else 403)
    assert text.startswith(f"{word}: ")


async def test_before_flagger_s_rollout_it_is_said_that_it_may_begin_whatever_the_last_try_came_to() -> None:
    async with serving() as api:
        assert (await decided(api, "/gates/flagger/rollout", HOOK, Word.ROLLBACK))[0] == 403
        assert (await ask(api, "/gates/flagger/confirm-rollout", HOOK))[0] == 200
        assert (await ask(api, "/gates/flagger/confirm-rollout", {**HOOK, "checksum": "new"}))[0] == 200
        assert len(api.engine.submitted) == 1
        assert (await ask(api, "/gates/flagger/confirm-rollout", {**HOOK, "metadata": {"verdictd": "{}]"}}))[0] == 400
        unknown = {**HOOK, "metadata": {"policy": "strict"}}
        assert (await ask(api, "/gates/flagger/confirm-rollout", unknown))[1]["path"] == "$.metadata.policy"
        api.components["nats"] = "no write has succeeded for 12 s"
        assert (await ask(api, "/gates/flagger/confirm-rollout", HOOK))[0] == 503
        assert (await ask(api, "/gates/flagger/pre-rollout", HOOK))[1]["fix"].startswith("use confirm-rollout,")
    assert set(YES) == {"confirm-rollout", "rollout", "confirm-traffic-increase", "confirm-promotion", "rollback"}


async def test_the_release_of_a_webhook_is_what_flagger_makes_of_a_canary_unless_its_metadata_say_otherwise() -> None:
    ours = json.dumps({"mesh": "edge", "canary": {"workload": "shop"}})
    async with serving() as api:
        await ask(api, "/gates/flagger/rollback", HOOK)
        await ask(api, "/gates/flagger/rollback", {**HOOK, "metadata": {"service": "till", "policy": "strict", "verdictd": ours}})
        (_, plain), (_, said) = api.engine.submitted
    assert (plain.service, plain.namespace) == ("shop", "web")
    assert (plain.baseline.service, plain.canary.service) == ("shop-primary", "shop-canary")
    assert (said.service, said.policy, said.mesh, said.baseline.service) == ("till", "strict", "edge", "till-primary")
    assert (said.canary.workload, said.canary.service) == ("shop", None)


async def test_what_a_policy_makes_of_an_inconclusive_verdict_is_what_every_gate_says() -> None:
    async with serving() as api:
        await ask(api, "/gates/http", QUESTION)
        [(release_id, _)] = api.engine.submitted
        api.engine.ends[release_id] = replace(verdict(release_id, Outcome.INCONCLUSIVE), meaning="rollback")
        status, told = await ask(api, "/gates/http?answer=status", QUESTION)
    assert (status, told["verdict"], told["outcome"]) == (403, "rollback", "inconclusive")


async def test_an_attempt_is_one_release_at_whichever_gate_and_another_attempt_or_service_is_another() -> None:
    async with serving() as api:
        for path in ("/gates/http", "/gates/argo", "/gates/http?answer=status"):
            await ask(api, path, QUESTION)
            await ask(api, path, {**QUESTION, "verdictd": json.dumps({**RELEASE, "weight": 50})})
        assert len(api.engine.submitted) == 1
        for other in ({**QUESTION, "attempt": "2"}, {**QUESTION, "verdictd": {**RELEASE, "service": "till"}}):
            await ask(api, "/gates/argo", other)
        await ask(api, "/gates/argo", {**QUESTION, "verdictd": {**RELEASE, "namespace": "n"}})
    assert len({release_id for release_id, _ in api.engine.submitted}) == 4


async def test_a_thousand_questions_at_once_about_an_unknown_attempt_are_one_release() -> None:
    async with serving(connections=200, per_peer=200) as api:
        answers = await asyncio.gather(*(ask(api, "/gates/argo", QUESTION) for _ in range(1000)))
        assert {status for status, _ in answers} == {200}
    assert len(api.engine.releases) == 1


async def test_a_verdict_is_waited_for_as_long_as_is_asked_and_let_go_when_the_daemon_stops() -> None:
    engine = Engine()
    async with asyncio.timeout(40), asyncio.TaskGroup() as group, serving(engine) as api:
        waiting = group.create_task(ask(api, "/gates/http?wait=60&answer=status", QUESTION))
        await engine.waited_for.wait()
        [release_id] = engine.releases
        engine.ends[release_id] = verdict(release_id)
        engine.changed.set()
        assert (await waiting)[0] == 403
        assert (await ask(api, "/gates/http?wait=301", QUESTION))[1]["path"] == "?wait"
        assert (await ask(api, "/gates/http?answer=yes", QUESTION))[1]["path"] == "?answer"
        engine.waited_for.clear()
        let_go = group.create_task(ask(api, "/gates/http?wait=60&answer=status", {**QUESTION, "attempt": "2"}))
        await engine.waited_for.wait()
        group.create_task(api.server.__aexit__(None, None, None))
        assert (await let_go)[0] == 202


@pytest.mark.parametrize("effect", [None, "says", "holds", "excuses"])
async def test_a_return_is_told_to_go_on_at_once_but_where_something_speaks_against_it(effect: Effect | None) -> None:
    signals = () if effect is None else (Signal(kind="not_ready", about="canary", effect=effect, words="no pod is ready"),)
    back = replace(view("shop-1"), returns="a return to shop:v1, which release shop-0 promoted on 2026-01-02", signals=signals)
    engine = Engine(releases={"shop-1": back})
    desk = Desk(engine, engine, Waiting(), cluster="prod")
    told = await desk.known("shop-1")
    assert told.outcome is None
    if effect in {"holds", "excuses"}:
        assert told.verdict is Word.PENDING
        return
    assert told.verdict is Word.PROMOTE
    assert told.reason.startswith("a return to shop:v1, which release shop-0 promoted on 2026-01-02; it is watched all the same: ")
    async with asyncio.timeout(20):
        assert await desk.known("shop-1", wait_seconds=3600.0) == told
    engine.end("shop-1")
    assert (await desk.known("shop-1")).verdict is Word.ROLLBACK


async def test_the_same_attempt_in_two_clusters_is_two_releases() -> None:
    engine = Engine()
    asked = Attempt(release=release(), key="7c9d5f", gate="http")
    told = [await Desk(engine, engine, Waiting(), cluster=cluster).ask(asked) for cluster in ("east", "west", "east")]
    assert told[0].release == told[2].release != told[1].release


async def test_while_the_daemon_stops_nothing_is_waited_for() -> None:
    waiting = Waiting()
    waiting.close()
    engine = Engine(releases={"shop-1": view("shop-1")})
    async with asyncio.timeout(20):
        told = await Desk(engine, engine, waiting, cluster="prod").known("shop-1", wait_seconds=3600.0)
    assert told.verdict is Word.PENDING


@pytest.mark.parametrize("path", ["/gates/http?answer=status", "/gates/argo", "/gates/flagger/rollback", "/gates/flagger/rollout"])
@pytest.mark.parametrize("broken", [Unavailable("the store is away"), Elsewhere("it is another verdictd's"), None])
async def test_a_daemon_that_cannot_answer_says_so_and_neither_yes_nor_no(path: str, broken: Exception | None) -> None:
    async with serving(Engine(broken=broken, full=broken is None)) as api:
        status, problem = await ask(api, path, HOOK if "flagger" in path else QUESTION)
    assert (status, problem["status"]) == (503, 503)


@pytest.mark.parametrize(
    ("document", "paths"),
    [
        (b"", ["$"]),
        ([], ["$"]),
        ({"verdictd": RELEASE}, ["$.attempt"]),
        ({"attempt": ""}, ["$.attempt"]),
        ({"attempt": "7"}, ["$.verdictd"]),
        ({"attempt": "7", "verdictd": "{"}, ["$.verdictd"]),
        ({"attempt": "7", "verdictd": {**RELEASE, "weight": "x", "canary": {}}}, ["$.verdictd.weight", "$.verdictd.canary"]),
        ({**QUESTION, "atempt": "7"}, ["$.atempt"]),
    ],
)
async def test_what_cannot_be_asked_is_refused_with_every_place_and_mend(document: Any, paths: list[str]) -> None:
    async with serving() as api:
        for path in ("/gates/http", "/gates/argo"):
            status, problem = await ask(api, path, document)
            places = [fault["path"] for fault in problem.get("errors", [problem])]
            assert (status, places) == (400, paths)
            assert all(fault["fix"] for fault in problem.get("errors", [problem]))
        assert api.engine.submitted == []


async def test_a_gate_is_opened_by_its_own_secrets_as_token_or_password_and_by_no_other(gate: WriteGate, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    http = Http(listen="127.0.0.1:0", token_file=str(tmp_path / "token"))
    gates = Gates(argo=gate(SECRET, "the secret before that"))
    basic = {"Authorization": "Basic dmVyZGljdGQ6c2hhcmVkIHdpdGggdGhlIGNvbnRyb2xsZXI="}
    async with serving(http=http, gates=gates) as api:
        for path, headers, status in (
            ("/gates/argo", {"Authorization": f"Bearer {SECRET}"}, 200),
            ("/gates/argo", {"Authorization": "bearer the secret before that"}, 200),
            ("/gates/argo", basic, 200),
            ("/gates/argo", {"Authorization": "Basic !"}, 401),
            ("/gates/argo", {"Authorization": SECRET}, 401),
            ("/gates/argo", {"Authorization": f"Bearer {TOKEN}"}, 401),
            ("/gates/argo", {}, 401),
            ("/gates/http", basic, 401),
            ("/gates/http", {"Authorization": f"Bearer {TOKEN}"}, 200),
            ("/v1/releases", {"Authorization": f"Bearer {SECRET}"}, 401),
        ):
            assert (await ask(api, path, QUESTION, headers))[0] == status, (path, headers)
        api_releases = len(api.engine.releases)
        assert (await ask(api, "/gates/argo", {**QUESTION, "attempt": "2"}, {"Sec-Fetch-Site": "cross-site", **basic}))[0] == 403
        assert len(api.engine.releases) == api_releases == 1


async def test_a_secret_that_cannot_be_read_opens_and_shuts_nothing(gate: WriteGate) -> None:
    ours = gate(SECRET)
    with pytest.raises(ConfigError) as caught:
        access.read_secrets(Gates(http=Gate(secret_files=["/nowhere/a"]), kayenta=Gate(secret_files=["/nowhere/b"])))
    assert [fault.path for fault in caught.value.faults] == ["gates.http.secret_files[0]", "gates.kayenta.secret_files[0]"]
    access.read_secrets(Gates(http=ours))
    async with serving(gates=Gates(http=Gate(secret_files=[*ours.secret_files, "/nowhere/a"]))) as api:
        assert (await ask(api, "/gates/http", QUESTION, {"Authorization": f"Bearer {SECRET}"}))[0] == 200
        assert (await ask(api, "/gates/http", QUESTION))[0] == 503
