"""A store that is waited for no longer than a lease bears.

How long a store waits for an answer is its own matter, and right for what is written once. A sign of life that was lost must be
said again before others take its sender for dead. What was written all the same is found by the next attempt, as a conflict.
"""

import asyncio
from typing import Final

from daemon.errors import TimedOut
from daemon.ports.durable import Kept, Store

# A lost answer and the attempt after it, a quarter of a lease after the last sign, are over while its holder may still act.
_SHARE_OF_A_LEASE: Final = 0.5


class Bounded:
    """``Store`` on ``store``, for what is renewed once in a part of ``lease_seconds``."""

    def __init__(self, store: Store, *, lease_seconds: float) -> None:
        self._store = store
        self._seconds = lease_seconds * _SHARE_OF_A_LEASE

    async def put(self, key: str, value: bytes, *, over: int | None = None) -> int:
        """Write; raises ``TimedOut`` when its time is over: it may or may not have been written."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._store.put(key, value, over=over)
        except TimeoutError as error:
            raise self._timed_out(f"writing {key}") from error

    async def get(self, key: str) -> Kept | None:
        """Read; raises ``TimedOut`` when its time is over."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._store.get(key)
        except TimeoutError as error:
            raise self._timed_out(f"reading {key}") from error

    async def delete(self, key: str) -> None:
        """Remove. Nobody's life hangs on that."""
        await self._store.delete(key)

    async def items(self) -> list[tuple[str, Kept]]:
        """Everything. Nobody's life hangs on that."""
        return await self._store.items()

    def _timed_out(self, doing: str) -> TimedOut:
        return TimedOut(f"{doing}: no answer from the store in {self._seconds:g} s")
