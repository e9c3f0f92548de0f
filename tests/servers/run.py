"""Running a server as a child process: on ports of its own, until it is ready, and never beyond the test run."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import fcntl
import functools
import os
import random
import signal
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import aiohttp

from daemon.aio.process import with_parent_death_signal

LOOPBACK = "127.0.0.1"
STOP_SECONDS = 5.0
POLL_SECONDS = 0.05
PORTS = range(20000, 32000)
"""Below the ports that Linux hands to outgoing connections, which would otherwise now and then take a chosen one
between the choice and the server's start."""

_given: set[int] = set()


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


def free_ports(count: int) -> tuple[int, ...]:
    """Loopback ports that nobody listens on. Each is this process's until it ends: also while nobody listens on it yet, or any
    more, no other test process of this machine is given it."""
    chosen: list[int] = []
    for port in random.sample(PORTS, k=len(PORTS)):
        if len(chosen) == count:
            break
        if port not in _given and _reserved(port) and _is_free(port):
            _given.add(port)
            chosen.append(port)
    if len(chosen) < count:
        raise ServerFailed(f"no {count} free ports in {PORTS}")
    return tuple(chosen)


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


async def http_ready(url: str, *, context: ssl.SSLContext | None = None, token: str | None = None) -> bool:
    """Whether a GET of this URL answers 200 now."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2.0)) as session,
            session.get(url, headers=headers, ssl=context or True) as response,
        ):
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


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


@functools.cache
def _reservations() -> int:
    """A file of which each port has a byte. It is never closed: with it all locks of this process would go."""
    return os.open(Path(tempfile.gettempdir()) / f"verdictd-test-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT, 0o600)


def _reserved(port: int) -> bool:
    """Whether the port is ours now. The system gives the lock back when this process ends, however it does."""
    try:
        fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
