"""The command's edges: what it refuses, what it says when something fails, and its account."""

import argparse
import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from unittest.mock import AsyncMock, MagicMock

import aiohttp
import pytest

from daemon import demo
from daemon.demo import command
from daemon.demo.children import Child, DemoError
from daemon.demo.story import LiveAccount, Setting
from daemon.demo.traffic import Answer
from daemon.demo.watchdog import Watchdog
from daemon.errors import Unavailable
from tests.demo.samples import BEGAN, steady, taken_back, traffic


@pytest.mark.parametrize("argv", [["--rate", "1"], ["--rate", "many"], ["--what"], ["--mesh", "linkerd"]])
def test_what_it_cannot_do_is_refused_as_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        demo.main(argv)
    assert ended.value.code == 64
    assert "usage: verdictd demo" in capsys.readouterr().err


def failing_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(_options: object) -> int:
        raise error

    monkeypatch.setattr(command, "_run", run)


def test_a_failure_says_what_to_do(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    error = DemoError("Envoy is not there", fix="install it", log_tail="last words\n")
    failing_with(BaseExceptionGroup("", [ExceptionGroup("", [error]), Unavailable("nor is NATS")]), monkeypatch)
    assert demo.main([]) == 69
    said = capsys.readouterr().err
    assert "The demo failed: Envoy is not there\n--- the end of its log ---\nlast words\n---\nWhat to do: install it" in said
    assert "The demo failed: nor is NATS" in said


def test_a_failure_alone_says_what_to_do(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    failing_with(DemoError("no verdict", fix="look"), monkeypatch)
    assert demo.main([]) == 69
    assert capsys.readouterr().err == "\nThe demo failed: no verdict\nWhat to do: look\n"


def test_a_mistake_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    failing_with(ExceptionGroup("", [DemoError("a", fix="b"), ZeroDivisionError()]), monkeypatch)
    with pytest.raises(ExceptionGroup):
        demo.main([])


def test_an_output_folder_that_cannot_be_made_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert demo.main(["--out", str(tmp_path / "file" / "out")]) == 69
    assert "name another with --out" in capsys.readouterr().err


def test_an_interruption_is_no_failure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    failing_with(KeyboardInterrupt(), monkeypatch)
    assert demo.main([]) == 130
    assert "Interrupted" in capsys.readouterr().err


def test_the_account_tells_rate_failures_and_latency_of_each_version(capsys: pytest.CaptureFixture[str]) -> None:
    account = LiveAccount(colours=False)
    account.traffic([Answer(0.0, 0.02, 200, "v1")] * 400 + [Answer(0.0, 0.03, 500, "v2")] * 100, seconds=2.0)
    assert capsys.readouterr().out.endswith(" users     v1 200/s, 0.0 % bad, 20 ms | v2 50/s, 100.0 % bad, 30 ms\n")
    account.traffic([Answer(0.0, 0.0, 503, "")] * 2, seconds=2.0)
    assert "edge 1/s, 100.0 % bad, 0 ms" in capsys.readouterr().out
    account.traffic([], seconds=2.0)
    assert "get no answer" in capsys.readouterr().out


def test_the_account_fits_into_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    LiveAccount(colours=False).says("verdictd", "word " * 40)
    written = capsys.readouterr().out.splitlines()
    assert len(written) == 4
    assert max(len(line) for line in written) <= 80


def test_the_account_is_bold_on_a_terminal_only(capsys: pytest.CaptureFixture[str]) -> None:
    LiveAccount(colours=True).heading("Act 1")
    LiveAccount(colours=False).heading("Act 2")
    assert capsys.readouterr().out == "\n\x1b[1mAct 1\x1b[0m\n\nAct 2\n"


async def test_a_demo_that_is_kept_running_ends_when_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """It says where to look meanwhile, and being told to end is no interruption."""
    process = Child(name="nobody", process=None, log=tmp_path)  # type: ignore[arg-type]  # nothing is asked of it
    async with aiohttp.ClientSession() as session:
        watchdog = Watchdog(process=process, url="http://here", nats_url="", recordings=tmp_path, session=session)
        setting = Setting(backends={}, mesh=None, watchdog=watchdog, pipeline=None, users=None)  # type: ignore[arg-type]  # nor of these
        asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)
        # A handler of the test's own, in case the demo has none yet when the signal comes.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)
        async with asyncio.timeout(30.0):
            await command._linger(setting, LiveAccount(colours=False))
    assert "http://here/v1/releases" in capsys.readouterr().out


async def test_what_it_says_to_judge_again_is_there_while_everything_is_left_running(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """With the parts that start servers taken out."""
    there: list[str] = []

    @contextlib.asynccontextmanager
    async def nothing(*, folder: Path, **_: object) -> AsyncIterator[MagicMock]:
        (folder / "recordings").mkdir()
        (folder / "recordings" / "web-1.jsonl").write_text("")
        yield MagicMock()

    async def looked(*_: object) -> None:
        there.extend(file.name for file in (tmp_path / "logs").iterdir())

    monkeypatch.setattr(command, "setting", nothing)
    monkeypatch.setattr(command, "_introduce", lambda *_: None)
    monkeypatch.setattr(command, "play", AsyncMock(return_value=[]))
    monkeypatch.setattr(command, "_conclude", lambda *_: 0)
    monkeypatch.setattr(command, "_linger", looked)
    monkeypatch.setattr(command, "SORTS", {"envoy": MagicMock(starts_in="")})
    asked = argparse.Namespace(mesh="envoy", out=tmp_path, rate=1.0, seed=1, keep_running=True)
    assert await command._run(asked) == 0
    assert there == ["web-1.jsonl"]


def options(out: Path) -> argparse.Namespace:
    """Those of a run that writes there."""
    (out / "logs").mkdir(parents=True)
    return argparse.Namespace(out=out, no_plot=True)


def test_an_outcome_that_was_not_seen_in_the_traffic_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the verdict says: the canary answered on."""
    log = traffic([*steady("v3", begin=BEGAN, end=BEGAN + 8.0), *steady("v2", begin=BEGAN, end=BEGAN + 9.0)])
    assert command._conclude([taken_back()], log, options(tmp_path / "out"), LiveAccount(colours=False)) == 1
    assert re.search(r"Not as it must be:\n  v3: \d+ answers after it was taken back", capsys.readouterr().out)


def test_outcomes_that_were_seen_end_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = traffic([*steady("v3", begin=BEGAN, end=BEGAN + 2.0), *steady("v2", begin=BEGAN, end=BEGAN + 9.0)])
    assert command._conclude([taken_back()], log, options(tmp_path / "out"), LiveAccount(colours=False)) == 0
    assert "v3 was taken back and has not answered since" in capsys.readouterr().out
    assert (tmp_path / "out" / "demo.html").exists()
