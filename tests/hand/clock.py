"""A clock that a test moves. Whoever has a real server on the other side takes ``daemon.aio.clock.SystemClock``.

Limits of time that an event loop keeps are tested on its own time: what must not run out is long, and what must runs out at once.
"""

import asyncio

import pytest


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


class PatientClock(HandClock):
    """One on which who sleeps for long wakes when a test says so; short sleeps end at once."""

    def __init__(self) -> None:
        super().__init__()
        self._moved = asyncio.Event()

    async def sleep(self, seconds: float, /) -> None:
        if seconds < 1.0:
            await super().sleep(seconds)
            return
        until = self.time + seconds
        while self.time < until:
            await self._moved.wait()

    def passes(self, seconds: float) -> None:
        self.time += seconds
        self._moved.set()
        self._moved = asyncio.Event()


class LoopTime:
    """The time of the running event loop, which passes as it does, and when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self._passed = 0.0
        self._real = loop.time
        monkeypatch.setattr(loop, "time", lambda: self._real() + self._passed)

    def passes(self, seconds: float) -> None:
        """Limits that run out meanwhile have run out as soon as the loop looks."""
        self._passed += seconds
