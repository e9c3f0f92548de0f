"""The routes' weights while releases are watched: an announced weight is that of the moment, and most are stepped up.

They are looked at beside the ticks, which never wait for it; a release whose weight was not seen lately has none. Releases that
look at the same time share a listing (``daemon.aio.singleflight``), so that a look costs about the same for one and for a thousand.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from daemon.aio.clock import Clock
from daemon.engine.session import Session
from daemon.errors import VerdictdError
from daemon.ports.routing import TrafficRouter

log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
"""Between two looks; a tick's weight is as old at most, and a step lasts minutes."""
STALE_SECONDS = 60.0
_AT_A_TIME = 32


class Weights:
    """What the last look saw of each release."""

    def __init__(self, *, router: Callable[[Session], TrafficRouter], clock: Clock) -> None:
        self._router = router
        self._clock = clock
        self._seen: dict[str, tuple[float, float]] = {}
        self._looked_at = -LOOK_SECONDS

    @property
    def due(self) -> bool:
        """Whether it is time for another look."""
        return self._clock.monotonic() - self._looked_at >= LOOK_SECONDS

    def of(self, release_id: str) -> float | None:
        """The canary's weight in percent; null where it was not seen lately, or several routes split differently."""
        weight, at = self._seen.get(release_id, (0.0, -STALE_SECONDS))
        return weight if self._clock.monotonic() - at < STALE_SECONDS else None

    async def look(self, sessions: Sequence[Session]) -> None:
        """Look at the routes of these releases, and forget the others. Never raises for a route that cannot be read.

        A look at none is no look: the first release that comes does not wait for the next one.
        """
        if sessions:
            self._looked_at = self._clock.monotonic()
        watched = {session.release_id for session in sessions}
        self._seen = {release_id: seen for release_id, seen in self._seen.items() if release_id in watched}
        places = asyncio.Semaphore(_AT_A_TIME)
        await asyncio.gather(*(self._look_at(session, places) for session in sessions))

    async def _look_at(self, session: Session, places: asyncio.Semaphore) -> None:
        try:
            async with places:
                placement = await self._router(session).locate(session.release)
        except VerdictdError as error:
            log.debug("the route's weight is not known", extra={"release": session.release_id, "reason": str(error)})
        except Exception:
            log.exception("looking at a route failed", extra={"release": session.release_id})
        else:
            if len(placement.routes) == 1:
                self._seen[session.release_id] = (placement.canary_percent, self._clock.monotonic())
            else:
                self._seen.pop(session.release_id, None)
