"""How a part of the world stands: it works, or it does not and why. Said once for each change, however often it is met.

Whoever uses the part tells it here after each use; readiness and metrics ask. A broker that is away for an hour is two lines
in the log and one state, not a thousand lines.
"""

import logging
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Standing:
    """One component.

    Attributes:
        problem: why it does not work; null while it does, and before it has been used.
        last_success_at: when it was last seen to work, in seconds since 1970; null before.
    """

    def __init__(self, component: str, *, now: Callable[[], float] = time.time) -> None:
        self.component = component
        self.problem: str | None = None
        self.last_success_at: float | None = None
        self._now = now
        self._failing_since = 0.0

    def works(self) -> None:
        """It has just worked."""
        self.last_success_at = self._now()
        if self.problem is not None:
            seconds = round(self.last_success_at - self._failing_since, 1)
            logger.info("works again", extra={"component": self.component, "after_seconds": seconds})
        self.problem = None

    def fails(self, reason: str) -> None:
        """It has just failed."""
        if self.problem is None:
            self._failing_since = self._now()
            logger.warning("does not work", extra={"component": self.component, "reason": reason})
        self.problem = reason

    def rests(self) -> None:
        """Nobody uses it now: nothing is known of it."""
        self.problem = None
