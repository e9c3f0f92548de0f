"""What follows a decision, in this order: the traffic taken back, the verdict published, the record kept, the guard stood.

Each step begins from the session's stage, so that a restart goes on with the step that was not finished. A revert waits for
nothing, not even for its own checkpoint: the two go out side by side. A verdict is published only when the decision is
durable, so that no restart can decide otherwise after somebody has read it.
"""

import logging
from collections.abc import Awaitable, Callable

import msgspec

from daemon.backoff import pauses
from daemon.engine import session as life
from daemon.engine.checkpoints import Checkpoints
from daemon.engine.registry import Registry
from daemon.engine.reverting import Reverting
from daemon.engine.session import Session
from daemon.errors import Refused, VerdictdError
from daemon.logs import release_bound
from daemon.model import Action, Record, Stage
from daemon.ports import Clock, Meter, Store, TrafficRouter, VerdictSink

log = logging.getLogger(__name__)


class Endings:
    """Carries decided releases to their end. ``carry_out`` is one release's task."""

    def __init__(
        self,
        *,
        registry: Registry,
        checkpoints: Checkpoints,
        reverting: Reverting,
        routers: Callable[[Session], TrafficRouter],
        sink: VerdictSink,
        records: Store,
        clock: Clock,
        meter: Meter,
        forget: Callable[[Session], None],
    ) -> None:
        self._registry = registry
        self._checkpoints = checkpoints
        self._reverting = reverting
        self._routers = routers
        self._sink = sink
        self._records = records
        self._clock = clock
        self._meter = meter
        self._forget = forget

    async def carry_out(self, session: Session) -> None:
        """Take one release from its decision to its end, from whatever stage it is in."""
        with release_bound(session.release_id):
            if session.stage is Stage.REVERTING:
                session = await self._revert(session)
            if session.stage is Stage.PUBLISHING:
                session = await self._publish(session)
            if session.stage is Stage.GUARDING:
                session = await self._guard(session)
            self.end(session)

    async def _revert(self, session: Session) -> Session:
        self._checkpoints.save(session)
        outcome = await self._reverting.run(self._routers(session), session.release)
        log.warning("reverted", extra={"action": outcome.action, "attempts": outcome.attempts, "reason": outcome.reason})
        reason = "" if outcome.action is Action.REVERT else outcome.reason
        return self._put(life.reverted(self._current(session), outcome.action, outcome.marks, reason=reason))

    async def _publish(self, session: Session) -> Session:
        assert session.verdict is not None  # the stage says so
        verdict = session.verdict
        await self._settle(session)
        await self._until_done("publish", lambda: self._sink.publish(verdict))
        published_at = self._clock.now()
        account = {"outcome": verdict.outcome, "action": verdict.action, "by": verdict.by, "reason": verdict.reason}
        log.info("verdict", extra=account)
        # The record is there before anybody can see that the release has ended.
        await self._keep(life.published(self._current(session), now=published_at))
        session = self._put(life.published(self._current(session), now=published_at))
        self._meter.ended(session.release, verdict, session.marks)
        if session.stage is not Stage.ENDED:
            self._checkpoints.save(session)
        return session

    async def _settle(self, session: Session) -> None:
        """Make the decision durable. Where the store refuses it for good, telling it is all that is left to do."""
        try:
            await self._checkpoints.saved(session)
        except VerdictdError as error:
            log.error("the decision cannot be kept", extra={"reason": str(error)})  # noqa: TRY400 - the reason says it
        self._put(life.settled(self._current(session)))

    async def _guard(self, session: Session) -> Session:
        """Put the weights back if somebody undoes the revert; first, take back what could not be taken back before."""
        assert session.verdict is not None  # the stage says so
        router, release = self._routers(session), session.release
        late = await self._reverting.insist(router, release) if session.verdict.action is Action.FAILED else ()
        if late:
            log.warning("what became of a failed revert", extra={"steps": [mark.step for mark in late]})
        marks = (*late, *await self._reverting.guard(router, release))
        after = life.ended(self._current(session), marks)
        await self._keep(after)
        return self._put(after)

    async def _keep(self, session: Session) -> None:
        assert session.verdict is not None  # only ended releases have a record
        record = Record(
            verdict=session.verdict,
            release=session.release,
            policy=session.policy,
            bounds_ms=session.bounds_ms,
            sample_digest=session.digest,
            fixed_horizon=session.decision.fixed_horizon if session.decision else None,
            marks=session.marks,
        )
        await self._until_done("record", lambda: self._put_record(session.release_id, msgspec.json.encode(record)))

    async def _put_record(self, release_id: str, record: bytes) -> None:
        """Keep it. What the store refuses for good, because it is too large, must not keep the release from ending."""
        try:
            await self._records.put(release_id, record)
        except Refused as error:
            self._meter.trouble("record", error)
            log.error("the record cannot be kept", extra={"reason": str(error)})  # noqa: TRY400 - the reason says it

    def end(self, session: Session) -> None:
        """Nothing is left to do: the release's state and its telemetry's memory go."""
        self._put(life.ended(session) if session.stage is not Stage.ENDED else session)
        self._checkpoints.remove(session.release_id)
        self._forget(session)

    def _current(self, session: Session) -> Session:
        """The newest value: the clockwork may have marked the last canary response meanwhile."""
        return self._registry.get(session.release_id)

    def _put(self, session: Session) -> Session:
        self._registry.put(session)
        return session

    async def _until_done(self, what: str, attempt: Callable[[], Awaitable[None]]) -> None:
        """Try for ever, what was refused as well: a person can mend that, and no verdict may get lost."""
        for pause in pauses():
            try:
                await attempt()
            except VerdictdError as error:
                self._meter.trouble(what, error)
                log.warning("not done yet", extra={"step": what, "error": str(error)})
                await self._clock.sleep(pause)
            else:
                return
