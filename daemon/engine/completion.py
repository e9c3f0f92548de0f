"""What follows a decision, in this order: the traffic reverted, the verdict told and the revert guarded, the record kept.

Each step begins from the session's stage, so that a restart goes on with the step that was not finished. A revert waits for its
turn, when it is asked whether it is still to be, and else for nothing, not even for its own checkpoint: the two go out side by
side, but where several replicas could decide differently (``tenure``). A verdict is published only when the decision is
durable, so that no restart can decide otherwise after somebody has read it. The guard does not wait for that. From then on the
log of verdicts and every sink are told side by side: the log for as long as it takes, a sink for a while (``outbox``).

The record is the end: it is written once, when nothing is left to do, and whoever has one is never taken up again.
"""

import asyncio
import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from daemon import stored
from daemon.aio.backoff import pauses
from daemon.aio.clock import Clock
from daemon.aio.tasks import TaskGroup
from daemon.engine import auditing, deciding, editing, freezing, lifecycle, takenback
from daemon.engine.afterwards import Afterwards, by_hand
from daemon.engine.checkpoints import Checkpoints
from daemon.engine.fanout import Clusters, FanOut
from daemon.engine.freezing import Freezes
from daemon.engine.heldup import HeldUp
from daemon.engine.keptforms import decode_record, encode_record
from daemon.engine.outbox import Outbox
from daemon.engine.promotions import Promotions
from daemon.engine.reasserting import GUARD_ENDED, PUT_BACK, STEPS_KEPT
from daemon.engine.registry import Registry
from daemon.engine.session import REVERT_GIVEN_UP, REVERTED_LATE, Session
from daemon.engine.takenback import UndoLog
from daemon.engine.tenure import DECISION_KEPT_WITHIN_SECONDS, Tenure
from daemon.errors import Blocked, Conflict, Refused, VerdictdError
from daemon.interventions import Freeze
from daemon.logs import release_bound
from daemon.model import Action, Stage, TimedStep
from daemon.placement import Undo
from daemon.ports.durable import AuditLog, Store, VerdictLog
from daemon.ports.service import Meter

log = logging.getLogger(__name__)

# Short enough for a verdict to be out two seconds after a broker is back, whatever came before.
_PAUSES_SECONDS = (0.1, 0.2, 0.5, 1.0)
_ASKED_LATELY_SECONDS = 1.0
"""How long what replicas say of freezes is good enough for a revert that waits for its turn."""


class Completion:
    """Carries decided releases to their end. ``carry_out`` is one release's task.

    Attributes:
        held_up: what cannot be done now, and is tried again.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        checkpoints: Checkpoints,
        reverting: FanOut,
        clusters: Callable[[Session], Clusters],
        verdicts: VerdictLog,
        outbox: Outbox,
        records: Store,
        clock: Clock,
        meter: Meter,
        freezes: Freezes,
        promotions: Promotions,
        audit: AuditLog,
        afterwards: Afterwards,
        tenure: Tenure,
        forget: Callable[[Session], None],
    ) -> None:
        self.held_up = HeldUp()
        self._registry = registry
        self._checkpoints = checkpoints
        self._reverting = reverting
        self._clusters = clusters
        self._freezes = freezes
        self._promotions = promotions
        self._audit = audit
        self._afterwards = afterwards
        self._tenure = tenure
        self._verdicts = verdicts
        self._outbox = outbox
        self._records = records
        self._clock = clock
        self._meter = meter
        self._forget = forget
        self._counted: set[str] = set()

    async def carry_out(self, session: Session) -> None:
        """Take one release from its decision to its end, from whatever stage it is in."""
        with release_bound(session.release_id):
            if session.stage is Stage.REVERTING:
                session = await self._revert(session)
            if session.stage in {Stage.PUBLISHING, Stage.GUARDING}:
                session = await self._tell_and_guard(session)
            await self._end(session)

    async def _revert(self, session: Session) -> Session:
        if self._tenure.is_shared:
            await asyncio.gather(self._tenure.decided(self._checkpoints.saved(session)), self._follow_freezes())
        else:
            self._checkpoints.save(session)
        undo_log = self._undo_log(session)
        if (why := await undo_log.hindered()) is not None:
            log.warning("not reverted", extra={"reason": why})
            return self._put(deciding.reverted(self._current(session), Action.NONE, (), reason=why))
        outcome = await self._reverting_of(session).run(
            self._clusters(session),
            session.release,
            located=session.located,
            overtaken=lambda: self._current(session).superseded_by is not None,
            undo_log=undo_log,
        )
        log.warning("reverted", extra={"action": outcome.action, "attempts": outcome.attempts, "reason": outcome.reason})
        reason = "; ".join(outcome.remarks) if outcome.action is Action.REVERT else outcome.reason
        action = outcome.action
        if session.after is not None and action is Action.BLOCKED:
            action, reason = Action.NONE, f"{reason}; {by_hand(session)}"
        return self._put(deciding.reverted(self._current(session), action, outcome.steps, reason=reason))

    def _reverting_of(self, session: Session) -> FanOut:
        """After a promotion the baseline is mostly on its way out: traffic goes back to it only where it is seen to be ready."""
        if session.after is None:
            return self._reverting
        return FanOut(reverting=replace(self._reverting.reverting, must_be_ready=True))

    async def _follow_freezes(self) -> None:
        """Somebody may have frozen everything a moment ago, by a word to another replica."""
        with contextlib.suppress(TimeoutError, VerdictdError):
            async with asyncio.timeout(DECISION_KEPT_WITHIN_SECONDS):
                await self._freezes.follow()

    def _frozen(self, session: Session, *, has_begun: bool) -> Freeze | None:
        """What forbids the revert; null also for a person's word, and for one that has begun."""
        if has_begun or (session.decision is not None and session.decision.by == "person"):
            return None
        return self._freezes.over(session.release.namespace)

    async def _tell_and_guard(self, session: Session) -> Session:
        """All at once: a broker that does not take the verdict must not leave the traffic without its guard."""
        async with TaskGroup() as group:
            guard = group.create_task(self._guard(session))
            if session.stage is Stage.PUBLISHING:
                await self._until_done("promotions", lambda: self._noted(session))
                await self._settle(self._current(session))
            await self._tenure.sure()
            group.create_task(self._account(self._current(session)))
            telling = group.create_task(self._outbox.tell(session))
            group.create_task(self._outbox.follow(session.release_id, kept=self._kept, until=(guard, telling)))
            if session.stage is Stage.PUBLISHING:
                await self._publish(session)
                await self._until_done("after", lambda: self._afterwards.begin(session.release_id))
        return lifecycle.ended(self._current(session), guard.result())

    async def _account(self, session: Session) -> None:
        """Tell the audit what there is to tell of it by now. Whoever has it already is told once more, and keeps it once."""
        for entry in auditing.entries_of(session):
            await self._until_done("audit", functools.partial(self._audit.publish, entry))

    async def _publish(self, session: Session) -> None:
        assert session.verdict is not None  # the stage says so
        verdict = session.verdict
        await self._until_done("publish", lambda: self._verdicts.publish(verdict))
        await self._tenure.sure()  # who was stopped in the middle of it is told only now that it was another's to tell
        account = {"outcome": verdict.outcome, "action": verdict.action, "by": verdict.by, "reason": verdict.reason}
        log.info("verdict", extra=account)
        still_to_tell = self._outbox.outstanding(self._current(session))
        session = self._put(lifecycle.published(self._current(session), now=self._clock.now(), still_to_tell=still_to_tell))
        if session.release_id not in self._counted:  # a step that is begun anew publishes once more, and tells nothing new
            self._counted.add(session.release_id)
            self._meter.ended(session.release, verdict, session.marks)
        if session.stage is Stage.GUARDING or still_to_tell:
            self._checkpoints.save(session)

    async def _noted(self, session: Session) -> None:
        """What a return is told by, before anybody can act on the verdict. What the store refuses for good is said and left."""
        assert session.verdict is not None  # the stage says so
        try:
            await self._promotions.keep(session.release, session.verdict)
        except Refused as error:
            self._meter.failed("promotions", error)
            log.error("what was promoted cannot be kept", extra={"reason": str(error)})  # noqa: TRY400 - the reason says it

    async def _settle(self, session: Session) -> None:
        """Make the decision durable."""
        await self._kept(session)
        self._put(lifecycle.settled(self._current(session)))

    async def _kept(self, session: Session) -> None:
        """It is durable. Where the store refuses it for good, telling it is all that is left to do."""
        try:
            await self._checkpoints.saved(session)
        except VerdictdError as error:
            log.error("the release's state cannot be kept", extra={"reason": str(error)})  # noqa: TRY400 - the reason says it
        await self._tenure.sure()

    async def _guard(self, session: Session) -> tuple[TimedStep, ...]:
        """Revert again if somebody puts the weights back; first, go on with a revert that has failed.

        What became of that is told once: a restart, or whoever takes the release over, does not begin with it anew.
        """
        if session.verdict is None or not session.is_guarded:
            return _not_guarded(session, now=self._clock.now())
        known = any(mark.step in {REVERTED_LATE, REVERT_GIVEN_UP} for mark in session.marks)
        failed = session.verdict.action is Action.FAILED and not known
        return await self._reverting_of(session).guard(
            self._clusters(session),
            session.release,
            located=session.located,
            failed=failed,
            undo_log=self._undo_log(session),
            undone=lambda step: self._undone(session, step),
            retried=lambda step: self._retried(session, step),
        )

    def _undone(self, session: Session, step: TimedStep) -> None:
        """Somebody fights us, and a person should know while it goes on, not when the guard has ended."""
        log.warning("somebody undid the revert, and it was done again", extra={"found": step.detail})
        current = self._current(session)
        if sum(mark.step == PUT_BACK for mark in current.marks) < STEPS_KEPT:
            self._checkpoints.save(self._put(replace(current, marks=(*current.marks, step))))
        self._meter.undone(session.release)

    def _retried(self, session: Session, step: TimedStep) -> None:
        """The verdict said that the canary still gets traffic: whoever has read it should know what became of that."""
        current = self._current(session)
        self._checkpoints.save(self._put(replace(current, marks=(*current.marks, step))))

    def _undo_log(self, session: Session) -> UndoLog:
        """What a patch is about to change is kept before it; what it has changed goes out with the session's next checkpoint."""

        async def intends(intents: tuple[Undo, ...]) -> None:
            now = self._put(takenback.intended(self._current(session), intents))
            if self._checkpoints.standing.problem is None:
                await self._checkpoints.saved(now)
            else:  # it is written when the store works again: nobody waits for that now
                self._checkpoints.save(now)

        def changed(undos: tuple[Undo, ...]) -> None:
            self._put(takenback.noted(self._current(session), undos, now=self._clock.now()))

        def settled(intents: tuple[Undo, ...]) -> None:
            self._put(takenback.settled(self._current(session), intents))

        asked_at = self._clock.monotonic()
        has_begun = bool(session.undos)

        async def hindered() -> str | None:
            """What was said before it begins, or while it waited for its turn; not of what has begun, also in another cluster."""
            nonlocal has_begun
            if has_begun or (why := await self._said_against(session, asked_at=asked_at)) is None:
                return None
            # What was intended by an earlier process may have been done; what is intended here may not, before it is allowed.
            has_begun = await self._may_be_in_force(session)
            return None if has_begun else why

        is_old = False

        async def allowed() -> bool:
            """What was asked before a wait, also in an earlier try, may not be so any more; freezes are looked at here."""
            nonlocal is_old, has_begun
            is_old = is_old or not self._tenure.is_sure()
            await self._tenure.soon_sure()
            if is_old:
                await self._follow_freezes()
                # In another stage what was intended was only that.
                is_intended = session.stage is Stage.REVERTING and await self._may_be_in_force(session)
                begun_before = bool(session.undos) or is_intended
                if (freeze := self._frozen(session, has_begun=begun_before)) is not None:
                    raise Blocked(freezing.words(freeze))
            has_begun = True
            return is_old

        return UndoLog(
            allowed=allowed,
            hindered=hindered,
            intends=intends,
            changed=changed,
            settled=settled,
            intents=self._current(session).intents,
        )

    async def _said_against(self, session: Session, *, asked_at: float) -> str | None:
        """Why a revert is not to begin; what other replicas say of it is asked anew where that was long ago."""
        if self._tenure.is_shared and self._clock.monotonic() - asked_at > _ASKED_LATELY_SECONDS:
            await self._follow_freezes()
        current = self._current(session)
        if current.superseded_by is not None:
            return f"release {current.superseded_by} is newer, and its canary may be behind the same names"
        freeze = self._frozen(current, has_begun=False)
        return None if freeze is None else freezing.words(freeze)

    async def _may_be_in_force(self, session: Session) -> bool:
        """Whether any of what an earlier process was about to write stands in the routes; also where that cannot be seen."""
        found = await editing.plan_restore(self._clusters(session), session.intents)
        return any(one.values if one.failure is None else not isinstance(one.failure, Refused) for one in found)

    async def _end(self, session: Session) -> None:
        """Nothing is left to do: the record is kept, then the release's state and its telemetry's memory go."""
        await self._account(session)
        record = encode_record(session)
        await self._until_done("record", lambda: self._keep(session.release_id, record))
        late = (mark for mark in self._current(session).marks if mark not in session.marks)  # somebody may have joined meanwhile
        self._put(replace(session, marks=(*session.marks, *late)))
        self._checkpoints.remove(session.release_id)
        self._counted.discard(session.release_id)
        self._forget(session)

    async def _keep(self, release_id: str, record: bytes) -> None:
        """Write it where there is none. What the store refuses for good, as too large, must not keep the release from ending."""
        try:
            await self._records.put(release_id, record, over=0)
        except Conflict:
            kept = await self._records.get(release_id)
            if kept is None:
                raise
            if not _is_same(kept.value, record):
                self._meter.failed("record", VerdictdError(f"release {release_id} has another record already"))
                log.error("another record is kept already, and stays")  # noqa: TRY400 - the conflict is how it was found
        except Refused as error:
            self._meter.failed("record", error)
            log.error("the record cannot be kept", extra={"reason": str(error)})  # noqa: TRY400 - the reason says it

    def _current(self, session: Session) -> Session:
        """The newest value: the ticker may have noted the last canary response meanwhile."""
        return self._registry.get(session.release_id)

    def _put(self, session: Session) -> Session:
        self._registry.put(session)
        return session

    async def _until_done(self, what: str, attempt: Callable[[], Awaitable[None]]) -> None:
        """Try for ever, what was refused as well: a person can mend that, and no verdict may get lost. Each reason is said once."""
        said = ""
        with self.held_up.waiting(what) as failed:
            for pause in pauses(_PAUSES_SECONDS):
                await self._tenure.sure()
                try:
                    await attempt()
                except VerdictdError as error:
                    self._meter.failed(what, error)
                    failed(str(error))
                    if str(error) != said:
                        said = str(error)
                        log.warning("not done yet", extra={"step": what, "error": said})
                    await self._clock.sleep(pause)
                else:
                    return


def _not_guarded(session: Session, *, now: float) -> tuple[TimedStep, ...]:
    """A revert that is left alone says why: a record that does not tell of the guard's end is of 0.1, which wrote it before."""
    if session.verdict is None or session.verdict.action not in {Action.REVERT, Action.FAILED}:
        return ()
    newer = f"release {session.superseded_by} is newer" if session.superseded_by else "its verdict was out already"
    return (TimedStep(step=GUARD_ENDED, at=now, detail=f"not guarded: {newer}"),)


def _is_same(kept: bytes, record: bytes) -> bool:
    """Whether both are of one verdict: that of 0.1 was written before the guard, and knows less of it."""
    try:
        return decode_record(kept).verdict == decode_record(record).verdict
    except stored.Unreadable:
        return False
