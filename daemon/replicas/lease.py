"""How long one may act, and when another may be taken for dead: arithmetic on monotonic clocks, pure.

Whoever holds something counts from before it sent its last sign of life, and less than the whole lease; whoever waits for its end
counts the whole lease from when it saw that sign. So the one has left off before the other begins, whatever the network does and
whatever a process was doing when it was stopped, as long as no two clocks run apart by more than a tenth. Clocks of two machines
are never compared.
"""

from dataclasses import dataclass
from typing import Final

_SURE_SHARE: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One's own, of so many seconds. ``sent_at``: just before its newest sign of life that arrived was sent (monotonic)."""

    sent_at: float
    seconds: float

    def is_sure(self, now: float) -> bool:
        """Whether nobody can have taken its holder for dead yet."""
        return now - self.sent_at < self.seconds * _SURE_SHARE


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Another's newest sign of life: which one (a revision of the store), and when it was seen first (monotonic)."""

    revision: int
    at: float

    def again(self, revision: int, *, now: float) -> "Heard":
        """The same after another look."""
        return self if revision == self.revision else Heard(revision=revision, at=now)

    def is_silent(self, now: float, *, lease_seconds: float) -> bool:
        """Whether it surely may not act any more."""
        return now - self.at >= lease_seconds
