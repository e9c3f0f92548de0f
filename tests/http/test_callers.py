"""Who may do what, and where: each caller's token has its scopes, and the namespaces and policies that it may name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigError
from config.settings import Caller, Hook, Http, Scope
from daemon.errors import Unavailable
from daemon.http.callers import Callers
from daemon.http.secrets import REFRESH_SECONDS
from tests.hand.api import RELEASE, TOKEN, Engine, serving, view

SCOPES: list[Scope] = ["submit", "command", "freeze", "read"]
CI = "ci-0123456789abcdef"
READER = "reader-0123456789abcdef"
FREEZE = {"namespace": "web", "seconds": 60, "reason": "migration"}
CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("submit", "POST /v1/releases", {"json": RELEASE}),
    ("submit", "POST /hooks/ci", {"json": RELEASE}),
    ("submit", "POST /gates/http", {"json": {"attempt": "1", "verdictd": RELEASE}}),
    ("command", "POST /v1/releases/shop-1/rollback", {}),
    ("command", "POST /v1/releases/shop-1/promote", {}),
    ("command", "POST /v1/releases/shop-1/cancel", {}),
    ("freeze", "POST /v1/freezes", {"json": FREEZE}),
    ("freeze", "DELETE /v1/freezes?namespace=web", {}),
    ("read", "GET /v1/releases", {}),
    ("read", "GET /v1/releases/shop-1", {}),
    ("read", "GET /v1/releases/shop-1/verdict", {}),
    ("read", "GET /v1/releases/shop-1/record", {}),
    ("read", "GET /v1/freezes", {}),
    ("read", "GET /v1/questions", {}),
    ("read", "GET /metrics", {}),
]
HOOKS = {"ci": Hook(sender="cloudevents")}

Made = Callable[..., Http]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    def make(**said: Any) -> Http:
        token, ci = tmp_path / "token", tmp_path / "ci"
        token.write_text(TOKEN, encoding="utf-8")
        ci.write_text(CI, encoding="utf-8")
        caller = Caller(token_file=str(ci), **{"scopes": SCOPES, **said})
        return Http(listen="127.0.0.1:0", token_file=str(token), callers={"ci": caller}, read="token")

    return make


def shows(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def engine() -> Engine:
    return Engine(releases={"shop-1": view("shop-1")})


@pytest.mark.parametrize("allowed", SCOPES)
async def test_a_caller_may_do_what_its_scopes_say_and_is_told_what_it_lacks(made: Made, allowed: Scope) -> None:
    async with serving(engine(), made(scopes=[allowed]), hooks=HOOKS) as api:
        for scope, call, options in CALLS:
            method, path = call.split()
            status, body = await api.call(method, path, headers=shows(CI), **options)
            if scope == allowed:
                assert status not in {401, 403}, (call, body)
            else:
                assert (status, body["path"]) == (403, "Authorization"), call
                assert body["detail"] == f"the caller 'ci' may not {scope}: its scopes are {allowed}"
                assert f"add {scope} to http.callers.ci.scopes" in body["fix"]


async def test_a_wrong_token_is_401_everywhere_and_the_one_of_the_daemon_may_do_everything(made: Made) -> None:
    async with serving(engine(), made(scopes=["read"]), hooks=HOOKS) as api:
        for _, call, options in CALLS:
            method, path = call.split()
            for headers in ({}, shows(f"{CI}x"), {"Authorization": CI}):
                assert (await api.call(method, path, headers=headers, **options))[0] == 401, call
        assert not [*api.engine.submitted, *api.engine.commands, *api.engine.freezes]
        for _, call, options in CALLS:
            method, path = call.split()
            assert (await api.call(method, path, headers=shows(TOKEN), **options))[0] not in {401, 403}, call


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json", "/client"])
async def test_probes_and_what_tells_no_release_stay_open_where_reading_takes_a_token(made: Made, path: str) -> None:
    async with serving(engine(), made()) as api:
        assert (await api.call("GET", path))[0] == 200


@pytest.mark.parametrize(("said", "path"), [({"namespaces": ["pay"]}, "$.namespace"), ({"policies": ["strict"]}, "$.policy")])
async def test_what_a_caller_may_not_name_is_403_by_every_way_to_announce(made: Made, said: dict[str, Any], path: str) -> None:
    async with serving(engine(), made(**said), hooks=HOOKS) as api:
        for scope, call, options in CALLS:
            method, where = call.split()
            status, body = await api.call(method, where, headers=shows(CI), **options)
            if scope == "submit" or (scope in {"command", "freeze"} and "namespaces" in said):
                assert (status, body["path"]) == (403, path), call
                assert "http.callers.ci." in body["fix"]
        assert api.engine.submitted == []
        assert api.engine.events == {}
        assert (api.engine.commands == []) == ("namespaces" in said)


async def test_a_caller_of_one_namespace_freezes_there_and_not_everywhere(made: Made) -> None:
    async with serving(engine(), made(namespaces=["web"])) as api:
        assert (await api.call("POST", "/v1/freezes", json=FREEZE, headers=shows(CI)))[0] == 200
        status, body = await api.call("POST", "/v1/freezes", json={"seconds": 60}, headers=shows(CI))
        assert (status, body["fix"]) == (403, "leave http.callers.ci.namespaces out, or show another caller's token")
        assert (await api.call("DELETE", "/v1/freezes", headers=shows(CI)))[0] == 403


async def test_who_says_nothing_of_who_it_is_stands_in_the_records_by_its_token(made: Made) -> None:
    async with serving(engine(), made()) as api:
        rollback = "/v1/releases/shop-1/rollback"
        for token, said in ((CI, {}), (CI, {"by": "ana"}), (TOKEN, {})):
            assert (await api.call("POST", rollback, json=said, headers=shows(token)))[0] == 202
        assert [command.by for _, command in api.engine.commands] == ["ci", "ana", "http.token_file"]
        assert (await api.call("POST", "/v1/freezes", json=FREEZE, headers=shows(CI)))[1]["by"] == "ci"


async def test_who_called_is_logged_and_no_token_is(made: Made, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with serving(engine(), made(scopes=["command"])) as api:
        await api.call("POST", "/v1/releases/shop-1/rollback", headers=shows(CI))
        await api.call("POST", "/v1/freezes", json=FREEZE, headers=shows(CI))
    told = {record.message: record.__dict__ for record in caplog.records}
    assert (told["a request"]["caller"], told["a request"]["route"]) == ("ci", "/v1/releases/shop-1/rollback")
    assert "may not freeze" in told["a request was not allowed"]["reason"]
    assert CI not in str(told)


async def test_tokens_are_read_anew_and_several_are_right_at_once(tmp_path: Path) -> None:
    file, now = tmp_path / "ci", [0.0]
    file.write_text(f"{CI}\n{READER}\n", encoding="utf-8")
    http = Http(callers={"ci": Caller(token_file=str(file), scopes=["read"])})
    callers = Callers(http, now=lambda: now[0])
    callers.read()
    assert [await callers.showing(token.encode()) for token in (CI, READER)] == [await callers.showing(CI.encode())] * 2
    file.write_text(READER, encoding="utf-8")
    now[0] = REFRESH_SECONDS
    assert await callers.showing(CI.encode()) is None
    assert await callers.showing(READER.encode()) is not None
    file.unlink()
    now[0] = 2 * REFRESH_SECONDS
    with pytest.raises(Unavailable):
        await callers.showing(READER.encode())


async def test_one_token_of_two_callers_is_refused_at_the_start_and_lets_nobody_in_later(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(CI, encoding="utf-8")
    callers = {name: Caller(token_file=str(tmp_path / "a"), scopes=["read"]) for name in ("one", "two")}
    with pytest.raises(ConfigError, match=r"http\.callers\.two\.token_file.*http\.callers\.one\.token_file holds too"):
        Callers(Http(callers=callers)).read()
    with pytest.raises(Unavailable, match="more than one caller"):
        await Callers(Http(callers=callers)).showing(CI.encode())


@pytest.mark.parametrize(
    ("content", "wrong"), [(f"{CI}\nshort", "is too short"), (f"{CI} {READER}", "holds a blank"), ("ü" * 16, "is not ASCII")]
)
def test_a_file_with_a_token_that_cannot_be_used_is_refused_at_the_start(tmp_path: Path, content: str, wrong: str) -> None:
    (tmp_path / "a").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=wrong) as caught:
        Callers(Http(callers={"ci": Caller(token_file=str(tmp_path / "a"), scopes=["read"])})).read()
    assert caught.value.faults[0].path == "http.callers.ci.token_file"


def test_reading_by_token_without_any_token_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigError, match=r"http\.read"):
        Callers(Http(read="token")).read()
