"""Servers of the tests start on ports of their own, and nothing of them is left, however they or the test run end."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.servers import run

PARENT = "import subprocess, time\nchild = subprocess.Popen(['/bin/sleep', '600'])\nprint(child.pid, flush=True)\ntime.sleep(600)\n"
"""A server that starts a child of its own and says its number."""


async def test_a_server_that_crashes_leaves_no_children(tmp_path: Path) -> None:
    """Nobody would end them: the kernel's tie holds the server itself only."""
    async with parent(tmp_path) as (process, child):
        process.signal(signal.SIGKILL)
        await process.child.wait()
        assert command(child) == "sleep", "it is expected to be there until the server is stopped"
    await run.until(lambda: is_gone(child), 60)


async def test_the_children_of_a_server_end_with_it(tmp_path: Path) -> None:
    async with parent(tmp_path) as (process, child):
        assert process.returncode is None
    await run.until(lambda: is_gone(child), 60)


async def test_stopping_twice_ends_no_stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the server is gone its number may be given to another process, which is then not ours to end."""
    async with parent(tmp_path) as (process, _child):
        await process.stop()
        killed: list[int] = []
        monkeypatch.setattr("os.killpg", lambda group, _number: killed.append(group))
        monkeypatch.setattr("os.kill", lambda _pid, _number: None)
        await process.stop()
        assert killed == []


@contextlib.asynccontextmanager
async def parent(folder: Path) -> AsyncIterator[tuple[run.Process, int]]:
    """A running server, and the number of its child."""

    async def said() -> bool:
        return bool(await asyncio.to_thread((folder / "parent.log").read_text))

    async with run.running("parent", [sys.executable, "-c", PARENT], folder=folder, ready=said) as process:
        yield process, int((folder / "parent.log").read_text())


async def is_gone(pid: int) -> bool:
    return command(pid) is None


async def test_a_server_that_ends_too_soon_is_reported_with_its_log(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "print('no such licence'); raise SystemExit(3)"]
    with pytest.raises(run.ServerFailed, match=r"ended with 3 before it was ready(.|\n)*no such licence"):
        async with run.running("broken", argv, folder=tmp_path, ready=never):
            pytest.fail("it was taken for ready")


async def test_a_server_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "STOP_SECONDS", 0.2)
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"

    async def deaf() -> bool:
        return "deaf" in await asyncio.to_thread((tmp_path / "deaf.log").read_text)

    async with run.running("deaf", [sys.executable, "-c", script], folder=tmp_path, ready=deaf) as process:
        assert process.returncode is None
    assert process.returncode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="the tie is the Linux kernel's")
async def test_a_server_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    """A test run that is killed runs no `finally`; the kernel must end what it started."""
    script = (
        "import asyncio, pathlib, sys\n"
        "from tests.servers import run\n"
        "async def ready(): return True\n"
        "async def main():\n"
        "    argv = ['/bin/sleep', '600']\n"
        "    async with run.running('it', argv, folder=pathlib.Path(sys.argv[1]), ready=ready) as server:\n"
        "        print(server.pid, flush=True)\n"
        "        await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    run_of_tests = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(tmp_path), stdout=asyncio.subprocess.PIPE)
    assert run_of_tests.stdout is not None
    orphan = int(await run_of_tests.stdout.readline())

    async def sleeps() -> bool:
        return command(orphan) == "sleep"

    await run.until(sleeps, 60)
    run_of_tests.kill()
    await run_of_tests.wait()
    await run.until(lambda: is_gone(orphan), 60)


async def never() -> bool:
    return False


def command(pid: int) -> str | None:
    """What this process runs, or None when it runs no more, even if nobody has asked for its exit status yet."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return None if fields["State"].startswith(("Z", "X")) else fields["Name"]
