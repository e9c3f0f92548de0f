"""Requests that wait for a verdict, and how they are let go when the daemon stops.

An open long poll would hold a shutdown up until it is cut off, and the client would see a broken connection. Here each has
a deadline that the shutdown moves to now: it answers "not yet" at once, and the client asks again elsewhere.
"""

import asyncio

from daemon.model import Verdict
from daemon.ports import Verdicts


class LongPolls:
    """The open ones."""

    def __init__(self, verdicts: Verdicts) -> None:
        self._verdicts = verdicts
        self._open: set[asyncio.Timeout] = set()
        self._closing = False

    async def wait(self, release_id: str, *, seconds: float) -> Verdict | None:
        """The verdict; null when it has not come in time, or the daemon stops. Raises ``NotFound``."""
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._open.add(limit)
                return await self._verdicts.wait(release_id, seconds=0.0 if self._closing else seconds)
        except TimeoutError:
            if not limit.expired():
                raise
            return None
        finally:
            self._open.discard(limit)

    def close(self) -> None:
        """Let everybody go now."""
        self._closing = True
        now = asyncio.get_running_loop().time()
        for limit in self._open:
            limit.reschedule(now)
