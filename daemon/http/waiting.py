"""Answers that are kept open (long polls, streams), and how they are let go when the daemon stops.

An open answer would hold a shutdown up until it is cut off, and the client would see a broken connection. Here each has a deadline
that the shutdown moves to now: a long poll answers "not yet" at once, a stream ends, and the client asks again elsewhere.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Waiting:
    """The open ones."""

    def __init__(self) -> None:
        self._open: set[asyncio.Timeout] = set()
        self._closing = False

    @property
    def closing(self) -> bool:
        """The daemon stops: nothing may be waited for any more."""
        return self._closing

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Whatever waits inside is let go when the daemon stops; what comes after the body then goes on at once."""
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._open.add(limit)
                yield
        except TimeoutError:
            if not limit.expired():
                raise
        finally:
            self._open.discard(limit)

    def close(self) -> None:
        """Let everybody go now."""
        self._closing = True
        now = asyncio.get_running_loop().time()
        for limit in self._open:
            limit.reschedule(now)
