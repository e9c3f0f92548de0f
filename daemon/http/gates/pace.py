"""How often attempts of one service may begin at gates: a template that names another one with each question begins one each time.

Each would supersede the one before, and leave a record for months. Who asks about what has begun is not held up.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from daemon.errors import Unavailable

MOST_BEGUN: Final = 10
WITHIN_SECONDS: Final = 60.0
_MOST_SERVICES: Final = 10_000


class Pace:
    """When attempts have begun. ``now``: seconds, on a clock that is never set."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._begun: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    @contextmanager
    def turn(self, service: tuple[str, str]) -> Iterator[None]:
        """For one attempt, which counts unless it fails to begin. Raises ``Unavailable`` where there were too many of late."""
        times = self._begun.setdefault(service, deque())
        while times and self._now() - times[0] > WITHIN_SECONDS:
            times.popleft()
        if len(times) >= MOST_BEGUN:
            told = f"{MOST_BEGUN} attempts of {'/'.join(service)} have begun within {WITHIN_SECONDS:g} s"
            raise Unavailable(f"{told}; does whoever asks name another one with each question?")
        at = self._now()
        times.append(at)
        self._begun.move_to_end(service)
        while len(self._begun) > _MOST_SERVICES:
            self._begun.popitem(last=False)
        try:
            yield
        except BaseException:
            with suppress(ValueError):  # it has taken so long that it counts no more
                times.remove(at)
            raise
