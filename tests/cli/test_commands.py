"""The commands against a real API: what they print and how they exit."""

import asyncio
import contextlib
import io
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from config.settings import Http
from daemon.cli import main
from daemon.cli.apiclient import ApiClient
from daemon.cli.rendering import ProgressLine, no_verdict
from daemon.cli.waiting import Wait
from daemon.errors import NotFound
from daemon.model import Outcome, Stage
from daemon.releaseview import ReleaseView
from tests.hand.api import RELEASE, TOKEN, Api, Engine, serving, view
from tests.hand.servers import says, stub
from tests.hand.waiting import until
from tests.servers.run import free_ports


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serving(Engine(releases={"shop-1": view("shop-1")})) as api:
        yield api


class Forgetful(Engine):
    """Does not know its releases yet, and counts who asks."""

    asked = 0

    async def view(self, release_id: str) -> ReleaseView:
        self.asked += 1
        return await super().view(release_id)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


async def command(*argv: str) -> int:
    """Run a command beside the server."""
    return await asyncio.to_thread(main, argv)


def at(api: Api) -> list[str]:
    return ["--server", api.server.address.url]


def written(tmp_path: Path, document: object) -> str:
    path = tmp_path / "release.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(("outcome", "code"), [(Outcome.PROMOTE, 0), (Outcome.ROLLBACK, 1), (Outcome.INCONCLUSIVE, 2)])
async def test_wait_exits_as_the_verdict_says(api: Api, outcome: Outcome, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    api.engine.end("shop-1", outcome)
    assert await command("wait", "shop-1", *at(api)) == code
    assert capsys.readouterr().out.startswith(f"{outcome.value} (")


async def test_wait_waits_for_the_verdict_and_prints_it_as_json(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(command("wait", "shop-1", "--json", *at(api)))
        await api.engine.waited_for.wait()
        api.engine.end("shop-1", Outcome.PROMOTE)
    assert waiting.result() == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == "promote"


async def test_wait_exits_3_when_the_time_is_over(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    assert await command("wait", "shop-1", "--timeout", "0.05", *at(api)) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "no verdict on shop-1 within 0.05 s" in err
    assert "shop-1 watching  evidence 10 of 100" in err


async def test_wait_exits_69_when_the_daemon_cannot_be_reached(capsys: pytest.CaptureFixture[str]) -> None:
    assert await command("wait", "shop-1", "--patience", "0", "--server", "http://127.0.0.1:1") == 69
    assert "cannot be reached" in capsys.readouterr().err


async def test_wait_exits_66_for_a_release_that_is_not_known(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    assert await command("wait", "shop-9", "--patience", "0", *at(api)) == 66
    assert "no release 'shop-9'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["Shop_1", "../x", "a.>"])
async def test_an_id_of_another_form_is_not_even_asked_for(api: Api, name: str) -> None:
    assert await command("wait", name, *at(api)) == 64
    assert await command("status", name, *at(api)) == 64


async def test_wait_survives_a_restart_of_the_daemon(capsys: pytest.CaptureFixture[str]) -> None:
    """Refused connections and, while its sessions are read back, a release that is not known for a moment."""
    said = ""

    def heard(words: str) -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return words in said

    [port] = free_ports(1)
    listen = Http(listen=f"127.0.0.1:{port}")
    before, after = Engine(releases={"shop-1": view("shop-1")}), Forgetful()
    async with asyncio.TaskGroup() as group:
        async with serving(before, listen) as first:
            waiting = group.create_task(command("wait", "shop-1", *at(first)))
            await before.waited_for.wait()
        await until(lambda: heard("cannot be reached"))
        async with serving(after, listen):
            await until(lambda: after.asked > 1)
            after.releases["shop-1"] = view("shop-1")
            after.end("shop-1", Outcome.ROLLBACK)
            await asyncio.wait([waiting])
    assert waiting.result() == 1


async def test_wait_polls_for_shorter_where_the_daemon_allows_no_longer_polls(capsys: pytest.CaptureFixture[str]) -> None:
    engine = Engine(releases={"shop-1": view("shop-1")})
    async with (
        serving(engine, Http(listen="127.0.0.1:0", max_wait_seconds=7.0)) as api,
        asyncio.TaskGroup() as group,
    ):
        waiting = group.create_task(command("wait", "shop-1", *at(api)))
        await engine.waited_for.wait()
        engine.end("shop-1", Outcome.PROMOTE)
    assert waiting.result() == 0
    assert capsys.readouterr().out.startswith("promote")


async def test_wait_says_at_once_for_whom_it_waits_and_a_time_out_says_how_to_answer() -> None:
    asked = msgspec.structs.replace(view("shop-1"), waits_until=2e9, waiting_for="a person's word until then")
    answers, now, line = [view("shop-1"), view("shop-1"), asked, asked], [0.0], io.StringIO()

    class Says(ApiClient):
        def verdict(self, release_id: str, *, wait_seconds: float) -> ReleaseView:
            del release_id
            now[0] += 1.0 if wait_seconds else 0.0
            return answers.pop(0) if len(answers) > 1 else answers[0]

    progress = ProgressLine(line, monotonic=lambda: 0.0)
    api = Says("http://127.0.0.1:1")
    waiting = Wait(api, "shop-1", timeout=5.0, patience=0.0, line=progress, monotonic=lambda: now[0], sleep=lambda _: None)
    assert waiting.run() is None
    lines = line.getvalue().splitlines()
    assert len(lines) == 2, "a line when it begins, and one when a person is waited for"
    assert "waiting for a person's word until then" in lines[1]
    said = no_verdict("shop-1", waiting.view, seconds=1.0, away=None)
    assert said.endswith("and may still take the traffic back, until somebody says so: verdictd promote shop-1 --reason TEXT")


async def test_where_polls_may_last_no_second_wait_asks_now_and_then() -> None:
    engine, slept = Engine(releases={"shop-1": view("shop-1")}), list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        engine.end("shop-1", Outcome.PROMOTE)

    async with serving(engine, Http(listen="127.0.0.1:0", max_wait_seconds=0.2)) as api:
        line = ProgressLine(io.StringIO())
        waiting = Wait(ApiClient(api.server.address.url), "shop-1", timeout=60.0, patience=0.0, line=line, sleep=sleep)
        verdict = await asyncio.to_thread(waiting.run)
    assert verdict is not None
    assert [0.5 <= pause <= 1.5 for pause in slept] == [True], slept


async def test_on_a_terminal_the_progress_is_one_line(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr("daemon.cli.waiting._LIVE_POLL_SECONDS", 0.02)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(command("wait", "shop-1", *at(api)))
        await until(lambda: screen.getvalue().count("\r\x1b[K") > 1)
        api.engine.end("shop-1")
    assert waiting.result() == 1
    lines = screen.getvalue().split("\r\x1b[K")
    assert lines[1].startswith("shop-1 watching  evidence 10 of 100")
    assert len({line for line in lines[1:] if line.startswith("shop-1")}) == 1


def test_a_release_that_vanishes_is_given_up_after_the_patience() -> None:
    """With a clock of the test's own: known once, then away for ever."""
    from daemon.cli.apiclient import ApiClient
    from daemon.errors import Unavailable

    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    class Vanishing(ApiClient):
        answers = 0

        def verdict(self, release_id: str, *, wait_seconds: float) -> object:  # type: ignore[override] # only views here
            self.answers += 1
            if self.answers == 1:
                return view(release_id)
            raise Unavailable("refused") if self.answers < 4 else NotFound("no release")

    line = ProgressLine(io.StringIO())
    waiting = Wait(
        Vanishing("http://127.0.0.1:1"), "shop-1", timeout=3600, patience=60, line=line, monotonic=lambda: now, sleep=sleep
    )
    with pytest.raises(NotFound):
        waiting.run()
    assert 60 <= now < 70


async def test_submit_prints_the_id(api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await command("submit", written(tmp_path, RELEASE), *at(api)) == 0
    assert capsys.readouterr().out.strip() == api.engine.submitted[0][0]


async def test_submit_reads_standard_input_and_prints_json(
    api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    yaml = "service: shop\nnamespace: web\nbaseline: {subset: v1}\ncanary: {subset: v2}\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(yaml.encode())))
    assert await command("submit", "-", "--json", *at(api)) == 0
    assert json.loads(capsys.readouterr().out)["release"]["canary"]["subset"] == "v2"


async def test_submit_with_the_same_key_is_one_release(api: Api, tmp_path: Path) -> None:
    for _ in range(2):
        await command("submit", written(tmp_path, RELEASE), "--key", "run-7", *at(api))
    assert len({release_id for release_id, _ in api.engine.submitted}) == 1


async def test_submit_and_wait_exits_as_the_verdict_says(api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(command("submit", written(tmp_path, RELEASE), "--wait", *at(api)))
        await api.engine.waited_for.wait()
        release_id = api.engine.submitted[0][0]
        api.engine.end(release_id)
    assert waiting.result() == 1
    assert capsys.readouterr().out.splitlines()[0] == release_id


async def test_submit_refuses_a_bad_release_before_it_calls_anybody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, {**RELEASE, "weight": "10%", "sevice": "x"})
    assert await command("submit", file, "--server", "http://127.0.0.1:1") == 64
    assert capsys.readouterr().err.splitlines() == [
        f'{file}: weight: "10%" is not a number; write percent as a plain number: 10',
        f"{file}: sevice: is not a known key; did you mean service?",
    ]


async def test_submit_refuses_names_that_no_mesh_could_carry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, {**RELEASE, "service": 'a"}'})
    assert await command("submit", file, "--server", "http://127.0.0.1:1") == 64
    assert f"{file}: service: " in capsys.readouterr().err


async def test_submit_tries_again_and_then_exits_69(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("daemon.cli.submitting._PAUSE_SECONDS", 0.001)
    async with serving(Engine(full=True)) as api:
        assert await command("submit", written(tmp_path, RELEASE), *at(api)) == 69
    assert "the daemon answers 503: 10000 releases are being watched already" in capsys.readouterr().err


async def test_the_token_is_sent_from_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN, encoding="utf-8")
    file = written(tmp_path, RELEASE)
    async with serving(http=Http(listen="127.0.0.1:0", token_file=str(token_file))) as api:
        assert await command("submit", file, *at(api)) == 77
        assert "this needs the bearer token" in capsys.readouterr().err
        assert await command("submit", file, "--token-file", str(token_file), *at(api)) == 0
        assert await command("submit", file, "--token-file", str(tmp_path / "none"), *at(api)) == 64


async def test_status_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    engine = Engine(releases={"shop-1": view("shop-1"), "cart-2": view("cart-2", service="cart", stage=Stage.ENDED)})
    async with serving(engine) as api:
        assert await command("status", *at(api)) == 0
        heading, *rows = capsys.readouterr().out.splitlines()
        assert heading.split() == ["ID", "SERVICE", "STAGE", "TICKS", "CANARY", "EVIDENCE", "VERDICT"]
        assert [row.split()[:6] for row in rows] == [
            ["shop-1", "web/shop", "watching", "3", "0", "10/100"],
            ["cart-2", "web/cart", "ended", "3", "0", "10/100"],
        ]
        assert await command("status", "--stage", "ended", "--json", *at(api)) == 0
        assert [one["id"] for one in json.loads(capsys.readouterr().out)] == ["cart-2"]
        assert await command("status", "--service", "none", *at(api)) == 0
        assert capsys.readouterr().out == "no releases\n"
        assert await command("status", "--stage", "done", *at(api)) == 64


async def test_status_of_one_release(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    assert await command("status", "shop-1", *at(api)) == 0
    assert "evidence 10 of 100  canary 0 requests  0 s  tick 3  [##########..........]" in capsys.readouterr().out
    assert await command("status", "shop-1", "--json", *at(api)) == 0
    assert json.loads(capsys.readouterr().out)["id"] == "shop-1"
    assert await command("status", "shop-9", *at(api)) == 66
    api.engine.releases["shop-1"] = msgspec.structs.replace(view("shop-1"), unresolved=("p99 lies in 250-500 ms",))
    assert await command("status", "shop-1", *at(api)) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["  buckets p99 lies in 250-500 ms"]


@pytest.mark.parametrize(
    ("status", "body", "content_type", "code"),
    [
        (200, b"<html>", "text/html", 69),
        (302, b"", "text/plain", 64),
        (500, b"x", "text/plain", 69),
        (502, b"not json", "application/problem+json", 69),
        (409, b'{"detail": "no"}', "application/problem+json", 69),
    ],
)
async def test_an_answer_that_is_not_the_daemons_is_told_apart(status: int, body: bytes, content_type: str, code: int) -> None:
    answer = says(body, status=status, Content_Type=content_type, Location="http://127.0.0.1:1/")
    async with stub(answer) as server:
        assert await command("status", "--server", server.url) == code


async def test_what_a_server_says_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(Engine(broken=NotFound("gone\x1b[2J\nverdictd: promote"))) as api:
        assert await command("status", "shop-1", *at(api)) == 66
    assert "\x1b" not in capsys.readouterr().err


async def test_a_redirect_is_not_followed_and_says_where_it_leads(capsys: pytest.CaptureFixture[str]) -> None:
    async with stub(says(status=308, Location="https://else.example/")) as server:
        assert await command("status", "--server", server.url) == 64
    assert capsys.readouterr().err == (
        "verdictd: --server: the answer is 308 Permanent Redirect; it leads to https://else.example/: give that address\n"
    )


@pytest.mark.parametrize("proxy", ["http://[::1", "http://"])
async def test_a_proxy_that_is_no_address_is_named(
    proxy: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    assert await command("wait", "x", "--patience", "0", "--server", "http://verdictd.example") in {64, 69}
    assert "defect" not in capsys.readouterr().err


async def test_a_server_that_says_nothing_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.cli.apiclient._ANSWER_SECONDS", 0.05)
    ends: list[asyncio.StreamWriter] = []

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.append(writer)

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert await command("status", "--server", f"http://127.0.0.1:{port}") == 69
        for writer in ends:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"])
async def test_an_answer_that_drips_is_not_waited_for_for_ever(head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each read of it is in time."""
    monkeypatch.setattr("daemon.cli.apiclient._ANSWER_SECONDS", 0.5)
    gone, ended = asyncio.Event(), asyncio.Event()

    async def dripping(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        with contextlib.suppress(ConnectionError):
            while not gone.is_set():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)
            writer.close()
            await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(dripping, "127.0.0.1", 0)
    async with server, asyncio.timeout(60):
        port = server.sockets[0].getsockname()[1]
        asked = asyncio.ensure_future(command("status", "--server", f"http://127.0.0.1:{port}"))
        done, _ = await asyncio.wait([asked], timeout=40.0)
        gone.set()
        await ended.wait()
        assert done, "it is still being read"
        assert await asked == 69


@pytest.mark.parametrize("server", ["127.0.0.1:8484", "ftp://x", "http://", "file:///etc/passwd"])
async def test_an_address_that_is_none_is_refused(server: str) -> None:
    assert await command("status", "--server", server) == 64


async def test_the_api_and_the_commands_agree_on_the_document_of_the_api(api: Api) -> None:
    """The fields that the commands read are in the answer that other clients get."""
    async with aiohttp.ClientSession() as session, session.get(f"{api.server.address.url}/v1/releases/shop-1") as response:
        assert {"id", "stage", "ticks", "evidence", "boundary", "waiting_for"} <= (await response.json()).keys()
