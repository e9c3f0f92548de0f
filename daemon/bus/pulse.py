"""Does NATS do its work? Asked once a second, because a connection that is open proves nothing.

A server that hangs keeps its connections, and one whose disk is full answers questions and takes no writes. What counts is a
write that is acknowledged, so that is what is tried: a few bytes, each in the place of the one before, and none while one is still
waited for: where a disk is slow the looking itself would be too much for it.
"""

import asyncio
import time
from collections.abc import Callable
from typing import NoReturn

from daemon.aio.tasks import background
from daemon.bus.connection import Connection
from daemon.bus.patience import WRITE_SECONDS
from daemon.bus.store import KvStore
from daemon.errors import TimedOut, VerdictdError
from daemon.standing import Standing

BEAT_SECONDS = 1.0
READ_SECONDS = 1.0
# How long a server that answers may take no writes before it is started anew, if it is ours; and at least how far apart.
STUCK_SECONDS = 10.0
RENEW_SECONDS = 15.0

SLOW = "is its disk slow, or has it too much to do? verdicts, records and events are as late as that"
ONLY_READS = (
    "it answers, but takes no writes: is its disk full, or was it? "
    "nats-server takes writes again only when it is restarted after room was made"
)


class Pulse:
    """``keep`` is its task; ``standing`` is what it has found.

    Args:
        renew: called when the server answers and has taken no writes for a while; whether it is started anew now.

    Attributes:
        write_seconds: how long the last write that was acknowledged took; 0: none was.
    """

    def __init__(self, connection: Connection, store: KvStore, *, where: str, renew: Callable[[], bool]) -> None:
        self.standing = Standing("nats")
        self.write_seconds = 0.0
        self._connection = connection
        self._store = store
        self._where = where
        self._renew = renew
        self._only_reads_since: float | None = None
        self._renewed_at = -float("inf")

    @property
    def problem(self) -> str | None:
        """Why NATS does not work; null when it does. A lost connection is known at once, the rest at the next beat."""
        if self._connection.state != "connected":
            return f"not connected to {self._where}"
        if self.standing.problem is None and (denied := self._connection.denied):
            return f"{self._where} does not permit our user to {denied[-1]}; give it this right"
        return self.standing.problem

    async def keep(self) -> NoReturn:
        """Try for ever."""
        while True:
            await self.beat()
            await self._connection.rest(BEAT_SECONDS)

    async def beat(self) -> None:
        """Try once."""
        began = time.monotonic()
        try:
            async with background(self._say_overdue()):
                await self._store.probe()
        except VerdictdError as error:
            self.standing.fails(await self._explained(error))
            return
        self._only_reads_since = None
        self.write_seconds = time.monotonic() - began
        if self.write_seconds > WRITE_SECONDS:
            self.standing.fails(f"{self._where} takes {self.write_seconds:.0f} s for a write: {SLOW}")
        else:
            self.standing.works()

    async def _say_overdue(self) -> None:
        """What is waited for longer at times is said as soon as ever."""
        await asyncio.sleep(WRITE_SECONDS)
        if self.standing.problem is None:
            self.standing.fails(f"{self._where} has taken no write for {WRITE_SECONDS:g} s")

    async def _explained(self, error: VerdictdError) -> str:
        if not isinstance(error, TimedOut):
            self._only_reads_since = None
            return str(error)
        try:
            async with asyncio.timeout(READ_SECONDS):
                await self._store.answers()
        except (VerdictdError, TimeoutError):
            self._only_reads_since = None
            return f"{self._where} does not answer"
        now = time.monotonic()
        self._only_reads_since = now if self._only_reads_since is None else self._only_reads_since
        due = now - self._only_reads_since >= STUCK_SECONDS and now - self._renewed_at >= RENEW_SECONDS
        if due and self._renew():
            self._renewed_at = now
        return f"{self._where}: {ONLY_READS}"
