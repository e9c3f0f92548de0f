"""Who is first where many reverts begin at once: so many at a time in a cluster, in the order in which they were decided.

All at once they step together: each opens a connection of its own, and nobody's patch goes out before everybody has asked the first
question. A few at a time keep an API server as busy as many do, and the first of them is done while the last one waits. A turn ends
with the first tries of the patch, and after a moment in any case: what hangs, or is tried again and again, holds up nobody for
longer. What is asked before a patch is asked ahead of the turn, so that patches follow upon each other, and in companies of
neighbours (``daemon.aio.companies``), who share what they ask. What follows a patch (seeing the traffic leave, telling, recording)
lets the patches of others go first, for a while.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Final

from daemon.aio.companies import Companies
from daemon.engine.lull import Lull

PLACES: Final = 16
"""Two questions each keep a server of some cores busy, and fit into the connections that a client keeps open."""

COMPANIES: Final = 3
"""So many companies ask what is to be known before a patch, or have asked and wait for their turn. With fewer
patches wait for answers, and those of more are old when they are used. The number was not compared with others."""

LEAST: Final = 8
MOST: Final = 24
"""So many are in one: where nobody has neighbours no more than these ask at once as would ask if each were alone."""

LONGEST_SECONDS: Final = 0.2
"""After which the next one begins all the same: where nothing is answered, eighty a second do."""

CALM_SECONDS: Final = 5.0
"""How long what follows a patch waits for others' patches."""


class Turns:
    """The turns of one cluster.

    Args:
        places: how many have their turn at a time.
        companies: how many companies ask for it at a time.
        most: how many are in one; as long as there are fewer than ``LEAST``, further neighbours join them.
        longest_seconds: how long one keeps others from theirs, and from asking.
        calm_seconds: how long ``calm`` waits at most.
    """

    def __init__(
        self,
        *,
        places: int = PLACES,
        companies: int = COMPANIES,
        most: int = MOST,
        longest_seconds: float = LONGEST_SECONDS,
        calm_seconds: float = CALM_SECONDS,
    ) -> None:
        self._places = asyncio.Semaphore(places)
        self._companies = Companies(at_once=companies, least=min(LEAST, most), most=most, place_seconds=longest_seconds)
        self._longest_seconds = longest_seconds
        self._calm_seconds = calm_seconds
        self._lull = Lull()

    @asynccontextmanager
    async def asking(self, neighbours: Hashable) -> AsyncIterator[None]:
        """Ask what is to be known before the turn, beside these neighbours: at once, or after those who came before."""
        with ExitStack() as ending:
            ending.enter_context(self._lull.busy())
            async with self._companies.joined(neighbours):
                with self._for_a_moment(ending):
                    yield

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Have a turn: at once where there is a place, else after those who came before."""
        with ExitStack() as ending:
            ending.enter_context(self._lull.busy())
            await self._places.acquire()
            ending.callback(self._places.release)
            with self._for_a_moment(ending):
                yield

    async def calm(self) -> None:
        """Wait until nobody asks, waits for a turn or has one, but not for long."""
        await self._lull.wait(seconds=self._calm_seconds)

    @contextmanager
    def _for_a_moment(self, ending: ExitStack) -> Iterator[None]:
        """Whoever takes longer has left before it is done: closed twice, the stack ends it once."""
        timer = asyncio.get_running_loop().call_later(self._longest_seconds, ending.close)
        try:
            yield
        finally:
            timer.cancel()
