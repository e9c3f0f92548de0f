"""An end of the daemon that nobody brought about is a fault, and one that its broker brought about is none."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.survival.victims import Daemon, Sampler

MISSED = '{"event":"cannot run","reason":"NATS at nats://127.0.0.1:1 did not answer within 10 s ()"}\n'


@pytest.mark.parametrize(
    ("code", "log", "fault"),
    [
        (-signal.SIGKILL, "", False),
        (-signal.SIGTERM, "", False),
        (0, "", False),
        (69, MISSED, False),
        (69, MISSED + "Traceback\n", True),
        (69, "", True),
        (70, MISSED, True),
        (-signal.SIGSEGV, "", True),
    ],
)
def test_an_end_that_nobody_brought_about_is_a_fault(tmp_path: Path, code: int, log: str, fault: bool) -> None:
    (tmp_path / "verdictd.log").write_text(log)
    daemon = Daemon(port=1, folder=tmp_path, settings={}, starts=3)
    daemon._judge(code)
    assert daemon.faults == ([f"the daemon's start 3 ended with {code}, see verdictd.log"] if fault else [])


def test_what_a_log_calls_an_error_is_a_fault_once_and_that_a_start_ended_is_not_said_twice(tmp_path: Path) -> None:
    daemon = Daemon(port=1, folder=tmp_path, settings={})
    assert daemon.complaints() == []
    log = tmp_path / "verdictd.log"
    log.write_text(
        '{"time":"1","level":"warning","event":"reverted"}\n{"time":"1","level":"error","event":"cannot run"}\n'
        + 2 * '{"time":"1","level":"error","event":"a tick failed"}\n'
        + "Traceback (most recent call last):\n"
    )
    said = ("Traceback (most recent call last):", "a tick failed")
    assert daemon.complaints() == [f"the daemon says an error: {event}, see {log}" for event in said]


PARENT = """
import subprocess, sys
argv = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", *sys.argv[1:]]
child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()  # by then it is called so
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="whose child a process is is read from /proc")
@pytest.mark.parametrize("name", ["daemon.sampler", "nats-server"])
async def test_a_sampler_is_the_child_of_its_daemon_that_is_called_so(tmp_path: Path, name: str) -> None:
    daemon = Daemon(port=1, folder=tmp_path, settings={})
    assert Sampler(daemon=daemon).pid is None
    daemon._process = process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, name, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    child_pid = int(await process.stdout.readline())
    assert Sampler(daemon=daemon).pid == (child_pid if name == "daemon.sampler" else None)
    await process.communicate(b"")
    assert Sampler(daemon=daemon).pid is None
