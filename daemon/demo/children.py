"""Child processes: started with a log file each, watched while they should live, ended by pid.

A child gets a session of its own, so that Ctrl-C reaches the demo alone, which then ends its children in order. Its
standard input is a pipe held by the demo: our own children end when it closes, whatever ended the demo.
"""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from daemon.demo.errors import DemoError

_STOP_SECONDS = 6.0
_TAIL_BYTES = 4096
_TAIL_LINES = 15


@dataclass(frozen=True, slots=True)
class Child:
    """A running child process."""

    name: str
    process: Process
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    async def first_line(self, *, seconds: float) -> bytes:
        """The first line it writes on its standard output. Raises ``DemoError`` when it dies or stays silent."""
        if self.process.stdout is None:
            raise self.failed("was started without a pipe to read from")
        try:
            async with asyncio.timeout(seconds):
                line = await self.process.stdout.readline()
        except TimeoutError as error:
            raise self.failed(f"said nothing for {seconds:g} s after its start") from error
        if not line:
            raise self.failed("ended at its start")
        return line

    async def ended(self) -> None:
        """Wait for the end of a child that should live as long as the demo, then raise ``DemoError``."""
        code = await self.process.wait()
        raise self.failed(f"ended with code {code} while it was needed")

    def failed(self, what: str) -> DemoError:
        """An error about this child with the end of its log."""
        return DemoError(
            f"{self.name} (pid {self.pid}) {what}",
            fix="read the log above; if another process took its port or its memory, run the demo again",
            log_tail=tail(self.log),
        )


@asynccontextmanager
async def child(
    name: str, argv: Sequence[str], *, log: Path, stdout: bool = False, env: Mapping[str, str] | None = None
) -> AsyncIterator[Child]:
    """Run a process for the length of a ``with`` block.

    Args:
        name: how the account calls it.
        argv: program and arguments.
        log: the file that takes its standard error, and its standard output unless ``stdout``.
        stdout: read its standard output through a pipe (limit of a line: 64 KiB).
        env: its environment; null is ours.
    """
    with log.open("ab") as log_file:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=PIPE,
            stdout=PIPE if stdout else log_file,
            stderr=log_file,
            env=env,
            start_new_session=True,
        )
    try:
        yield Child(name=name, process=process, log=log)
    finally:
        await _stop(process)


async def run_to_end(argv: Sequence[str], *, seconds: float) -> tuple[int, str]:
    """Run a short command; return its exit code and what it wrote (standard error included)."""
    process = await asyncio.create_subprocess_exec(*argv, stdin=DEVNULL, stdout=PIPE, stderr=asyncio.subprocess.STDOUT)
    try:
        async with asyncio.timeout(seconds):
            out, _ = await process.communicate()
    finally:
        await _stop(process)
    return process.returncode or 0, out.decode(errors="replace")


def tail(log: Path) -> str:
    """The last lines of a log file; empty when it cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-_TAIL_LINES:])


async def _stop(process: Process) -> None:
    """SIGTERM and a closed standard input, then SIGKILL when that is not enough."""
    if process.stdin is not None:
        process.stdin.close()
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)  # not send_signal(): it reaps the child under asyncio's nose
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await _drained(process)
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            await _drained(process)


async def _drained(process: Process) -> None:
    """Wait for the end, reading on: a child that cannot write its last lines does not end."""
    if process.stdout is not None:
        with suppress(RuntimeError):  # another task reads already; then that one drains
            while await process.stdout.read(65536):
                pass
    await process.wait()
