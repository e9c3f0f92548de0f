"""What a daemon that died, or was stopped, had under way: read back, put in order, and gone on with."""

import asyncio
import logging
from collections.abc import Sequence

from daemon.backoff import pauses
from daemon.engine import session as life
from daemon.engine.checkpoints import Checkpoints
from daemon.engine.lives import Lives
from daemon.engine.registry import Registry
from daemon.engine.scribe import header_of
from daemon.engine.session import LastTick, Session
from daemon.engine.world import World
from daemon.errors import TransientError, VerdictdError
from daemon.model import Stage
from daemon.ports import Meter
from daemon.recorder import Recorder

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 2.0
"""For recordings that a kill cut short: they must not keep the others waiting."""


async def recover(world: World, *, registry: Registry, checkpoints: Checkpoints, lives: Lives) -> None:
    """Take up every session that was kept; tries for ever while the store does not answer."""
    sessions = await _load(world, checkpoints)
    # In the order in which they came, so that a newer release of a service supersedes the older one, as it did or would have.
    for session in sorted(sessions, key=lambda s: s.submitted_at):
        if session.release.mesh not in world.meshes:
            gone = f"release {session.release_id} is on mesh {session.release.mesh!r}, which is not configured any more"
            world.meter.trouble("recovery", VerdictdError(gone))
            continue
        registry.put(session)
        lives.supersede_rivals(session)
        if session.stage is Stage.WATCHING and _split(world, session) != session.split:
            # What was folded so far and what would follow cannot be compared: no evidence either way.
            other = "its telemetry's latencies are of another kind since the settings were changed"
            lives.decided(life.not_judged(session, other, now=world.clock.now()))
    # What was being taken back goes first: it is what hurts.
    for session in sorted(registry.running(), key=lambda s: s.stage is not Stage.REVERTING):
        lives.begin(session.release_id)
    if sessions:
        log.info("recovered", extra={"releases": len(sessions)})
    if world.recorder is not None:
        await _complete(world.recorder, sessions, meter=world.meter)


async def _complete(recorder: Recorder, sessions: Sequence[Session], *, meter: Meter) -> None:
    """Write down the ticks that decided: the daemon may have died before it did, beside the revert."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            for session in sessions:
                if session.last_tick is not None:
                    await asyncio.to_thread(_append, recorder, session, session.last_tick, meter)
    except TimeoutError:
        meter.trouble("recording", VerdictdError(f"no answer from the recordings' folder in {PATIENCE_SECONDS:g} s"))


def _append(recorder: Recorder, session: Session, last: LastTick, meter: Meter) -> None:
    try:
        recorder.append(session.release_id, header_of(session), last.line.encode(), before=last.before, after=session.digest)
    except VerdictdError as error:
        meter.trouble("recording", error)
    recorder.close(session.release_id)


def _split(world: World, session: Session) -> bool:
    assert session.release.mesh is not None  # admission has filled it in
    return world.telemetry[world.meshes[session.release.mesh].telemetry].split


async def _load(world: World, checkpoints: Checkpoints) -> list[Session]:
    for pause in pauses():
        try:
            return await checkpoints.load()
        except TransientError as error:
            world.meter.trouble("store", error)
            await world.clock.sleep(pause)
    raise AssertionError("pauses never end")
