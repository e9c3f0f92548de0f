"""The table of exit codes, frozen: the real binary, asked what pipelines ask, under everything that can befall its streams."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from aiohttp import web

from config.settings import Http
from daemon.model import Action, Outcome, Verdict
from tests.cli.binary import VERDICTD, Done, needs_dev_full, python_path, verdictd
from tests.hand.api import RELEASE, TOKEN, Api, Engine, serving, verdict, view
from tests.hand.servers import says, stub

# Some three hundred processes: too many for the layer that takes seconds.
pytestmark = [pytest.mark.live, needs_dev_full]

Meaning = Literal["promote", "rollback", "hold"]


def ended(outcome: Outcome, action: Action = Action.NONE, meaning: Meaning | None = None) -> Verdict:
    said = verdict("x", outcome)
    return msgspec.structs.replace(said, action=action, meaning=meaning or said.meaning, reason="errors 5 % against 0.1 %, 3 µs")


ENDS: dict[str, tuple[Verdict, int, int]] = {
    "promoted": (ended(Outcome.PROMOTE), 0, 0),
    "reverted": (ended(Outcome.ROLLBACK, Action.REVERT), 1, 1),
    "aborted": (ended(Outcome.ROLLBACK, Action.ABORT), 1, 1),
    "observed": (ended(Outcome.ROLLBACK, Action.NONE), 1, 1),
    "failed": (ended(Outcome.ROLLBACK, Action.FAILED), 4, 4),
    "blocked": (ended(Outcome.ROLLBACK, Action.BLOCKED), 4, 4),
    "held": (ended(Outcome.INCONCLUSIVE), 2, 2),
    "taken-for-good": (ended(Outcome.INCONCLUSIVE, meaning="promote"), 0, 2),
    "taken-for-bad": (ended(Outcome.INCONCLUSIVE, meaning="rollback"), 1, 2),
}
"""Releases that have ended: the verdict, the code, and the code under ``--exit outcome``."""

STREAMS = [
    "| true",
    "| head -1",
    "| grep -q nothing",
    ">&-",
    "> /dev/full",
    "2>&-",
    "2> /dev/full",
    ">&- 2>&-",
    "> /dev/full 2> /dev/full",
    ">&- 2>&- <&-",
    "2>&1 | true",
]


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    releases = {name: view(name) for name in (*ENDS, "going")}
    ends = {name: msgspec.structs.replace(one, release_id=name) for name, (one, _, _) in ENDS.items()}
    async with serving(Engine(releases=releases, ends=ends)) as running:
        yield running


def at(api: Api) -> list[str]:
    return ["--server", api.server.address.url]


def written(folder: Path, document: object = RELEASE) -> str:
    file = folder / "release.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return str(file)


def defects(done: Done) -> int:
    return done.err.count("Traceback") + done.err.count("Exception ignored")


async def test_the_code_is_what_the_verdict_means(api: Api) -> None:
    for name, (one, code, bare) in ENDS.items():
        plain, outcome, as_json = await asyncio.gather(
            verdictd("wait", name, *at(api)),
            verdictd("wait", name, "--exit", "outcome", *at(api)),
            verdictd("wait", name, "--json", *at(api)),
        )
        assert (plain.code, outcome.code, as_json.code) == (code, bare, code), name
        said = json.loads(as_json.out)
        assert (said["outcome"], said["meaning"], said["action"]) == (one.outcome, one.meaning, one.action)
        assert plain.out.startswith(f"{one.outcome} (")


async def test_where_the_traffic_is_stands_on_stderr_when_the_code_does_not_say_it(api: Api) -> None:
    said = {name: await verdictd("wait", name, *at(api)) for name in ENDS}
    for name in ("promoted", "reverted", "aborted", "held"):
        assert said[name].err == "", name
    assert said["observed"].err.startswith("verdictd: the canary keeps its traffic: the rollback was observed only")
    for name in ("failed", "blocked"):
        assert said[name].err.startswith(f"verdictd: THE CANARY STILL GETS TRAFFIC: the revert was {name}: errors 5 %"), name
    for name, taken in (("taken-for-good", "promotion"), ("taken-for-bad", "rollback")):
        line = f"counts as a {taken} by the policy, no traffic is moved"
        assert said[name].err == f"verdictd: inconclusive, {line}\n"
        assert said[name].out.startswith(f"inconclusive ({line}) after 7 ticks: errors 5 %")
        assert (await verdictd("wait", name, "--exit", "outcome", *at(api))).err == ""


@pytest.mark.parametrize("streams", STREAMS)
async def test_the_code_of_a_verdict_stands_whatever_becomes_of_the_printing(api: Api, streams: str) -> None:
    names = ("promoted", "reverted", "held", "failed")
    found = await asyncio.gather(*(verdictd("wait", name, *at(api), then=streams) for name in names))
    assert [done.code for done in found] == [0, 1, 2, 4]
    found += await asyncio.gather(*(verdictd("wait", name, "--json", *at(api), then=streams) for name in names[1::2]))
    assert [done.code for done in found[4:]] == [1, 4]
    assert sum(map(defects, found)) == 0


@pytest.mark.parametrize("streams", STREAMS)
async def test_submit_and_wait_goes_on_to_the_verdict_when_nobody_reads_the_id(api: Api, tmp_path: Path, streams: str) -> None:
    argv = ["submit", written(tmp_path), "--wait", *at(api)]
    for outcome, code in ((Outcome.ROLLBACK, 1), (Outcome.PROMOTE, 0)):
        api.engine.submitted.clear()
        api.engine.waited_for.clear()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(verdictd(*argv, "--key", outcome, then=streams))
            await api.engine.waited_for.wait()
            [(release_id, _)] = api.engine.submitted
            await asyncio.sleep(0.05)  # whoever reads the id has it, and is gone
            api.engine.end(release_id, outcome)
        assert running.result().code == code
        assert defects(running.result()) == 0


async def test_under_pipefail_a_rollback_is_never_taken_for_a_promotion(api: Api, tmp_path: Path) -> None:
    """As a CI runs it, step by step: the shell's own code this time."""
    file = written(tmp_path)
    for reader in ("head -1", "grep -q shop-", "true"):
        api.engine.submitted.clear()
        api.engine.waited_for.clear()
        script = f"set -o pipefail; ID=$({VERDICTD} submit {file} --wait {' '.join(at(api))} | {reader})"
        process = await asyncio.create_subprocess_exec("bash", "-c", script, stderr=asyncio.subprocess.DEVNULL)
        await api.engine.waited_for.wait()
        api.engine.end(api.engine.submitted[0][0])
        async with asyncio.timeout(30):
            assert await process.wait() == 1, reader


async def test_an_encoding_that_lacks_a_letter_costs_the_letter_and_not_the_code(api: Api) -> None:
    done = await verdictd("wait", "reverted", *at(api), environ={"PYTHONIOENCODING": "ascii"})
    assert (done.code, done.err) == (1, "")
    assert r"3 \xb5s" in done.out


async def test_a_wording_that_fails_changes_nothing(api: Api, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "from daemon.cli import rendering\nrendering.verdict_lines = lambda verdict: 1 / 0\n"
    )
    for name, code in (("promoted", 0), ("reverted", 1), ("held", 2), ("failed", 4)):
        done = await verdictd("wait", name, *at(api), environ=python_path(tmp_path))
        assert (done.code, done.err.splitlines()[0]) == (
            code,
            "verdictd: a defect of verdictd or of its installation: ZeroDivisionError: division by zero (--debug says where)",
        )


@pytest.mark.parametrize("streams", ["", "2>&-", "2> /dev/full", "> /dev/full 2> /dev/full"])
async def test_only_a_time_out_is_3(api: Api, streams: str) -> None:
    done = await verdictd("wait", "going", "--timeout", "0.1", *at(api), then=streams)
    assert done.code == 3
    if not streams:
        first, last = done.err.splitlines()
        assert first.startswith("going watching  evidence 10 of 100")
        assert last == (
            "verdictd: no verdict on going within 0.1 s: watching for 0 s, 0 canary requests seen; "
            "the watch goes on, and may still take the traffic back"
        )


@pytest.mark.parametrize(
    "argv",
    [
        ["wait", "going", "--server", "http://[::1"],
        ["wait", "going", "--server", "http://h:99999"],
        ["wait", "going", "--server", "http://h:port"],
        ["wait", "going", "--server", "http://a..b"],
        ["wait", "going", "--server", f"http://{'a' * 64}"],
        ["wait", "going", "--server", "http://h\u20acst"],
        ["wait", "going", "--server", "http://a b"],
        ["wait", "going", "--server", "http://me@host"],
        ["wait", "going", "--server", "http://host/?x"],
        ["wait", "going", "--server", "http://host/\n"],
        ["wait", "going", "--server", ""],
        ["wait", "\u20ac"],
        ["wait", "x" * 5000],
        ["wait", "going", "--timeout", "5 minutes"],
        ["wait"],
        [],
        ["nothing"],
        ["submit", "RELEASE", "--wait", "--key", "k\u20acy"],
        ["submit", "RELEASE", "--wait", "--key", "a\nb"],
        ["submit", "RELEASE", "--wait", "--key", ""],
        ["submit", "RELEASE", "--wait", "--key", "x" * 256],
        ["submit", "/nowhere/release.yaml", "--wait"],
        ["submit", "x" * 5000, "--wait"],
        ["check", "x" * 5000],
        ["explain", "x" * 5000],
        ["plan", "--from", "x" * 5000],
        ["revert", "--service", "a"],
    ],
)
async def test_what_the_caller_does_wrong_is_64(tmp_path: Path, argv: list[str]) -> None:
    file = written(tmp_path)
    done = await verdictd(
        *(file if word == "RELEASE" else word for word in argv), environ={"VERDICTD_SERVER": "http://127.0.0.1:1"}
    )
    assert (done.code, defects(done)) == (64, 0), done.err
    assert done.err or done.out


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"s3cr3t\nmore", "holds no token"),
        (b"s3cr3t more", "holds no token"),
        ("s3cr3t\u00f6".encode("latin-1"), "cannot be read: is not UTF-8"),
        ("s3cr3t\u20ac".encode(), "holds no token"),
        (b"\xef\xbb\xbfs3cr3t", "holds no token"),
        (b"s3cr3t\x00", "holds no token"),
        (b"s3cr3t" * 12_000, "cannot be read: is larger than 64 KiB"),
        (None, "cannot be read"),
    ],
)
async def test_a_token_that_cannot_be_sent_is_64_and_is_not_shown(tmp_path: Path, content: bytes | None, says: str) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    done = await verdictd("wait", "going", "--token-file", str(file), "--server", "http://127.0.0.1:1")
    assert (done.code, defects(done)) == (64, 0)
    assert done.err.startswith("verdictd: --token-file: ")
    assert says in done.err
    assert "s3cr3t" not in done.err


async def test_what_is_not_there_is_66_and_never_a_time_out(api: Api) -> None:
    for argv in (
        ["wait", "nosuch", "--timeout", "0.3"],
        ["wait", "nosuch", "--patience", "0"],
        ["status", "nosuch"],
        ["explain", "nosuch"],
    ):
        done = await verdictd(*argv, *at(api))
        assert (done.code, done.err.splitlines()[-1]) == (66, "verdictd: no release 'nosuch'"), argv
    assert (await verdictd("explain", "going", *at(api))).code == 66


async def test_who_is_not_allowed_gets_77(tmp_path: Path) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text(TOKEN)
    wrong.write_text("f" * 32)
    async with serving(http=Http(listen="127.0.0.1:0", token_file=str(right))) as api:
        for more in ([], ["--token-file", str(wrong)]):
            done = await verdictd("submit", written(tmp_path), "--wait", *at(api), *more)
            assert (done.code, defects(done)) == (77, 0)
            assert "bearer token" in done.err


async def test_a_daemon_that_cannot_be_reached_is_69_and_never_a_time_out(tmp_path: Path) -> None:
    nobody = ["--server", "http://127.0.0.1:1"]
    for argv in (["wait", "x", "--timeout", "0.3"], ["wait", "x", "--patience", "0"], ["status"], ["explain", "x"]):
        done = await verdictd(*argv, *nobody)
        assert (done.code, defects(done)) == (69, 0), argv
        assert "cannot be reached" in done.err


@pytest.mark.parametrize("status", [200, 404, 503])
@pytest.mark.parametrize("body", ["cut", "other"])
async def test_an_answer_that_is_not_verdictds_is_69_and_no_verdict(status: int, body: str) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"Content-Length": "100"} if body == "cut" else {})
        await response.prepare(request)
        await response.write(b'{"outcome": "promote"}')
        if body == "cut" and request.transport is not None:
            request.transport.close()
        return response

    async with stub(answer) as server:
        done = await verdictd("wait", "x", "--patience", "0", "--server", server.url)
    assert (done.code, defects(done)) == (69, 0), done.err


@pytest.mark.parametrize(
    ("missing", "error"),
    [
        ("msgspec", "ImportError('not there')"),
        ("msgspec", "SyntaxError('not whole')"),
        ("msgspec", "OSError('no disk')"),
        ("config", "ImportError('not there')"),
        ("argparse", "ImportError('not there')"),
        ("urllib.request", "ImportError('not there')"),
    ],
)
async def test_a_broken_installation_is_70_and_one_line(tmp_path: Path, missing: str, error: str) -> None:
    package = tmp_path.joinpath(*missing.split("."))
    package.mkdir(parents=True)
    for folder in {package, tmp_path / missing.split(".", maxsplit=1)[0]}:
        (folder / "__init__.py").write_text(f"raise {error}" if folder == package else "")
    for streams in ("", "2>&-", "> /dev/full 2> /dev/full"):
        done = await verdictd("wait", "promoted", then=streams, environ=python_path(tmp_path))
        assert done.code == 70
        if not streams:
            [line] = done.err.splitlines()
            assert line.startswith("verdictd: a defect of verdictd or of its installation: ")
    assert "Traceback" in (await verdictd("wait", "promoted", "--debug", environ=python_path(tmp_path))).err


async def test_a_defect_of_ours_is_70_and_one_line_with_a_traceback_on_demand(api: Api, tmp_path: Path) -> None:
    for raised in ("ZeroDivisionError('x')", "ExceptionGroup('two', [ValueError('x'), KeyError('y')])", "asyncio.CancelledError()"):
        (tmp_path / "sitecustomize.py").write_text(
            "import asyncio\nfrom daemon.cli.apiclient import ApiClient\n"
            f"def broken(*_, **__):\n    raise {raised}\nApiClient._send = broken\n"
        )
        for streams in ("", "2>&-", "2> /dev/full", "> /dev/full"):
            done = await verdictd("wait", "promoted", *at(api), then=streams, environ=python_path(tmp_path))
            assert done.code == 70
            assert len(done.err.splitlines()) == (0 if "2>" in streams else 1)
        for argv in (["--debug", "wait", "promoted"], ["wait", "promoted", "--debug"]):
            told = await verdictd(*argv, *at(api), environ=python_path(tmp_path))
            assert (told.code, told.err.startswith("Traceback") or "Traceback" in told.err) == (70, True)


async def test_a_verdict_on_another_release_is_none() -> None:
    """As a cache between would give it."""
    async with stub(says(msgspec.to_builtins(verdict("other", Outcome.PROMOTE)))) as server:
        done = await verdictd("wait", "mine", "--patience", "0", "--server", server.url)
    assert (done.code, done.out) == (69, "")
    assert "a verdict on another release: other" in done.err


async def test_standard_input_that_is_closed_or_no_text_is_refused() -> None:
    done = await verdictd("submit", "-", "--wait", then="<&-")
    assert (done.code, defects(done)) == (64, 0)
    assert done.err.startswith("standard input: ")
    for environ in ({}, {"PYTHONIOENCODING": "utf-8:strict"}):
        done = await verdictd("submit", "-", "--wait", stdin=b"service: \xff", environ=environ)
        assert (done.code, defects(done)) == (64, 0), done.err


async def test_what_only_prints_has_failed_when_it_cannot(api: Api, tmp_path: Path) -> None:
    """But a reader that leaves has what it wanted."""
    commands = [["status"], ["status", "promoted", "--json"], ["check", "--schema", "policy"], ["wait", "--help"], ["--version"]]
    commands.append(["submit", written(tmp_path)])
    for argv in commands:
        server = at(api) if argv[0] in {"status", "submit"} else []
        full, closed, left = await asyncio.gather(
            *(verdictd(*argv, *server, then=streams) for streams in ("> /dev/full", ">&-", "| true"))
        )
        assert (full.code, closed.code, left.code) == (70, 70, 0), argv
        assert full.err == "verdictd: standard output cannot be written: No space left on device\n"
        assert closed.err == "verdictd: standard output cannot be written: it is closed\n"
        assert left.err == ""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
async def test_who_is_told_to_stop_gives_no_verdict(api: Api, number: int, code: int) -> None:
    """SIGTERM is left to the system: a shell sees 143."""
    process = await asyncio.create_subprocess_exec(VERDICTD, "wait", "going", *at(api), stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    async with asyncio.timeout(30):
        assert (await process.stderr.readline()).startswith(b"going watching")
        await api.engine.waited_for.wait()
        process.send_signal(number)
        assert await process.wait() == code
        assert await process.stderr.read() == b""


async def test_the_first_line_comes_at_once_where_nobody_looks_at_a_terminal(api: Api, tmp_path: Path) -> None:
    """And the release is still being watched then: it is not the verdict that brings it."""
    process = await asyncio.create_subprocess_exec(
        VERDICTD, "submit", written(tmp_path), "--wait", *at(api), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.timeout(50):
        release_id = (await process.stdout.readline()).decode().strip()
        assert (await process.stderr.readline()).decode().startswith(f"{release_id} locating")
    api.engine.end(release_id)
    assert await process.wait() == 1


async def test_strange_bytes_as_arguments_are_never_a_crash() -> None:
    """Names that are no UTF-8 reach Python as lone surrogates, which can be neither sent nor printed."""
    strange = os.fsdecode(b"\xff\xfe.jsonl")
    commands: list[tuple[list[str], Any]] = [
        (["wait", strange], 64),
        (["wait", "x", "--server", f"http://{strange}"], 64),
        (["wait", "x", "--token-file", strange], 64),
        (["submit", strange, "--wait"], 64),
        (["explain", strange], 65),
        (["replay", strange], 65),
        (["replay", strange, "--json"], 65),
        (["replay", "x" * 5000], 65),
        (["plan", "--from", strange], 64),
        (["check", strange], 64),
        (["check", strange, "--json"], 64),
        (["revert", "--release", strange], 64),
        (["run", "--config", strange], 64),
    ]
    for argv, code in commands:
        done = await verdictd(*argv)
        assert (done.code, defects(done)) == (code, 0), (argv, done.err)
