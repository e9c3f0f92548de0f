"""A source that does not answer for long is asked less often, so that it can come up again; how long it is blind for stays bounded.

The tick after the first failure asks again at once: most failures are over by then. One thing is never spared: each tick still is
a gap with the reason, since what is not asked is not known either.
"""

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from daemon.aio.backoff import doubled
from daemon.aio.clock import Clock
from daemon.errors import Throttled, TransientError, Unavailable

LONGEST_PAUSE_SECONDS = 15.0
"""Between two questions, unless ticks are further apart. So much later than it could is an outage seen to be over."""

T = TypeVar("T")


class Outage:
    """Whether a source is asked at a tick. ``draw`` gives numbers in [0, 1)."""

    def __init__(self, *, clock: Clock, draw: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._draw = draw
        self._failures = 0
        self._reason = ""
        self._asked_again_at = -1.0e18

    async def bridged(self, ask: Callable[[], Awaitable[T]], *, tick_seconds: float) -> T:
        """What ``ask`` returns or raises. While the source is left alone: ``Unavailable``, with what it failed by."""
        if self._failures and self._clock.monotonic() < self._asked_again_at:
            times = "once" if self._failures == 1 else f"{self._failures} times in a row"
            raise Unavailable(f"{self._reason} ({times}; it is asked less often until it answers)")
        try:
            answer = await ask()
        except TransientError as error:
            self._failed(error, tick_seconds=tick_seconds)
            raise
        self._failures = 0
        return answer

    def _failed(self, error: TransientError, *, tick_seconds: float) -> None:
        self._failures += 1
        self._reason = str(error)
        cap = max(tick_seconds, LONGEST_PAUSE_SECONDS)
        pause = 0.0
        if self._failures > 1:
            pause = doubled(self._failures - 1, first_seconds=tick_seconds, cap_seconds=cap, random=self._draw)
        # A source words errors anew; what the server has asked for stands behind them.
        for one in (error, error.__cause__):
            if isinstance(one, Throttled) and one.retry_after_seconds > tick_seconds:
                pause = max(pause, min(one.retry_after_seconds, cap))
        self._asked_again_at = self._clock.monotonic() + pause
