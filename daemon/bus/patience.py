"""How long a write is waited for: the longer, the longer writes are seen to take.

Most that have no answer in two seconds never get one: the server is gone, or the stream's leader, or nobody may write there. What
is repeated anyway must not wait long for these, so silence changes nothing. But where a disk is slow each write is carried out
after its sender gave up, and who asks again in its place is told of a conflict with itself, for as long as the disk is slow. So an
answer is still listened for after its sender gave up, and where one comes, the next are waited for twice as long as it took.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Final, TypeVar

import nats.js.errors

WRITE_SECONDS: Final = 2.0
MOST_SECONDS: Final = 10.0

T = TypeVar("T")


class Patience:
    """With one stream, over one connection: another's disk or leader says nothing of it.

    Attributes:
        seconds: how long the next write is waited for.
    """

    def __init__(self, *, least_seconds: float = WRITE_SECONDS) -> None:
        self.seconds = least_seconds
        self._least_seconds = least_seconds
        self._waits: dict[asyncio.Timeout, float] = {}
        self._late: set[asyncio.Task[object]] = set()

    async def answer(self, ask: Callable[[float], Coroutine[None, None, T]]) -> T:
        """What ``ask`` returns or raises; it is told how long it may listen. Raises ``TimeoutError`` when nobody waits any more."""
        begun, wait = _now(), asyncio.timeout(self.seconds)
        asked = asyncio.create_task(ask(max(MOST_SECONDS, self._least_seconds)))
        try:
            async with wait:
                self._waits[wait] = begun
                await asyncio.wait({asked})
        except TimeoutError:
            if wait in self._waits:
                self._late.add(asked)
            else:
                asked.cancel()
            asked.add_done_callback(partial(self._ended_late, begun=begun))
            raise
        except asyncio.CancelledError:
            asked.add_done_callback(_error_of)
            asked.cancel()
            raise
        finally:
            self._waits.pop(wait, None)
        answer = asked.result()
        self.seconds = min(max(self._least_seconds, 2.0 * (_now() - begun), self.seconds / 2.0), MOST_SECONDS)
        return answer

    def lost(self) -> None:
        """The connection is lost: what is waited for may have no answer any more."""
        for wait, begun in self._waits.items():
            ends = wait.when()
            if ends is not None and not wait.expired():
                wait.reschedule(min(ends, begun + self._least_seconds))
        self._waits.clear()
        for asked in self._late:
            asked.cancel()

    def _ended_late(self, asked: asyncio.Task[object], *, begun: float) -> None:
        self._late.discard(asked)
        error = _error_of(asked)
        # What the stream refuses, as in a conflict with what was written meanwhile, it has looked at: that is an answer too.
        if asked.cancelled() or not (error is None or isinstance(error, nats.js.errors.APIError)):
            return
        self.seconds = max(self.seconds, min(2.0 * (_now() - begun), MOST_SECONDS))
        for wait, sent_at in self._waits.items():
            ends = wait.when()
            if ends is not None and not wait.expired():
                wait.reschedule(max(ends, sent_at + self.seconds))


def _error_of(asked: asyncio.Task[object]) -> BaseException | None:
    """Asked for also where nobody wants to know: asyncio complains of what nobody has looked at."""
    return None if asked.cancelled() else asked.exception()


def _now() -> float:
    return asyncio.get_running_loop().time()
