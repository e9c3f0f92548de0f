"""Waiting for what happens in the world, in its own time; for what happens in the event loop see ``ports.until``."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool], *, within_seconds: float = 40.0) -> None:
    """Wait until the condition holds; ``TimeoutError`` when it does not in longer than it takes on any machine."""
    async with asyncio.timeout(within_seconds):
        while not condition():
            await asyncio.sleep(0.02)
