"""A source that does not answer for long is asked less often, so that it can come up again; how long it is blind for stays bounded.

The tick after the first failure asks again at once: most failures are over by then. One thing is never spared: each tick still is
a gap with the reason, since what is not asked is not known either.
"""

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from daemon.aio.clock import Clock
from daemon.errors import Throttled, TransientError, Unavailable
from daemon.telemetry.rest import Rest

LONGEST_PAUSE_SECONDS = 15.0
"""Between two questions, unless ticks are further apart. So much later than it could is an outage seen to be over."""

T = TypeVar("T")


class Outage:
    """Whether a source is asked at a tick. ``draw`` gives numbers in [0, 1)."""

    def __init__(self, *, clock: Clock, draw: Callable[[], float] = random.random) -> None:
        self._rest = Rest(clock, borne=1, draw=draw)

    async def bridged(self, ask: Callable[[], Awaitable[T]], *, tick_seconds: float) -> T:
        """What ``ask`` returns or raises. While the source is left alone: ``Unavailable``, with what it failed by."""
        if self._rest.times and not self._rest.over:
            times = "once" if self._rest.times == 1 else f"{self._rest.times} times in a row"
            raise Unavailable(f"{self._rest.reason} ({times}; it is asked less often until it answers)")
        try:
            answer = await ask()
        except TransientError as error:
            self._failed(error, tick_seconds=tick_seconds)
            raise
        self._rest.answered()
        return answer

    def _failed(self, error: TransientError, *, tick_seconds: float) -> None:
        # A source words errors anew; what the server has asked for stands behind them.
        asked_for = [one.retry_after_seconds for one in (error, error.__cause__) if isinstance(one, Throttled)]
        self._rest.failed(
            str(error),
            first_seconds=tick_seconds,
            cap_seconds=max(tick_seconds, LONGEST_PAUSE_SECONDS),
            least_seconds=max((seconds for seconds in asked_for if seconds > tick_seconds), default=0.0),
        )
