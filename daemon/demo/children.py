"""Child processes: started with a log file each, watched while they should live, ended by pid; and what can go wrong with them.

A child gets a session of its own, so that Ctrl-C reaches the demo alone, which then ends its children in order; and it ends with
the demo, should that be killed outright. The demo is the first thing a newcomer runs: an error here is a message with a way out,
never a traceback.
"""

import asyncio
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from daemon.aio import process
from daemon.errors import VerdictdError

T = TypeVar("T")


class DemoError(VerdictdError):
    """The demo cannot go on.

    Args:
        message: what happened.
        fix: what to do about it.
        log_tail: the last lines that the failing process wrote.
    """

    def __init__(self, message: str, *, fix: str, log_tail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.log_tail = log_tail

    def __str__(self) -> str:
        """The message, the end of the log if there is one, and the way out."""
        tail = f"\n--- the end of its log ---\n{self.log_tail.rstrip()}\n---" if self.log_tail.strip() else ""
        return f"{self.message}{tail}\nWhat to do: {self.fix}"


START_SECONDS = 60.0
"""For one of the demo's parts, on a machine that is busy with other things. One that ends instead is noticed at once."""
_LOOK_SECONDS = 0.03
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

    async def until(self, look: Callable[[], Awaitable[T | None]]) -> T:
        """What a look gives, once that is something true. Raises ``DemoError`` when the child ends before, or takes too long."""
        try:
            async with asyncio.timeout(START_SECONDS):
                while not (found := await look()):
                    if self.process.returncode is not None:
                        raise self.failed(f"ended with code {self.process.returncode} at its start")
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError as error:
            raise self.failed(f"was not ready after {START_SECONDS:g} s") from error
        return found

    async def ended(self) -> None:
        """Wait for the end of a child that should live as long as the demo, then raise ``DemoError``."""
        code = await self.process.wait()
        raise self.failed(f"ended with code {code} while it was needed")

    def terminate(self) -> None:
        """Ask it to end; the ``with`` block waits for that."""
        process.send_signal(self.process, signal.SIGTERM)

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
        argv: absolute path of the program, and its arguments.
        log: the file that takes its standard error, and its standard output unless ``stdout``.
        stdout: read its standard output through a pipe (limit of a line: 64 KiB).
        env: its environment; none: that of the demo.
    """
    with log.open("ab") as log_file:
        started = await process.start(argv, stdout=PIPE if stdout else log_file, stderr=log_file, env=env)
    try:
        yield Child(name=name, process=started, log=log)
    finally:
        await process.end(started, patience_seconds=_STOP_SECONDS)


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


async def until_told() -> None:
    """Wait for SIGTERM."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    await told.wait()
