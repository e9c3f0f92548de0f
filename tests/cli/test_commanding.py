"""A person's word on a release that is being watched: who, why, and what the daemon makes of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from config.settings import Http
from daemon.cli import commanding, main
from daemon.interventions import Command
from tests.hand.api import TOKEN, Api, Engine, serving, view


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serving(Engine(releases={"shop-1": view("shop-1")})) as api:
        yield api


async def command(api: Api, *argv: str) -> int:
    return await asyncio.to_thread(main, [*argv, "--server", api.server.address.url])


@pytest.mark.parametrize("word", ["promote", "rollback", "cancel"])
async def test_the_daemon_hears_the_word_who_says_it_and_why(api: Api, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert await command(api, word, "shop-1", "--reason", "looks bad", "--by", "ada") == 0
    [(release_id, heard)] = api.engine.commands
    assert (release_id, heard) == ("shop-1", Command(command=heard.command, by="ada", reason="looks bad"))
    assert heard.command == word
    assert f"{word} is heard; verdictd wait shop-1" in capsys.readouterr().out


async def test_whom_the_pipeline_names_says_it_else_the_user(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_USER_ID"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("getpass.getuser", lambda: "root")
    await command(api, "promote", "shop-1")
    monkeypatch.setenv("GITLAB_USER_LOGIN", "bob")
    await command(api, "promote", "shop-1")
    assert [heard.by for _, heard in api.engine.commands] == ["root", "bob"]


def test_a_user_without_a_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 65532")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert commanding._who({}) == "unknown"


async def test_what_has_its_verdict_is_said_and_exits_69(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.engine.end("shop-1")
    assert await command(api, "rollback", "shop-1") == 69
    assert "has its verdict already" in capsys.readouterr().err
    assert await command(api, "rollback", "shop-9") == 66


async def test_a_reason_that_is_too_long_is_refused_here(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    assert await command(api, "cancel", "shop-1", "--reason", "x" * 1025) == 64
    assert "--reason: has 1025 characters; use 1024 at most" in capsys.readouterr().err


async def test_it_needs_the_token_which_may_stand_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    wrong = tmp_path / "wrong"
    wrong.write_text("another-token-of-some-length")
    http = Http(listen="127.0.0.1:0", token_file=str(file))
    async with serving(Engine(releases={"shop-1": view("shop-1")}), http) as api:
        monkeypatch.delenv("VERDICTD_TOKEN", raising=False)
        monkeypatch.delenv("VERDICTD_TOKEN_FILE", raising=False)
        assert await command(api, "promote", "shop-1") == 77
        monkeypatch.setenv("VERDICTD_TOKEN_FILE", str(file))
        assert await command(api, "promote", "shop-1") == 0
        monkeypatch.setenv("VERDICTD_TOKEN_FILE", str(wrong))
        monkeypatch.setenv("VERDICTD_TOKEN", f"{TOKEN}\n")
        assert await command(api, "promote", "shop-1") == 0
        assert await command(api, "promote", "shop-1", "--token-file", str(wrong)) == 77
