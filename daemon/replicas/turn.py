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
    """``Turn`` of one of several replicas. ``holds``: whether this one holds the slot now."""

    def __init__(self, holds: Callable[[], bool], *, clock: Clock) -> None:
        self._holds = holds
        self._clock = clock

    async def begins(self) -> None:
        """See ``Turn``."""
        while not self._holds():
            await self._clock.sleep(_LOOK_SECONDS)

    async def ends(self) -> None:
        """See ``Turn``."""
        while self._holds():
            await self._clock.sleep(_LOOK_SECONDS)


class Alone:
    """``Turn`` of the only replica: it is always its own."""

    async def begins(self) -> None:
        """See ``Turn``."""

    async def ends(self) -> None:
        """See ``Turn``."""
        await asyncio.Event().wait()
