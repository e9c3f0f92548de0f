"""A clock that a test moves. Whoever has a real server on the other side takes ``daemon.aio.clock.SystemClock``."""

import asyncio


class HandClock:
    """Time that moves only when somebody sleeps, or when a test sets it; sleepers wake in order.

    Attributes:
        time: seconds since 1970.
        booted: when the monotonic time began.
        slept: for how long somebody slept, in order.
    """

    def __init__(self, now: float = 1_000_000.0, *, booted: float = 0.0) -> None:
        self.time = now
        self.booted = booted
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time - self.booted

    async def sleep(self, seconds: float, /) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)
