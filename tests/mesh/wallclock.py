"""The clock on the wall, for tests whose other side is a real server."""

import asyncio
import time


class WallClock:
    """Implements ``Clock``."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float, /) -> None:
        await asyncio.sleep(seconds)
