"""How far behind we are with events and commands: what waits on their streams, and whether it comes.

Asked of the consumers themselves every few seconds: what has come says nothing of what does not. A consumer that is paused, or
whose messages another client takes and keeps, looks from here like one on which nothing happens.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from nats.js.errors import NotFoundError

from daemon import names
from daemon.bus import subjects
from daemon.bus.connection import Connection
from daemon.bus.serving import durable_of
from daemon.bus.translating import translated
from daemon.errors import VerdictdError
from daemon.standing import Standing

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
HELD_UP_SECONDS = 20.0
"""Longer than a message that somebody took and did not answer is kept from others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Of one stream: how many messages have not been given out, and how many of those that were are not answered."""

    waiting: int = 0
    unanswered: int = 0


@dataclass(frozen=True, slots=True)
class _Stall:
    """Since when (monotonic) messages wait and none is given out, and how many had been by then."""

    deliveries: int
    since: float


class Lag:
    """Of the daemon of one cluster. ``keep`` is its task.

    Attributes:
        standing: whether what waits comes.
    """

    def __init__(self, connection: Connection, *, cluster: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.standing = Standing("events")
        self._connection = connection
        self._durable = durable_of(names.token(cluster, path="cluster"))
        self._monotonic = monotonic
        self._backlogs = {stream: Backlog() for stream in (subjects.RELEASES, subjects.COMMANDS)}
        self._stalls: dict[str, _Stall] = {}

    @property
    def backlogs(self) -> Mapping[str, Backlog]:
        """By stream, as of the last look."""
        return dict(self._backlogs)

    async def keep(self) -> NoReturn:
        """Look every few seconds, for ever. What cannot be looked at now is looked at again."""
        while True:
            try:
                await self.look()
            except VerdictdError as error:
                logger.debug("no look at what waits", extra={"error": str(error)})
                self._stalls.clear()  # nobody knows what came meanwhile
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look once. Raises as the connection does."""
        problems = [found for stream in self._backlogs if (found := await self._problem(stream)) is not None]
        if problems:
            self.standing.fails("; ".join(problems))
        else:
            self.standing.works()

    async def _problem(self, stream: str) -> str | None:
        with translated(f"looking at what waits on {stream}"):
            try:
                info = await self._connection.jetstream.consumer_info(stream, self._durable)
            except NotFoundError:  # made when it is first read
                return None
        backlog = Backlog(waiting=info.num_pending or 0, unanswered=info.num_ack_pending or 0)
        self._backlogs[stream] = backlog
        deliveries = 0 if info.delivered is None else info.delivered.consumer_seq
        stall = self._stalls.get(stream)
        if not backlog.waiting or stall is None or stall.deliveries != deliveries:
            self._stalls[stream] = _Stall(deliveries, self._monotonic())
            return None
        seconds = self._monotonic() - stall.since
        if seconds < HELD_UP_SECONDS:
            return None
        return (
            f"{backlog.waiting} messages wait on {stream} and none has come for {seconds:.0f} s, "
            f"while {backlog.unanswered} are given out and unanswered: "
            f"is the consumer {self._durable} paused, or does another client take from it?"
        )
