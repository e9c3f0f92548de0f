"""How long a write is waited for: the longer, the longer writes take.

Most that have no answer in two seconds never get one: the server is gone, or the stream's leader. What is repeated anyway must not
wait long for these. But where a disk is slow each write is carried out after its sender gave up, and who asks again in its place is
told of a conflict with itself, for as long as the disk is slow. So what is not answered is waited for twice as long the next time,
and where the connection is lost, which is known, no longer than the first time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

WRITE_SECONDS: Final = 2.0
MOST_SECONDS: Final = 10.0


class Patience:
    """Of one connection.

    Attributes:
        seconds: how long the next write is waited for.
    """

    def __init__(self, *, least_seconds: float = WRITE_SECONDS) -> None:
        self.seconds = least_seconds
        self._least_seconds = least_seconds
        self._waits: dict[asyncio.Timeout, float] = {}

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[float]:
        """The time that a write has, while it is waited for. Raises ``TimeoutError`` when it is over."""
        seconds, begun = self.seconds, _now()
        async with asyncio.timeout(seconds) as wait:
            self._waits[wait] = begun
            try:
                yield seconds
            except (TimeoutError, asyncio.CancelledError):
                if wait in self._waits and _now() >= begun + seconds:
                    self.seconds = max(self.seconds, min(2.0 * seconds, MOST_SECONDS))
                raise
            finally:
                self._waits.pop(wait, None)
        took = _now() - begun
        self.seconds = min(max(self._least_seconds, 2.0 * took, self.seconds / 2.0), MOST_SECONDS)

    def lost(self) -> None:
        """The connection is lost: what is waited for may have no answer any more."""
        for wait, begun in self._waits.items():
            ends = wait.when()
            if ends is not None and not wait.expired():
                wait.reschedule(min(ends, begun + self._least_seconds))
        self._waits.clear()


def _now() -> float:
    return asyncio.get_running_loop().time()
