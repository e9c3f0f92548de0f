"""Child processes that end with the process that started them, also when that one is killed outright.

A killed parent runs no code, so the kernel has to do it: a bare interpreter is started in the child's place, asks to be sent a
signal at its parent's end, and then becomes the child. A ``preexec_fn`` could not: it runs Python between fork and exec in a
process with threads, which may deadlock, and which Python warns of since 3.12.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

# PR_SET_PDEATHSIG is 1. The parent may have died before the request was made, hence the look at getppid.
_SHIM = """
import os, sys
parent, number, *command = sys.argv[1:]
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, int(number))
    if os.getppid() != int(parent):
        sys.exit(1)
os.execv(command[0], command)
"""


def with_parent_death_signal(argv: Sequence[str | Path], *, ended_by: signal.Signals) -> list[str]:
    """What to start in place of ``argv`` for a child that is sent ``ended_by`` at the end of this process.

    It has the process id and the open files that ``argv`` would have. Elsewhere than on Linux there is no tie, and the child
    of a process that was killed stays.

    Args:
        argv: absolute path of the program, and its arguments.
        ended_by: SIGKILL for what bears it; SIGTERM for what has something to put in order, if it listens to that.
    """
    return [sys.executable, "-I", "-S", "-c", _SHIM, str(os.getpid()), str(ended_by.value), *map(str, argv)]


def of_module(name: str, *arguments: str) -> list[str]:
    """What to start for a module of ours as a program: with this interpreter, wherever the console script is.

    ``-P``: without it Python looks into the working directory first, and a ``config.py`` that lies there would be taken for ours.
    """
    return [sys.executable, "-P", "-m", name, *arguments]


async def start(
    argv: Sequence[str | Path],
    *,
    stdout: int | IO[bytes] = DEVNULL,
    stderr: int | IO[bytes] | None = DEVNULL,
    pass_fds: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
) -> Process:
    """Start a child, tied to this process by SIGTERM, without an input. ``env``, ``stderr``: null: ours.

    It is in a session of its own, so that Ctrl-C ends us first and lets us end our children in order.
    """
    return await asyncio.create_subprocess_exec(
        *with_parent_death_signal(argv, ended_by=signal.SIGTERM),
        stdin=DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        pass_fds=tuple(pass_fds),
        env=env,
    )


def send_signal(process: Process, number: signal.Signals) -> None:
    """Send a signal to a child that has not ended, as far as is known; one that has is no error.

    Not ``Process.send_signal``: that looks whether the child has ended and takes its exit code from under asyncio's nose.
    """
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


async def end(process: Process, *, patience_seconds: float) -> None:
    """End a child and wait for it: SIGTERM, and SIGKILL if it has not gone by then."""
    if process.returncode is not None:
        return
    send_signal(process, signal.SIGTERM)
    try:
        async with asyncio.timeout(patience_seconds):
            await _drained(process)
    except TimeoutError:
        send_signal(process, signal.SIGKILL)
        await _drained(process)


async def _drained(process: Process) -> None:
    """Wait for the end, reading on: a child that cannot write its last lines does not end."""
    if process.stdout is not None:
        with suppress(RuntimeError):  # another task reads already; then that one drains
            while await process.stdout.read(65536):
                pass
    await process.wait()
