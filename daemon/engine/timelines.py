"""The time lines of watches: how long each has been going on, whatever is done to the wall's clock meanwhile.

Within one process the monotonic clock says so; the wall's clock only bridges a restart. Otherwise a clock that is set back
would hold a release for as long, and one that is set forward would end every watch at once.
"""

from collections.abc import Sequence

from daemon.engine.session import Session
from daemon.ports import Clock


class Timelines:
    """When, by the monotonic clock, each watch began."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began: dict[str, float] = {}

    def now(self, watching: Sequence[Session]) -> list[float]:
        """The time for each of these, in seconds since 1970 as if the wall's clock had run steadily. Others are forgotten."""
        wall, steady = self._clock.now(), self._clock.monotonic()
        self._began = {s.release_id: self._began.get(s.release_id, steady - _elapsed(s, wall)) for s in watching}
        return [(s.started_at or wall) + steady - self._began[s.release_id] for s in watching]


def _elapsed(session: Session, wall: float) -> float:
    """By the wall's clock, and not less than what was counted already."""
    return max(wall - (session.started_at or wall), session.t)
