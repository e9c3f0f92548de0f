"""Much work on the event loop done in short stretches, between which all others have their turn.

A revert waits for whatever holds the loop. Work that cannot leave it, since what it changes belongs to nobody else there, is of
some µs for each of thousands: the one decision is that time says when a stretch is over, and not a number of them.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import Final, TypeVar

STRETCH_SECONDS: Final = 0.005
T = TypeVar("T")


async def in_stretches(items: Iterable[T]) -> AsyncIterator[T]:
    """Each of them; others have their turn between two, where the ones before took long. What is known may have changed then."""
    since = time.perf_counter()
    for item in items:
        yield item
        if time.perf_counter() - since > STRETCH_SECONDS:
            await asyncio.sleep(0)
            since = time.perf_counter()
