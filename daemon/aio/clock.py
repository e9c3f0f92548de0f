"""Time, so that tests can own it: everything that waits or dates something gets a clock handed in, and never looks for one."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What keeps time."""

    def now(self) -> float:
        """Seconds since 1970; for records and for comparing with telemetry."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backwards; for durations."""
        ...

    async def sleep(self, seconds: float, /) -> None:
        """Wait."""
        ...


class SystemClock:
    """The operating system's clocks: the one of production."""

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go backwards."""
        return time.monotonic()

    async def sleep(self, seconds: float, /) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
