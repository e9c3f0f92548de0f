"""One who has not answered several times in a row is left alone, longer and longer; the reason is kept for whoever asks then."""

import random
from collections.abc import Callable

from daemon.aio.backoff import doubled
from daemon.aio.clock import Clock


class Rest:
    """Whether somebody is asked now.

    Args:
        borne: failures in a row that may pass by themselves: after these there is no pause.
        draw: gives numbers in [0, 1).

    Attributes:
        times: failures in a row.
        reason: of the last of them.
    """

    def __init__(self, clock: Clock, *, borne: int, draw: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._borne = borne
        self._draw = draw
        self._until = -1.0e18
        self.times = 0
        self.reason = ""

    @property
    def over(self) -> bool:
        """Whether it is asked again."""
        return self._clock.monotonic() >= self._until

    def failed(self, reason: str, *, first_seconds: float, cap_seconds: float, least_seconds: float = 0.0) -> None:
        """It has not answered: the pause begins with ``first_seconds`` and is doubled up to the cap; at least as it has asked."""
        self.times += 1
        self.reason = reason
        pause = 0.0
        if self.times > self._borne:
            pause = doubled(self.times - self._borne, first_seconds=first_seconds, cap_seconds=cap_seconds, random=self._draw)
        self._until = self._clock.monotonic() + max(pause, min(least_seconds, cap_seconds))

    def answered(self) -> None:
        """It has answered."""
        self.times = 0
