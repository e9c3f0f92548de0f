"""Whether our clock and a store's differ, told from what it answers anyway.

A range selector gives samples of a known stretch of time before the store's own now. Samples that are older than that by our
clock, or that are not taken yet, are proof; anything else may be lateness, and is taken for it. Times are in seconds since 1970.
"""

import logging

_SURE_SECONDS = 2.0
"""Less is nothing to speak of."""
_REMEMBERED_SECONDS = 300.0
log = logging.getLogger(__name__)


class Clocks:
    """Of one store, ``name`` for people.

    Attributes:
        ahead_seconds: by how much ours is ahead at least; less than 0: behind; 0: nothing is proven.
    """

    def __init__(self, name: str) -> None:
        self.ahead_seconds = 0.0
        self._name = name
        self._proven_at = 0.0
        self._said = False

    def compare(self, newest: float, *, window_seconds: float, asked_at: float, answered_at: float) -> None:
        """Hold the newest sample of an answer against our clock; asked was for what is ``window_seconds`` old at most."""
        ahead = asked_at - newest - window_seconds
        behind = newest - answered_at
        if ahead > _SURE_SECONDS:
            self._prove(max(ahead, self.ahead_seconds), at=answered_at)
        elif behind > _SURE_SECONDS:
            self._prove(min(-behind, self.ahead_seconds), at=answered_at)
        elif self._refuted(answered_at - newest, at=answered_at):
            self.ahead_seconds, self._said = 0.0, False

    def _refuted(self, age: float, *, at: float) -> bool:
        """Whether it is over. That we are behind shows at new samples only: it is believed for a while."""
        return age < self.ahead_seconds or (self.ahead_seconds < 0.0 and at - self._proven_at > _REMEMBERED_SECONDS)

    def _prove(self, ahead_seconds: float, *, at: float) -> None:
        self.ahead_seconds, self._proven_at = ahead_seconds, at
        if not self._said:
            self._said = True
            which = "ahead of" if ahead_seconds > 0.0 else "behind"
            reason = f"ours is at least {abs(ahead_seconds):.0f} s {which} the store's; it may also answer from a cache"
            log.warning("the clocks differ", extra={"source": self._name, "reason": reason})
