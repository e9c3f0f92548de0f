"""Freezes over HTTP."""

from pathlib import Path

from config.settings import Http
from daemon.interventions import Freeze
from tests.hand.api import NOW, Engine, serving

FREEZE = {"namespace": "shop", "by": "ana", "reason": "migration", "since": NOW, "until": NOW + 7200.0}


async def test_a_freeze_is_begun_listed_measured_and_ended() -> None:
    async with serving() as api:
        wanted = {"namespace": "shop", "seconds": 7200, "by": "ana", "reason": "migration"}
        assert await api.call("POST", "/v1/freezes", json=wanted) == (200, FREEZE)
        assert await api.call("GET", "/v1/freezes") == (200, {"freezes": [FREEZE]})
        assert 'verdictd_frozen{namespace="shop"} 1.0' in (await api.call("GET", "/metrics"))[1]
        assert await api.call("DELETE", "/v1/freezes?namespace=shop", json={"by": "ben", "reason": "done"}) == (200, FREEZE)
        assert await api.call("GET", "/v1/freezes") == (200, {"freezes": []})
        assert "verdictd_frozen{" not in (await api.call("GET", "/metrics"))[1]
        assert (await api.call("DELETE", "/v1/freezes?namespace=shop"))[0] == 404


async def test_without_a_namespace_everything_is_frozen_and_without_seconds_until_it_is_thawed() -> None:
    engine = Engine()
    async with serving(engine) as api:
        status, _ = await api.call("POST", "/v1/freezes", json={"by": "ana"})
        assert status == 200
        assert engine.freezes == [Freeze(by="ana", since=NOW)]
        assert (await api.call("DELETE", "/v1/freezes"))[0] == 200


async def test_what_is_wrong_with_one_is_said_with_its_path() -> None:
    async with serving() as api:
        for wanted, path in (
            ({"namespace": "a.b"}, "$.namespace"),
            ({"seconds": 0}, "$.seconds"),
            ({"seconds": 1e300}, "$.seconds"),
            ({"namespce": "shop"}, "$.namespce"),
            ([], "$"),
        ):
            status, problem = await api.call("POST", "/v1/freezes", json=wanted)
            assert (status, problem["path"]) == (400, path), wanted
        status, problem = await api.call("DELETE", "/v1/freezes?namespace=a.b")
        assert (status, problem["path"]) == (400, "?namespace")


async def test_whoever_has_no_token_freezes_nothing(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret-s3cret-s3cret", encoding="utf-8")
    async with serving(http=Http(listen="127.0.0.1:0", token_file=str(token))) as api:
        assert (await api.call("POST", "/v1/freezes", json={}))[0] == 401
        assert (await api.call("DELETE", "/v1/freezes"))[0] == 401
        assert (await api.call("GET", "/v1/freezes"))[0] == 200
