"""What routes say while releases are watched: the canary's weight, which most step up, and the arms' pods, which come and go.

Beside the ticks, which never wait for it. Where a router says weights without delay they are known at once when they change, by
a watch of its routes where there is one, else within two seconds; the slower look, which finds routes and pods, is every ten.
What was seen is kept with its time: a tick's weight is the mean over the time that its counters cover, whenever they come.
Releases that look at the same time share a listing (``daemon.aio.singleflight``, ``daemon.kube.sharedreads``).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from daemon.aio.clock import Clock
from daemon.aio.tasks import TaskGroup, cancel_all
from daemon.armpods import PodsByArm
from daemon.engine import fanout
from daemon.engine.dependencies import Mesh
from daemon.engine.meshlines import MeshLines, in_time, place_of
from daemon.engine.session import Session
from daemon.engine.strategies import has_weight
from daemon.errors import NotFound, VerdictdError
from daemon.model import Stage
from daemon.placement import Placement, split_percent
from daemon.ports.routing import RouteFollower

log = logging.getLogger(__name__)

LOOK_SECONDS, SELDOM_LOOK_SECONDS = 10.0, 30.0
"""Between two looks for routes and pods; the latter where there are so many that a look takes long."""
AGAIN_SECONDS, SELDOM_AGAIN_SECONDS = 2.0, 10.0
"""Between two questions for weights where nothing was heard of a change; the latter as above."""
STALE_SECONDS = 60.0
LOOKED_WITHIN_SECONDS = 30.0
"""A look at one release, or a question for its weight, that takes longer is given up: the next one waits for it, and what was seen
of all others grows stale."""
_PAUSES = 5.0
"""So many times as long as it took is the pause that follows, within those bounds."""
_KEPT_SECONDS = 900.0
"""Counters that are older are of no use to anybody."""
_AT_A_TIME = 32
_COALESCED_SECONDS = 0.05


@dataclass(slots=True, kw_only=True)
class _Seen:
    """What was seen of a release. Times are in seconds since 1970.

    Attributes:
        weights: since when the canary had which weight, the oldest first; null: the routes said none.
        at: when that was last seen to be so.
        pods: of both arms; null where nobody has said.
    """

    weights: deque[tuple[float, float | None]] = field(default_factory=deque)
    at: float = 0.0
    pods: PodsByArm | None = None

    def note(self, weight: float | None, *, at: float) -> None:
        """It is this now."""
        if not self.weights or self.weights[-1][1] != weight:
            self.weights.append((at, weight))
        while len(self.weights) > 1 and self.weights[1][0] < at - _KEPT_SECONDS:
            self.weights.popleft()
        self.at = at

    def mean(self, since: float, until: float) -> float | None:
        """The mean weight over a time; null where part of it is not known. What was first seen is taken for what was before."""
        if not self.weights or until - self.at >= STALE_SECONDS:
            return None
        if since >= until:
            return next((weight for began, weight in reversed(self.weights) if began <= until), self.weights[0][1])
        parts: list[tuple[float, float | None]] = []
        end = until
        for began, weight in reversed(self.weights):
            if (begin := max(began, since)) < end:
                parts.append((end - begin, weight))
                end = begin
        if end > since:
            parts.append((end - since, self.weights[0][1]))
        return _mean(parts)


def _mean(parts: Sequence[tuple[float, float | None]]) -> float | None:
    """Of weights by how long each was in force; what was the same all the time is that to the last digit."""
    known = [(seconds, weight) for seconds, weight in parts if weight is not None]
    if len(known) < len(parts):
        return None
    if len({weight for _, weight in known}) == 1:
        return known[0][1]
    return round(sum(seconds * weight for seconds, weight in known) / sum(seconds for seconds, _ in known), 3)


class Weights:
    """What was seen of each release.

    Attributes:
        followers: the routers that say weights without delay; ``mesh`` gives a session's mesh.
    """

    def __init__(self, *, mesh: Callable[[Session], Mesh], clock: Clock, followers: Sequence[RouteFollower] = ()) -> None:
        self.followers = tuple(followers)
        self._mesh = mesh
        self._clock = clock
        self._seen: dict[str, _Seen] = {}
        self._look_due = clock.monotonic()
        self._lines = MeshLines()

    @property
    def due(self) -> bool:
        """Whether it is time for another look."""
        return self._clock.monotonic() >= self._look_due

    def of(self, release_id: str, *, since: float, until: float) -> float | None:
        """The canary's mean weight in percent between two times in seconds since 1970.

        Null where it was not seen lately, or the routes do not say one.
        """
        seen = self._seen.get(release_id)
        return None if seen is None else seen.mean(since, until)

    def pods(self, release_id: str) -> PodsByArm | None:
        """The pods of the arms; null where nobody has said."""
        seen = self._seen.get(release_id)
        return None if seen is None else seen.pods

    async def look(self, sessions: Sequence[Session], *, is_watched: Callable[[str], bool] = lambda release_id: True) -> None:
        """Look at the routes of those of these releases that are watched, and forget all others. Never raises for a route.

        ``is_watched`` says whether one still is when its turn comes: those that are taken back meanwhile need the API server more.
        A look at none is no look: the first release that comes does not wait for the next one.
        """
        watching = [session for session in sessions if session.stage is Stage.WATCHING]
        began = self._clock.monotonic()
        known = {session.release_id for session in sessions}
        self._seen = {release_id: seen for release_id, seen in self._seen.items() if release_id in known}
        watching.sort(key=lambda session: place_of(session.release))
        await asyncio.gather(*(self._look_at(session, is_watched) for session in watching))
        if watching:
            took = self._clock.monotonic() - began
            self._look_due = began + _within(_PAUSES * took, LOOK_SECONDS, SELDOM_LOOK_SECONDS)

    async def follow(self, sessions: Callable[[], Sequence[Session]]) -> None:
        """Keep the weights of the releases that are watched as they are now, for ever."""
        changed = asyncio.Event()
        async with TaskGroup() as group:
            for follower in self.followers:
                group.create_task(_told(follower, changed.set), name="routes followed")
            while True:
                began = self._clock.monotonic()
                await self.weigh([session for session in sessions() if session.stage is Stage.WATCHING])
                pause = _PAUSES * (self._clock.monotonic() - began)
                await self._wait(
                    changed,
                    # All are asked anew, whatever has changed: where there are thousands some route changes all the time.
                    least=_within(pause, _COALESCED_SECONDS, SELDOM_AGAIN_SECONDS),
                    most=_within(pause, AGAIN_SECONDS, SELDOM_AGAIN_SECONDS),
                )
                changed.clear()

    async def _wait(self, changed: asyncio.Event, *, least: float, most: float) -> None:
        """Until something has changed, and ``least`` seconds more for what changes with it; ``most`` where nothing does."""
        waits = [asyncio.ensure_future(changed.wait()), asyncio.ensure_future(self._clock.sleep(most))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_all(waits)
        if changed.is_set():
            await self._clock.sleep(least)

    async def weigh(self, watching: Sequence[Session]) -> None:
        """Ask for the weights of these releases, where there is somebody who says them without delay. Never raises for a route."""
        places = asyncio.Semaphore(_AT_A_TIME)
        await asyncio.gather(*(self._weigh(session, places) for session in watching))

    def saw(self, session: Session, placement: Placement) -> None:
        """This is where a release's traffic goes now."""
        seen = self._seen.setdefault(session.release_id, _Seen())
        weight = split_percent(placement.routes) if has_weight(session.release.strategy) else None
        seen.note(weight, at=self._clock.now())
        seen.pods = _newest(placement.pods, before=seen.pods)

    def inherit(self, release_id: str, *, of: str) -> None:
        """This release has the arms of that one: their pods are known, whether its routes can still be read or not."""
        if (seen := self._seen.get(of)) is not None:
            self._seen[release_id] = _Seen(pods=seen.pods)

    async def _weigh(self, session: Session, places: asyncio.Semaphore) -> None:
        mesh = self._mesh(session)
        if mesh.home.follower is None or not has_weight(session.release.strategy):
            return
        try:
            async with places, in_time(seconds=LOOKED_WITHIN_SECONDS):
                words = fanout.home_words(mesh.clusters, session.located)
                weight = await mesh.home.follower.weight(session.release, located=words)
        except NotFound:
            return  # the next look finds its routes
        except VerdictdError as error:
            _not_known(session, error)
        except Exception:
            log.exception("asking for a weight failed", extra={"release": session.release_id})
        else:
            self._seen.setdefault(session.release_id, _Seen()).note(weight, at=self._clock.now())

    async def _look_at(self, session: Session, is_watched: Callable[[str], bool]) -> None:
        try:
            async with self._lines.joined(session.release, seconds=LOOKED_WITHIN_SECONDS):
                if not is_watched(session.release_id):
                    return
                placement = await self._mesh(session).home.router.locate(session.release)
        except VerdictdError as error:
            _not_known(session, error)
        except Exception:
            log.exception("looking at a route failed", extra={"release": session.release_id})
        else:
            self.saw(session, placement)


def _within(seconds: float, least: float, most: float) -> float:
    return min(most, max(least, seconds))


async def _told(follower: RouteFollower, changed: Callable[[], None]) -> None:
    try:
        await follower.follow(changed)
    except Exception:
        log.exception("following routes failed", extra={"hint": "a defect of ours; their weights are asked for all the same"})


def _not_known(session: Session, error: VerdictdError) -> None:
    log.debug("the route's weight is not known", extra={"release": session.release_id, "reason": str(error)})


def _newest(pods: PodsByArm | None, *, before: PodsByArm | None) -> PodsByArm | None:
    """What is known now. An arm that has no pod any more, or could not be looked at, is remembered as it was."""
    if pods is None or before is None:
        return before if pods is None else pods
    baseline, canary = (
        now if now.pods or not was.pods else was for now, was in ((pods.baseline, before.baseline), (pods.canary, before.canary))
    )
    return PodsByArm(baseline=baseline, canary=canary)
