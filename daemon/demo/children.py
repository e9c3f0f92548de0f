"""Child processes: started with a log file each, watched while they should live, ended by pid.

A child gets a session of its own, so that Ctrl-C reaches the demo alone, which then ends its children in order. It is
tethered to the demo, should that be killed outright.
"""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from daemon.demo.errors import DemoError
from daemon.tether import tethered

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

    def terminate(self) -> None:
        """Ask it to end; the ``with`` block waits for that."""
        _signal(self.process, signal.SIGTERM)

    def failed(self, what: str) -> DemoError:
        """An error about this child with the end of its log."""
        return DemoError(
            f"{self.name} (pid {self.pid}) {what}",
            fix="read the log above; if another process took its port or its memory, run the demo again",
            log_tail=tail(self.log),
        )


@asynccontextmanager
async def child(name: str, argv: Sequence[str], *, log: Path, stdout: bool = False) -> AsyncIterator[Child]:
    """Run a process for the length of a ``with`` block.

    Args:
        name: how the account calls it.
        argv: absolute path of the program, and its arguments.
        log: the file that takes its standard error, and its standard output unless ``stdout``.
        stdout: read its standard output through a pipe (limit of a line: 64 KiB).
    """
    with log.open("ab") as log_file:
        process = await asyncio.create_subprocess_exec(
            *tethered(argv, ended_by=signal.SIGTERM),
            stdin=DEVNULL,
            stdout=PIPE if stdout else log_file,
            stderr=log_file,
            start_new_session=True,
        )
    try:
        yield Child(name=name, process=process, log=log)
    finally:
        await _stop(process)


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
    """SIGTERM, then SIGKILL when that is not enough."""
    if process.returncode is None:
        _signal(process, signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await _drained(process)
        except TimeoutError:
            _signal(process, signal.SIGKILL)
            await _drained(process)


def _signal(process: Process, number: signal.Signals) -> None:
    """Not ``send_signal()``: that looks whether the child has ended and takes its exit code from under asyncio's nose."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


async def _drained(process: Process) -> None:
    """Wait for the end, reading on: a child that cannot write its last lines does not end."""
    if process.stdout is not None:
        with suppress(RuntimeError):  # another task reads already; then that one drains
            while await process.stdout.read(65536):
                pass
    await process.wait()
