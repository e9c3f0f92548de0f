"""Which targets are not asked at every tick: those that have not answered several times in a row.

A proxy that cannot be reached takes its whole time limit, and a place among those that are asked at once; hundreds of them, as
behind a network policy, would take the ticks of everybody else. They are asked again, later and later.
"""

import random
from collections.abc import Callable, Container
from dataclasses import dataclass

from daemon.aio.backoff import doubled
from daemon.aio.clock import Clock

_BORNE = 3
"""Failures in a row that may pass by themselves."""
_FIRST_SECONDS, _CAP_SECONDS = 2.0, 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failing:
    times: int
    until: float
    reason: str


class Patience:
    """What is remembered of the targets that fail. ``random`` gives numbers in [0, 1)."""

    def __init__(self, clock: Clock, *, random: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._random = random
        self._failing: dict[str, _Failing] = {}

    def resting(self, target: str) -> str | None:
        """Why a target is not asked now; null where it is."""
        failing = self._failing.get(target)
        return None if failing is None or self._clock.monotonic() >= failing.until else failing.reason

    def failed(self, target: str, reason: str) -> None:
        """It has not answered."""
        before = self._failing.get(target)
        times = 1 if before is None else before.times + 1
        pause = 0.0
        if times >= _BORNE:
            pause = doubled(times - _BORNE + 1, first_seconds=_FIRST_SECONDS, cap_seconds=_CAP_SECONDS, random=self._random)
        self._failing[target] = _Failing(times=times, until=self._clock.monotonic() + pause, reason=reason)

    def answered(self, target: str) -> None:
        """It has answered."""
        self._failing.pop(target, None)

    def keep(self, targets: Container[str]) -> None:
        """Forget the others."""
        self._failing = {name: failing for name, failing in self._failing.items() if name in targets}
