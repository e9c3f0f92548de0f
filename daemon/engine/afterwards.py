"""Where a policy says so, a canary is watched on after its promotion: a release of its own, begun when the first has its verdict.

It is begun once, whatever crashes: its id follows from that of the first, and the first is not forgotten before the other is kept.
Nobody who waits for the first verdict waits for this. It is not begun where there is something newer of the service, since its
canary is then no longer what takes the traffic; and not for a promotion without a watch, of which no routes are known.
"""

import logging
from collections.abc import Callable

from config.settings import Limits
from daemon import names
from daemon.aio.clock import Clock
from daemon.engine import lifecycle
from daemon.engine.checkpoints import Checkpoints
from daemon.engine.registry import Registry
from daemon.engine.session import NOT_WATCHED_ON, WATCHED_ON, Session
from daemon.errors import Refused
from daemon.model import Outcome
from daemon.ports.durable import Store
from daemon.ports.service import Meter

log = logging.getLogger(__name__)


class Afterwards:
    """Begins the watches after promotions."""

    def __init__(
        self,
        *,
        registry: Registry,
        checkpoints: Checkpoints,
        records: Store,
        clock: Clock,
        meter: Meter,
        limits: Limits,
        supersede_rivals: Callable[[Session], bool],
        inherit: Callable[[Session, Session], None],
    ) -> None:
        self._registry = registry
        self._checkpoints = checkpoints
        self._records = records
        self._clock = clock
        self._meter = meter
        self._limits = limits
        self._supersede_rivals = supersede_rivals
        self._inherit = inherit

    async def begin(self, release_id: str) -> None:
        """Begin the one after this release's promotion, unless it has begun, or there is none. Raises as the store does."""
        session = self._registry.get(release_id)
        if not is_wanted(session) or any(mark.step in {WATCHED_ON, NOT_WATCHED_ON} for mark in session.marks):
            return
        after_id = id_of(session)
        if after_id not in self._registry and await self._records.get(after_id) is None:
            why_not = self._why_not(session) or await self._begun(session, after_id)
            if why_not:
                log.warning("not watched on after the promotion", extra={"reason": why_not})
                self._note(release_id, NOT_WATCHED_ON, why_not)
                return
            log.info("watched on after the promotion", extra={"by": after_id, "seconds": session.policy.after_seconds})
        self._note(release_id, WATCHED_ON, after_id)

    async def _begun(self, session: Session, after_id: str) -> str:
        """Begin it; or why it cannot be, where that is for good."""
        watch = lifecycle.watched_on(session, release_id=after_id, now=self._clock.now())
        try:
            await self._checkpoints.saved(watch)
        except Refused as error:
            self._checkpoints.remove(after_id)
            return f"it cannot be kept: {error}"
        self._inherit(watch, session)  # its own look at the routes may find the baseline gone
        self._registry.put(watch)
        self._meter.admitted(after_id, watch.release)
        self._supersede_rivals(watch)  # one that has come meanwhile is newer
        return ""

    def _why_not(self, session: Session) -> str:
        if session.started_at is None:
            return "it was promoted before its canary and its routes were found"
        if session.superseded_by is not None:
            return f"release {session.superseded_by} of the same service is newer"
        others = [one for one in self._registry.running() if one.release_id != session.release_id and not _is_watched_on(one)]
        if len(others) >= self._limits.max_releases:
            return f"as many releases as may be are being watched already: {len(others)} beside it (limits.max_releases)"
        return ""

    def _note(self, release_id: str, step: str, detail: str) -> None:
        self._registry.put(self._registry.get(release_id).marked(step, at=self._clock.now(), detail=detail))


def is_wanted(session: Session) -> bool:
    """Whether its canary was promoted under a policy that watches on."""
    promoted = session.verdict is not None and session.verdict.outcome is Outcome.PROMOTE
    return promoted and session.after is None and session.policy.after is not None


def _is_watched_on(session: Session) -> bool:
    """Whether another stands in its place, so that it does not count beside that one."""
    return any(mark.step == WATCHED_ON for mark in session.marks)


def by_hand(session: Session) -> str:
    """What to do where the baseline is gone."""
    return (
        "nothing was taken back: release a version that works, or have the baseline's pods run again "
        f"and take the traffic back (verdictd revert {session.release_id})"
    )


def id_of(session: Session) -> str:
    """The id of the watch after a release's promotion: the same whenever it is asked for."""
    return names.new_release_id(session.release.service, origin=f"after {session.release_id}")
