"""The tie between a process and its child. That it holds a real server is told beside each of those who start one."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.aio import process
from daemon.aio.process import with_parent_death_signal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the tie is the Linux kernel's")

PARENT = """
import signal, subprocess, sys, time
from daemon.aio.process import with_parent_death_signal
child = [sys.executable, "-u", "-c", sys.argv[2]]
subprocess.Popen(with_parent_death_signal(child, ended_by=signal.Signals(int(sys.argv[1]))))
time.sleep(60)
"""
CHILD = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(print("told to end")))
print("here")
time.sleep(60)
"""


@pytest.mark.parametrize(("number", "last_words"), [(signal.SIGTERM, b"told to end\n"), (signal.SIGKILL, b"")])
async def test_the_end_of_a_killed_parent_is_told_to_its_child_by_the_signal_asked_for(
    number: signal.Signals, last_words: bytes
) -> None:
    argv = (sys.executable, "-c", PARENT, str(number.value), CHILD)
    parent = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    async with asyncio.timeout(40):
        assert await parent.stdout.readline() == b"here\n"
        parent.kill()
        # The child holds the other end of the pipe, which is read to its end only when the child has gone.
        assert await parent.stdout.read() == last_words
        await parent.wait()


def test_the_command_is_run_as_it_is_given() -> None:
    argv = ["/bin/sh", "-c", 'echo "$0 $1 $PPID"; exit 7', "a b", "-I"]
    done = subprocess.run(
        with_parent_death_signal(argv, ended_by=signal.SIGKILL), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (7, f"a b -I {os.getpid()}\n")


def test_a_child_whose_parent_has_gone_before_the_tie_runs_nothing() -> None:
    command = with_parent_death_signal(["/bin/echo", "nobody would end me"], ended_by=signal.SIGKILL)
    assert command.count(str(os.getpid())) == 1
    orphan = [str(os.getppid()) if word == str(os.getpid()) else word for word in command]
    done = subprocess.run(orphan, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")


async def test_a_child_that_does_not_end_when_it_is_told_to_is_killed() -> None:
    deaf = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('here', flush=True)\ntime.sleep(60)"
    child = await process.start([sys.executable, "-c", deaf], stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    assert await child.stdout.readline() == b"here\n"
    await process.end(child, patience_seconds=0.1)
    assert child.returncode == -signal.SIGKILL


async def test_a_child_that_has_ended_takes_neither_signal_nor_end() -> None:
    child = await process.start([sys.executable, "-c", "raise SystemExit(7)"])
    await child.wait()
    process.send_signal(child, signal.SIGTERM)
    await process.end(child, patience_seconds=0.1)
    assert child.returncode == 7


async def test_a_child_in_the_middle_of_its_last_words_is_read_to_its_end() -> None:
    wordy = CHILD.replace('"told to end"', '"x" * 1_000_000')
    child = await process.start([sys.executable, "-u", "-c", wordy], stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    assert await child.stdout.readline() == b"here\n"
    await process.end(child, patience_seconds=40.0)
    assert child.returncode == 0


async def test_a_module_of_ours_is_not_looked_for_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In that of a project that has a ``config.py`` of its own the demo and a sampler did not start."""
    (tmp_path / "config.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    child = await process.start(process.of_module("daemon.cli", "--version"), stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    assert (await child.stdout.readline()).startswith(b"verdictd")
    assert await child.wait() == 0
