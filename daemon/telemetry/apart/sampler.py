"""The sampler as a process: started with one end of a line, ended with it, whatever state it is in."""

import socket
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Self

from daemon.aio import process
from daemon.telemetry.apart.words import Begin, Line

_PATIENCE_SECONDS = 2.0
"""For one that is told to end: it has nothing to put in order."""


class Sampler:
    """A process that runs. Made by ``started``.

    Attributes:
        line: to it.
    """

    def __init__(self, child: Process, line: Line) -> None:
        self._child = child
        self.line = line

    @classmethod
    async def started(cls, argv: Sequence[str], first: Begin) -> Self:
        """Start it, with the number of its end of the line as the last argument, and tell it what it reads.

        It writes its log where ours goes, and ends with us, also where we are killed.

        Raises:
            OSError: it cannot be started, or has ended at once.
        """
        ours, theirs = socket.socketpair()
        async with AsyncExitStack() as undoing:
            undoing.callback(ours.close)
            with theirs:
                child = await process.start([*argv, str(theirs.fileno())], stderr=None, pass_fds=[theirs.fileno()])
            undoing.push_async_callback(process.end, child, patience_seconds=_PATIENCE_SECONDS)
            line = await Line.opened(ours)
            undoing.callback(line.close)
            await line.say(first)
            undoing.pop_all()
        return cls(child, line)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    async def end(self) -> None:
        """End it and wait for that."""
        self.line.close()
        await process.end(self._child, patience_seconds=_PATIENCE_SECONDS)
