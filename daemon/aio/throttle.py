"""Say it once, and then not again for a while: a broker that is away for an hour is one fact, not a thousand lines."""

import time

EVERY_SECONDS = 30.0


class LogThrottle:
    """``due()`` is true the first time, and then at most every 30 s."""

    def __init__(self) -> None:
        self._next = -float("inf")

    def due(self) -> bool:
        """Whether to say it now."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + EVERY_SECONDS
        return True
