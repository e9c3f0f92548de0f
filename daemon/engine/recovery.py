"""What a daemon that died, or was stopped, had under way: read back, put in order, and gone on with.

A kept session proves nothing: a store that was killed may find again what was removed. So the records are asked first, and
who has one has ended, but for the guard of a revert that 0.1 wrote one for. Where a record is missing the stream of verdicts is
asked: what was told stands, and is not judged again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from daemon import stored
from daemon.aio.backoff import pauses
from daemon.aio.tasks import TaskGroup
from daemon.aio.threads import OwnThread
from daemon.engine import deciding, lifecycle
from daemon.engine.checkpoints import Checkpoints
from daemon.engine.dependencies import Ports
from daemon.engine.keptforms import decode_record
from daemon.engine.reasserting import GUARD_ENDED
from daemon.engine.recording import header_of
from daemon.engine.session import LastTick, Session
from daemon.engine.state import EngineState
from daemon.engine.supervisor import Supervisor
from daemon.errors import TransientError, VerdictdError
from daemon.model import Release, Stage, Verdict
from daemon.ports.durable import Store
from daemon.ports.service import Meter
from daemon.recorder import Recorder

log = logging.getLogger(__name__)

T = TypeVar("T")

_QUESTIONS_AT_A_TIME = 32
PATIENCE_SECONDS = 2.0
"""For recordings that a kill cut short: they must not keep the others waiting."""


async def recover(state: EngineState, mine: Callable[[Release], bool], *, supervisor: Supervisor) -> None:
    """Take up every session that was kept and has not ended, of releases that are ``mine``, also at the end.

    Tries for ever while the store does not answer.
    """
    ports, registry, checkpoints = state.ports, state.registry, state.checkpoints
    kept = await answered(ports, lambda: checkpoints.kept.load(mine))
    records = await answered(ports, lambda: _records(ports.records, [session.release_id for session in kept]))
    ended = {session.release_id for session in kept if _has_ended(session, records.get(session.release_id))}
    for session in kept:
        if session.release_id in ended:
            log.warning(
                "ended already; what the store has of it is out of date and is removed",
                extra={"release": session.release_id, "stage": session.stage},
            )
            checkpoints.remove(session.release_id)
    now = ports.clock.now()
    open_ones = [state.tenure.marked(session, now=now) for session in kept if session.release_id not in ended]
    sessions = await checkpoints.kept.claimed(await _with_what_was_told(ports, checkpoints, open_ones))
    # In the order in which they came, so that a newer release of a service supersedes the older one, as it did or would have.
    sessions = [session for session in sessions if mine(session.release)]
    for session in sorted(sessions, key=lambda s: s.age):
        if session.release.mesh not in ports.meshes:
            _say_not_gone_on_with(ports, session)
            continue
        registry.put(session)
        ports.meter.admitted(session.release_id, session.release)
        supervisor.supersede_rivals(session)
        if session.stage is Stage.WATCHING and _split(ports, session) != session.split:
            # What was folded so far and what would follow cannot be compared: no evidence either way.
            other = "its telemetry's latencies are of another kind since the settings were changed"
            supervisor.decided(deciding.not_judged(session, other, now=ports.clock.now()))
    # What was being taken back goes first: it is what hurts.
    taken_up = {session.release_id for session in sessions}
    ours = [session for session in registry.running() if session.release_id in taken_up]
    for session in sorted(ours, key=lambda s: s.stage is not Stage.REVERTING):
        supervisor.begin(session.release_id)
    if sessions:
        log.info("recovered", extra={"releases": len(sessions)})
    if ports.recorder is not None:
        await _complete(ports.recorder, sessions, meter=ports.meter)


def _say_not_gone_on_with(ports: Ports, session: Session) -> None:
    """Nobody watches it meanwhile, and nothing that is asked for it finds it: whoever has changed the settings should know."""
    gone = f"it is on mesh {session.release.mesh!r}, which is not configured any more"
    ports.meter.failed("recovery", VerdictdError(f"release {session.release_id}: {gone}"))
    hint = "put that mesh back into the settings, under this name: the next start goes on with it"
    log.error("a release is not watched any more", extra={"release": session.release_id, "reason": gone, "hint": hint})


async def _complete(recorder: Recorder, sessions: Sequence[Session], *, meter: Meter) -> None:
    """Write down the ticks that decided: the daemon may have died before it did, beside the revert."""
    thread = OwnThread("recordings")
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            for session in sessions:
                if session.last_tick is not None:
                    await thread.run(_append, recorder, session, session.last_tick, meter)
    except TimeoutError:
        meter.failed("recording", VerdictdError(f"no answer from the recordings' folder in {PATIENCE_SECONDS:g} s"))


def _append(recorder: Recorder, session: Session, last: LastTick, meter: Meter) -> None:
    try:
        line = last.line.encode()
        recorder.append(session.release_id, header_of(session), line, before=last.before, after=session.digest, tick=session.ticks)
    except VerdictdError as error:
        meter.failed("recording", error)
    recorder.close(session.release_id)


def _split(ports: Ports, session: Session) -> bool:
    assert session.release.mesh is not None  # admission has filled it in
    return ports.telemetry[ports.meshes[session.release.mesh].telemetry].split


async def report_lost(state: EngineState) -> None:
    """Say of which running releases nothing is kept any more: somebody has emptied the store."""
    ports = state.ports
    lost = await answered(ports, ports.sessions.lost)
    records = await answered(ports, lambda: _records(ports.records, lost))
    for release_id in lost:
        if release_id not in records:
            gone = "it was being watched, and nothing is kept of it any more: it gets no verdict unless it is announced again"
            ports.meter.failed("recovery", VerdictdError(f"release {release_id}: {gone}"))
            log.error("a release is lost", extra={"release": release_id, "reason": gone})
        state.checkpoints.remove(release_id)


def _has_ended(session: Session, record: bytes | None) -> bool:
    """Whether nothing is left to do. 0.1 wrote a record before the guard, and wrote it again after: it does not end the guard."""
    if record is None:
        return False
    if session.stage not in {Stage.PUBLISHING, Stage.GUARDING} or not session.is_guarded:
        return True
    try:
        marks = decode_record(record).marks
    except stored.Unreadable:
        return True
    return any(mark.step == GUARD_ENDED for mark in marks)


async def _records(records: Store, release_ids: Sequence[str]) -> dict[str, bytes]:
    """The records of those that have one. Once a question has failed no other is asked, and its error raised at the end."""
    places = asyncio.Semaphore(_QUESTIONS_AT_A_TIME)
    found: dict[str, bytes] = {}
    failed: list[VerdictdError] = []

    async def ask(release_id: str) -> None:
        async with places:
            try:
                if not failed and (kept := await records.get(release_id)) is not None:
                    found[release_id] = kept.value
            except VerdictdError as error:  # as a value: a group that fails while it is cancelled would forget that it was
                failed.append(error)

    async with TaskGroup() as group:
        for release_id in release_ids:
            group.create_task(ask(release_id))
    if failed:
        raise failed[0]
    return found


async def _with_what_was_told(ports: Ports, checkpoints: Checkpoints, sessions: Sequence[Session]) -> list[Session]:
    """The sessions, those of which another verdict is out than they know of with that one; not those whose cannot be read."""
    if not sessions:
        return []
    ids = frozenset(session.release_id for session in sessions)
    since = min(session.submitted_at for session in sessions)
    told = await answered(ports, lambda: ports.verdicts.published(ids, since=since))
    newer = {release_id for release_id, verdict in told.items() if verdict is None}
    for release_id in newer:
        checkpoints.kept.leave_alone(release_id, "its verdict is out, in words of a newer version of verdictd")
    return [_as_told(session, told.get(session.release_id)) for session in sessions if session.release_id not in newer]


def _as_told(session: Session, told: Verdict | None) -> Session:
    known = session.verdict
    if told is None or (known is not None and (known.outcome, known.decided_at) == (told.outcome, told.decided_at)):
        return session
    log.warning(
        "its verdict is out already and stands, though the store does not know it",
        extra={"release": session.release_id, "stage": session.stage, "outcome": told.outcome},
    )
    return lifecycle.told(session, told)


async def answered(ports: Ports, attempt: Callable[[], Awaitable[T]]) -> T:
    """What the store says, asked until it answers."""
    for pause in pauses():
        try:
            return await attempt()
        except TransientError as error:
            ports.meter.failed("store", error)
            await ports.clock.sleep(pause)
    raise AssertionError("pauses never end")
