"""The thin client: the codes of the command, by one file that needs nothing of ours."""

import ast
import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
from msgspec.structs import replace

from config.settings import Gates, Http
from daemon import thinclient
from daemon.cli import main as command
from daemon.http.secrets import MIN_SECRET_CHARACTERS
from daemon.model import Action, Outcome, Stage
from tests.hand.api import RELEASE, TOKEN, Api, Engine, serving, verdict, view
from tests.hand.servers import Answer, says, stub
from tests.hand.waiting import until

SOURCE = Path(thinclient.__file__)
FIRST = (3, 9)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serving(Engine(releases={"shop-1": view("shop-1")})) as api:
        yield api


async def run(*argv: str, at: Api | str) -> int:
    server = at if isinstance(at, str) else at.server.address.url
    return await asyncio.to_thread(thinclient.main, [*argv, "--server", server])


def written(tmp_path: Path, document: object = RELEASE) -> str:
    path = tmp_path / "release.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


ENDS = [
    (Outcome.PROMOTE, Action.NONE, "promote"),
    (Outcome.ROLLBACK, Action.REVERT, "rollback"),
    (Outcome.ROLLBACK, Action.NONE, "rollback"),
    (Outcome.ROLLBACK, Action.FAILED, "rollback"),
    (Outcome.ROLLBACK, Action.BLOCKED, "rollback"),
    (Outcome.INCONCLUSIVE, Action.NONE, "hold"),
    (Outcome.INCONCLUSIVE, Action.NONE, "promote"),
    (Outcome.INCONCLUSIVE, Action.NONE, "rollback"),
]


@pytest.mark.parametrize("how", ["meaning", "outcome"])
@pytest.mark.parametrize(("outcome", "action", "meaning"), ENDS)
async def test_a_verdict_exits_as_the_command_does_and_says_the_same_of_the_traffic(
    api: Api, outcome: Outcome, action: Action, meaning: str, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = msgspec.structs.replace(verdict("shop-1", outcome), action=action, meaning=meaning)
    api.engine.ends["shop-1"] = said
    codes, words = [], []
    for client in (thinclient.main, command):
        argv = ["wait", "shop-1", "--exit", how, "--server", api.server.address.url]
        codes.append(await asyncio.to_thread(client, argv))
        words.append(
            {one for one in ("STILL GETS TRAFFIC", "keeps its traffic", "no traffic is moved") if one in capsys.readouterr().err}
        )
    assert codes[0] == codes[1]
    assert words[0] == words[1] or how == "meaning"


async def test_it_announces_waits_and_says_the_verdict_as_json(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(run("submit", written(tmp_path), "--wait", "--json", "--key", "build-7", at=api))
        await api.engine.waited_for.wait()
        [(release_id, _)] = api.engine.submitted
        api.engine.end(release_id, Outcome.PROMOTE)
    assert waiting.result() == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["outcome"] == "promote"
    assert f"{release_id} locating" in err
    assert await run("submit", written(tmp_path), "--key", "build-7", at=api) == 0
    assert capsys.readouterr().out.strip() == release_id


async def test_it_asks_the_gate_with_the_gate_s_secret_and_needs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "s" * MIN_SECRET_CHARACTERS
    file, token = tmp_path / "secret", tmp_path / "token"
    file.write_text(secret)
    token.write_text(TOKEN)
    gates = msgspec.convert({"http": {"secret_files": [str(file)]}}, Gates)
    argv = ("gate", written(tmp_path), "--attempt", "build-7")
    async with serving(http=Http(listen="127.0.0.1:0", token_file=str(token)), gates=gates) as api:
        assert await run(*argv, at=api) == 77
        monkeypatch.setenv("VERDICTD_TOKEN", f"{secret}\n")
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(run(*argv, at=api))
            await api.engine.waited_for.wait()
            [(release_id, _)] = api.engine.submitted
            api.engine.end(release_id, Outcome.ROLLBACK)
        assert waiting.result() == 1
    assert capsys.readouterr().out.startswith("rollback (revert) after")


async def test_without_a_verdict_the_codes_are_those_of_the_command(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run("wait", "shop-1", "--timeout", "50ms", at=api) == 3
    assert "no verdict on shop-1 within 0.05 s; the watch goes on" in capsys.readouterr().err
    assert await run("wait", "shop-9", "--patience", "0", at=api) == 66
    assert await run("wait", "shop-1", "--patience", "0", at="http://127.0.0.1:1") == 69
    assert await run("submit", str(tmp_path / "gone.json"), at=api) == 64
    assert await run("submit", written(tmp_path, []), at=api) == 64
    assert await run("submit", written(tmp_path, {**RELEASE, "policy": 7}), at=api) == 64
    for argv in ([], ["wait"], ["wait", "x", "--timeout", "5 minutes"], ["status", "--server", "ftp://x"]):
        assert await asyncio.to_thread(thinclient.main, argv) == 64
    assert await asyncio.to_thread(thinclient.main, ["--help"]) == 0


async def test_a_release_that_is_written_as_yaml_is_refused_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "release.yaml"
    file.write_text("service: shop\n")
    assert await run("submit", str(file), at="http://127.0.0.1:1") == 64
    assert "write the release as JSON" in capsys.readouterr().err


async def test_all_releases_are_listed_over_all_pages_and_one_by_its_id(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.engine.releases |= {f"shop-{number}": view(f"shop-{number}", submitted_at=number) for number in range(2, 150)}
    assert await run("status", at=api) == 0
    assert len(capsys.readouterr().out.splitlines()) == 149
    assert await run("status", "shop-1", "--json", at=api) == 0
    assert json.loads(capsys.readouterr().out)["stage"] == Stage.WATCHING
    assert await run("status", "shop-999", at=api) == 66


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (says(status=302, Location="http://127.0.0.1:1/"), 64),
        (says(status=500), 69),
        (says(status=404), 69),
        (says("<html>"), 69),
        (says({"outcome": "great"}), 69),
    ],
)
async def test_what_is_no_answer_of_a_daemon_is_no_verdict(answer: Answer, code: int) -> None:
    async with stub(answer) as daemon:
        assert await run("wait", "shop-1", "--patience", "0", at=daemon.url) == code


async def test_it_polls_for_shorter_where_the_daemon_allows_no_longer_polls() -> None:
    engine = Engine(releases={"shop-1": view("shop-1")})
    async with serving(engine, Http(listen="127.0.0.1:0", max_wait_seconds=2.0)) as api, asyncio.TaskGroup() as group:
        waiting = group.create_task(run("wait", "shop-1", at=api))
        await engine.waited_for.wait()
        engine.end("shop-1", Outcome.PROMOTE)
    assert waiting.result() == 0


async def test_it_says_at_once_for_whom_it_waits_and_goes_on_waiting(capsys: pytest.CaptureFixture[str]) -> None:
    engine, said = Engine(releases={"shop-1": view("shop-1")}), list[str]()

    def heard(words: str) -> bool:
        said.append(capsys.readouterr().err)
        return words in "".join(said)

    async with serving(engine, Http(listen="127.0.0.1:0", max_wait_seconds=1.0)) as api, asyncio.TaskGroup() as group:
        waiting = group.create_task(run("wait", "shop-1", at=api))
        await until(lambda: heard("shop-1 watching"))
        engine.releases["shop-1"] = replace(view("shop-1"), waits_until=2e9, waiting_for="a person's word until then")
        await until(lambda: heard("a person's word until then"))
        engine.end("shop-1", Outcome.PROMOTE)
    assert waiting.result() == 0


async def test_where_polls_may_last_no_second_it_asks_now_and_then_and_not_ever_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, slept = Engine(releases={"shop-1": view("shop-1")}), list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 4:
            engine.end("shop-1", Outcome.PROMOTE)

    monkeypatch.setattr("daemon.thinclient.time.sleep", sleep)
    async with serving(engine, Http(listen="127.0.0.1:0", max_wait_seconds=0.2)) as api:
        assert await run("wait", "shop-1", at=api) == 0
    assert slept[0] == 0.0
    assert all(0.5 <= pause <= 1.5 for pause in slept[1:]), slept
    assert not engine.waited_for.is_set()


def test_its_syntax_is_that_of_python_3_9_and_it_imports_nothing_but_the_standard_library() -> None:
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"), feature_version=FIRST)
    names = {one.name for node in ast.walk(tree) if isinstance(node, ast.Import) for one in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
    assert f"Python {FIRST[0]}.{FIRST[1]} or newer" in (ast.get_docstring(tree) or "")


async def test_the_daemon_hands_it_out_and_it_runs_where_nothing_is_installed(tmp_path: Path) -> None:
    """``-I -S``: neither our packages nor anybody's are on the path; the folder is another."""
    async with serving(Engine(releases={"shop-1": view("shop-1")})) as api, aiohttp.ClientSession() as session:
        async with session.get(f"{api.server.address.url}/client") as response:
            assert (response.status, response.content_type) == (200, "text/x-python")
            handed = await response.read()
        assert handed == await asyncio.to_thread(SOURCE.read_bytes)
        file = tmp_path / "verdictd.py"
        file.write_bytes(handed)
        api.engine.end("shop-1", Outcome.ROLLBACK)
        for then, read in (("", "rollback (revert) after"), (">&-", ""), ("> /dev/full", ""), ("| true", "")):
            wait = f"'{sys.executable}' -I -S verdictd.py wait shop-1 --server {api.server.address.url}"
            line = f"{wait} {then}; exit ${{PIPESTATUS[0]}}"
            process = await asyncio.create_subprocess_exec(
                "bash", "-c", line, cwd=tmp_path, env={"PATH": os.defpath},
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            out, err = await process.communicate()
            assert process.returncode == 1, (then, err)
            assert out.decode().startswith(read)
