"""What routes say while releases are watched: the canary's weight, which most step up, and the arms' pods, which come and go.

They are looked at beside the ticks, which never wait for it; a release whose weight was not seen lately has none, while pods stay
what they were: they are known by names that no other pod gets. Releases that look at the same time share a listing
(``daemon.aio.singleflight``), so that a look costs about the same for one and for a thousand.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from daemon.aio.clock import Clock
from daemon.armpods import PodsByArm
from daemon.engine.session import Session
from daemon.errors import VerdictdError
from daemon.model import Stage
from daemon.placement import Placement
from daemon.ports.routing import TrafficRouter

log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
"""Between two looks; a tick's weight is as old at most, and a step lasts minutes."""
STALE_SECONDS = 60.0
_AT_A_TIME = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What the last look that succeeded saw of a release, and when. The weight is null where several routes split differently."""

    weight: float | None
    pods: PodsByArm | None
    at: float


class Weights:
    """What the last look saw of each release."""

    def __init__(self, *, router: Callable[[Session], TrafficRouter], clock: Clock) -> None:
        self._router = router
        self._clock = clock
        self._seen: dict[str, _Seen] = {}
        self._looked_at = -LOOK_SECONDS

    @property
    def due(self) -> bool:
        """Whether it is time for another look."""
        return self._clock.monotonic() - self._looked_at >= LOOK_SECONDS

    def of(self, release_id: str) -> float | None:
        """The canary's weight in percent; null where it was not seen lately, or several routes split differently."""
        seen = self._seen.get(release_id)
        return seen.weight if seen is not None and self._clock.monotonic() - seen.at < STALE_SECONDS else None

    def pods(self, release_id: str) -> PodsByArm | None:
        """The pods of the arms; null where nobody has said."""
        seen = self._seen.get(release_id)
        return None if seen is None else seen.pods

    async def look(self, sessions: Sequence[Session]) -> None:
        """Look at the routes of those releases that are watched, and forget all but these. Never raises for a route.

        A look at none is no look: the first release that comes does not wait for the next one.
        """
        watching = [session for session in sessions if session.stage is Stage.WATCHING]
        if watching:
            self._looked_at = self._clock.monotonic()
        sampled = {session.release_id for session in sessions}
        self._seen = {release_id: seen for release_id, seen in self._seen.items() if release_id in sampled}
        places = asyncio.Semaphore(_AT_A_TIME)
        await asyncio.gather(*(self._look_at(session, places) for session in watching))

    def saw(self, release_id: str, placement: Placement) -> None:
        """This is where a release's traffic goes now."""
        weight = placement.canary_percent if len(placement.routes) == 1 else None
        pods = _newest(placement.pods, before=self.pods(release_id))
        self._seen[release_id] = _Seen(weight=weight, pods=pods, at=self._clock.monotonic())

    async def _look_at(self, session: Session, places: asyncio.Semaphore) -> None:
        try:
            async with places:
                placement = await self._router(session).locate(session.release)
        except VerdictdError as error:
            log.debug("the route's weight is not known", extra={"release": session.release_id, "reason": str(error)})
        except Exception:
            log.exception("looking at a route failed", extra={"release": session.release_id})
        else:
            self.saw(session.release_id, placement)


def _newest(pods: PodsByArm | None, *, before: PodsByArm | None) -> PodsByArm | None:
    """What is known now. An arm that has no pod any more, or could not be looked at, is remembered as it was."""
    if pods is None or before is None:
        return before if pods is None else pods
    baseline, canary = (
        now if now.pods or not was.pods else was for now, was in ((pods.baseline, before.baseline), (pods.canary, before.canary))
    )
    return PodsByArm(baseline=baseline, canary=canary)
