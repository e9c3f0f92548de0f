"""The real time. Everything that waits or dates something gets a clock handed in, and this is the one of production."""

import asyncio
import time


class SystemClock:
    """The operating system's clocks."""

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go backwards."""
        return time.monotonic()

    async def sleep(self, seconds: float, /) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
