"""Pauses between attempts: growing, with jitter, for ever. The one place where the project is random on purpose."""

import random
from collections.abc import Iterator, Sequence

_STEPS_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_JITTER = 0.2


def pauses(steps_seconds: Sequence[float] = _STEPS_SECONDS) -> Iterator[float]:
    """Yield the steps, then the last one again and again, each off by up to 20 % so that many waiters do not march in step."""
    position = 0
    while True:
        yield jittered(steps_seconds[min(position, len(steps_seconds) - 1)])
        position += 1


def jittered(seconds: float) -> float:
    """A pause off by up to 20 % either way."""
    return seconds * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads load; guards no secret
