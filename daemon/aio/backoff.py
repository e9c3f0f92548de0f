"""Pauses between attempts: growing, with jitter. The one place where the project is random on purpose.

There are two forms. ``pauses`` is for a loop that only goes on; ``doubled`` is for one that counts its failures itself, since it
resets the count, or knows a kind of failure that costs nothing.
"""

import random
from collections.abc import Callable, Iterator, Sequence

_STEPS_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_JITTER = 0.2
_MOST_DOUBLINGS = 16


def pauses(steps_seconds: Sequence[float] = _STEPS_SECONDS) -> Iterator[float]:
    """Yield the steps, then the last one again and again, each off by up to 20 % so that many waiters do not march in step."""
    position = 0
    while True:
        yield jittered(steps_seconds[min(position, len(steps_seconds) - 1)])
        position += 1


def jittered(seconds: float) -> float:
    """A pause off by up to 20 % either way."""
    return seconds * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads load; guards no secret


def doubled(failures: int, *, first_seconds: float, cap_seconds: float, random: Callable[[], float]) -> float:
    """The pause after so many failures in a row (1 or more): doubled each time up to the cap, of which a random half is spared.

    ``random`` gives numbers in [0, 1). Equal jitter, as in M. Brooker, "Exponential backoff and jitter" (AWS, 2015).
    """
    full = min(cap_seconds, first_seconds * 2.0 ** min(failures - 1, _MOST_DOUBLINGS))
    return full * (0.5 + 0.5 * random())
