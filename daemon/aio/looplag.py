"""How late the event loop turns: what holds it up holds up a revert as well, and shows here whatever it is."""

import asyncio
from collections.abc import Callable
from typing import Final

EVERY_SECONDS: Final = 0.25


async def measured(lagged: Callable[[float], None]) -> None:
    """Tell over and over by how many seconds a task was woken later than it should have been; ends only when it is cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + EVERY_SECONDS
        await asyncio.sleep(EVERY_SECONDS)
        lagged(max(0.0, loop.time() - due))
