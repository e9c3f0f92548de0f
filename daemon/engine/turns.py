"""Who is first where many reverts begin at once: so many at a time in a cluster, in the order in which they were decided.

All at once they step together: each opens a connection of its own, and nobody's patch goes out before everybody has asked the first
question. A few at a time keep an API server as busy as many do, and the first of them is done while the last one waits. A turn ends
with the first tries of the patch, and after a moment in any case: what hangs, or is tried again and again, holds up nobody for
longer. What is asked before a patch is asked ahead of the turn, so that patches follow upon each other, and neighbours share what
they ask. What follows a patch (seeing the traffic leave, telling, recording) lets the patches of others go first, for a while.

Each cluster of a mesh has turns of its own, so that one whose API server hangs holds up no other.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from typing import Final

from daemon.engine.lull import Lull

PLACES: Final = 16
"""Two questions each keep a server of some cores busy, and fit into the connections that a client keeps open."""

AHEAD: Final = 24
"""So many ask what is to be known before a patch, or have asked and wait for their turn: the neighbours among them ask together,
and nobody's answer is old. Of twice as many at once fewer have it in time, where the machine has too much to do."""

LONGEST_SECONDS: Final = 0.2
"""After which the next one begins all the same: where nothing is answered, eighty a second do."""

CALM_SECONDS: Final = 5.0
"""How long what follows a patch waits for others' patches."""


class Turns:
    """The turns of one cluster.

    Args:
        places: how many have their turn at a time.
        ahead: how many ask for it at a time.
        longest_seconds: how long one keeps others from theirs, and from asking.
        calm_seconds: how long ``calm`` waits at most.
    """

    def __init__(
        self,
        *,
        places: int = PLACES,
        ahead: int = AHEAD,
        longest_seconds: float = LONGEST_SECONDS,
        calm_seconds: float = CALM_SECONDS,
    ) -> None:
        self._places = asyncio.Semaphore(places)
        self._ahead = asyncio.Semaphore(ahead)
        self._longest_seconds = longest_seconds
        self._calm_seconds = calm_seconds
        self._lull = Lull()

    def asking(self) -> AbstractAsyncContextManager[None]:
        """Ask what is to be known before the turn: at once where there is a place, else after those who came before."""
        return self._in_order(self._ahead)

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Have a turn: at once where there is a place, else after those who came before."""
        return self._in_order(self._places)

    async def calm(self) -> None:
        """Wait until nobody asks, waits for a turn or has one, but not for long."""
        await self._lull.wait(seconds=self._calm_seconds)

    @asynccontextmanager
    async def _in_order(self, places: asyncio.Semaphore) -> AsyncIterator[None]:
        with ExitStack() as ending:
            ending.enter_context(self._lull.busy())
            await places.acquire()
            ending.callback(places.release)
            # Whoever takes longer has left the turn before it is done: closed twice, the stack ends it once.
            timer = asyncio.get_running_loop().call_later(self._longest_seconds, ending.close)
            try:
                yield
            finally:
                timer.cancel()
