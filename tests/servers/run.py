"""Running a server as a child process: on ports of its own, until it is ready, and never beyond the test run."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from daemon.aio.process import with_parent_death_signal
from daemon.demo.apiserver import http_ready
from daemon.demo.freeports import LOOPBACK, free_ports

__all__ = [
    "LOOPBACK",
    "POLL_SECONDS",
    "STOP_SECONDS",
    "Process",
    "ServerFailed",
    "free_ports",
    "http_ready",
    "listens",
    "running",
    "until",
]

STOP_SECONDS = 5.0
POLL_SECONDS = 0.05


class ServerFailed(Exception):
    """A server did not come up; the text ends with the last lines of its log."""


@dataclasses.dataclass(frozen=True, slots=True)
class Process:
    """A running server. Its output goes to a file, so nobody has to read it for the server to go on."""

    name: str
    log: Path
    child: asyncio.subprocess.Process

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self.child.returncode

    def log_tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def signal(self, number: signal.Signals) -> None:
        """For tests of failures: SIGKILL for a crash, SIGSTOP (it has stopped then) and SIGCONT for one that hangs for a while."""
        self.child.send_signal(number)
        if number is signal.SIGSTOP:
            os.waitid(os.P_PID, self.child.pid, os.WSTOPPED | os.WNOWAIT)

    async def stop(self) -> None:
        """SIGTERM to the process, and after a few seconds SIGKILL. What it started ends with it, also where the process
        itself ended or crashed before. Does nothing twice."""
        try:
            if self.child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    self.child.send_signal(signal.SIGCONT)
                    self.child.terminate()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(STOP_SECONDS):
                        await self.child.wait()
        finally:
            self._kill_all()
        await self.child.wait()

    def _kill_all(self) -> None:
        """Every server leads a process group of its own. Its number is not given anew while anyone is in that group, so
        a process that has it after ours is gone is a stranger, and nobody of ours is left."""
        if self.child.returncode is not None and _exists(self.child.pid):
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)


@contextlib.asynccontextmanager
async def running(
    name: str,
    argv: Sequence[str | Path],
    *,
    folder: Path,
    ready: Callable[[], Awaitable[bool]],
    within: float = 60.0,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[Process]:
    """Starts a server in this folder, waits until `ready` says so, and ends it.

    The environment is small and the same everywhere (PATH, a HOME and TMPDIR in the folder, and `env`), so that no
    proxy, credential or setting of the user's changes what a test sees.
    """
    process = await _started(name, argv, folder=folder, env=env or {})
    try:
        await _until_ready(process, ready, within)
        yield process
    finally:
        await process.stop()


async def until(condition: Callable[[], Awaitable[bool]], within: float) -> None:
    """Waits until the condition holds, asking often; TimeoutError after `within` seconds."""
    async with asyncio.timeout(within):
        while True:
            if await condition():
                return
            await asyncio.sleep(POLL_SECONDS)


async def listens(port: int) -> bool:
    """Whether somebody takes connections on this port of loopback now."""
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def _started(name: str, argv: Sequence[str | Path], *, folder: Path, env: Mapping[str, str]) -> Process:
    log = _empty_log(folder, name)
    base = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "TMPDIR": str(folder)}
    with log.open("ab") as output:
        child = await asyncio.create_subprocess_exec(
            *with_parent_death_signal(argv, ended_by=signal.SIGKILL),
            cwd=folder,
            env={**base, **env},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return Process(name, log, child)


def _empty_log(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    log.write_bytes(b"")
    return log


async def _until_ready(process: Process, ready: Callable[[], Awaitable[bool]], within: float) -> None:
    def failed(how: str) -> ServerFailed:
        return ServerFailed(f"{process.name} {how}; the end of its log:\n{process.log_tail()}")

    async def ready_and_running() -> bool:
        if process.returncode is not None:
            raise failed(f"ended with {process.returncode} before it was ready")
        return await ready()

    try:
        await until(ready_and_running, within)
    except TimeoutError:
        raise failed(f"was not ready within {within:g} s") from None


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
