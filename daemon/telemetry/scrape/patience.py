"""Which targets are not asked at every tick: those that have not answered several times in a row.

A proxy that cannot be reached takes its whole time limit, and a place among those that are asked at once; hundreds of them, as
behind a network policy, would take the ticks of everybody else. They are asked again, later and later.
"""

import random
from collections.abc import Callable, Container

from daemon.aio.clock import Clock
from daemon.telemetry.rest import Rest

_BORNE = 2
"""Failures in a row that may pass by themselves."""
_FIRST_SECONDS, _CAP_SECONDS = 2.0, 15.0


class Patience:
    """What is remembered of the targets that fail. ``random`` gives numbers in [0, 1)."""

    def __init__(self, clock: Clock, *, random: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._random = random
        self._failing: dict[str, Rest] = {}

    def resting(self, target: str) -> str | None:
        """Why a target is not asked now; null where it is."""
        failing = self._failing.get(target)
        return None if failing is None or failing.over else failing.reason

    def failed(self, target: str, reason: str) -> None:
        """It has not answered."""
        failing = self._failing.setdefault(target, Rest(self._clock, borne=_BORNE, draw=self._random))
        failing.failed(reason, first_seconds=_FIRST_SECONDS, cap_seconds=_CAP_SECONDS)

    def answered(self, target: str) -> None:
        """It has answered."""
        self._failing.pop(target, None)

    def keep(self, targets: Container[str]) -> None:
        """Forget the others."""
        self._failing = {name: failing for name, failing in self._failing.items() if name in targets}
