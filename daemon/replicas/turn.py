"""Whose turn it is to do what one replica does for all: whoever holds a certain slot.

It is not asked whether the lease surely lasts: what is done in a turn bears that two do it for a moment, as when one is restarted.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from daemon.aio.clock import Clock

WATCH_SLOT: Final = 0
"""Whoever holds it watches the routes of all services."""
_LOOK_SECONDS: Final = 0.25


class SlotTurn:
    """``Turn`` of one of several replicas. ``held``: the number under which this one holds the slot now; null: it does not."""

    def __init__(self, held: Callable[[], int | None], *, clock: Clock) -> None:
        self._held = held
        self._clock = clock
        self._own: int | None = None

    async def begins(self) -> None:
        """See ``Turn``."""
        while (held := self._held()) is None:
            await self._clock.sleep(_LOOK_SECONDS)
        self._own = held

    async def ends(self) -> None:
        """See ``Turn``. Who has lost it and has it again has another number."""
        while self._held() == self._own:
            await self._clock.sleep(_LOOK_SECONDS)


class Alone:
    """``Turn`` of the only replica: it is always its own."""

    async def begins(self) -> None:
        """See ``Turn``."""

    async def ends(self) -> None:
        """See ``Turn``."""
        await asyncio.Event().wait()
