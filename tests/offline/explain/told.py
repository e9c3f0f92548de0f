"""Releases of which everything is known: judged by the engine's own session, with their recording and their record."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from analyzers.judge import fold
from config.identity import policy_hash
from config.policy import Policy
from daemon import recordings
from daemon.engine import deciding, lifecycle
from daemon.engine.session import Session
from daemon.measurements import Reading
from daemon.model import Action, Outcome, Record, Release, TimedStep
from daemon.offline.simulation import packing
from daemon.offline.simulation.drawing import Stream
from daemon.offline.simulation.world import Change, World
from daemon.placement import ObjectName, Placement, RouteReference
from daemon.recorder import Recorder
from daemon.recordings import Header
from tests.offline.replay.recorded import RELEASE

BEGAN = 1_790_000_000.0
ROUTE = RouteReference(object=ObjectName(kind="VirtualService", name="virtualservice/web"), kind="weight", percent=5.0)


@dataclass(frozen=True)
class Told:
    """A release's record and recording."""

    record: Record
    recording: Path


def told(folder: Path, *, change: Change, policy: Policy | None = None, gap_at: int = 0, release_id: str = "web-1") -> Told:
    """Watch one simulated release as the engine does, to its verdict."""
    world, policy = World(change=change), policy or Policy()
    session = lifecycle.admitted(
        msgspec.convert(RELEASE, Release),
        release_id=release_id,
        policy=policy,
        policy_hash=policy_hash(policy),
        cluster="default",
        tick_seconds=1.0,
        split=True,
        now=BEGAN,
    )
    session = lifecycle.located(session, Placement(routes=(ROUTE,), canary_percent=5.0), now=BEGAN + 0.5)
    recorder, now = Recorder(folder), BEGAN
    for number, tick in enumerate(Stream(world, releases=1, seed=4).ticks(400), start=1):
        now = BEGAN + 0.5 + number
        [drawn] = packing.samples(world, tick, [0])
        reading = Reading(seconds=1.0, baseline=drawn.baseline, canary=drawn.canary, bounds_ms=world.times.bounds_ms)
        if number == gap_at:
            reading = Reading(seconds=1.0, gap="no answer in time")
        before = session.digest
        session, sample = lifecycle.sampled(session, reading, now=now)
        header = Header(
            release=RELEASE, policy=policy, bounds_ms=session.bounds_ms, split=session.split, tick_seconds=session.tick_seconds
        )
        recorder.append(release_id, header, recordings.line(sample), before=before, after=session.digest, tick=session.ticks)
        assert session.judge is not None
        [(state, ruling)] = fold([session.terms], [session.judge], [sample])
        session = deciding.judged(session, state, ruling, now=now + 0.01)
        if session.decision is not None:
            break
    if session.verdict is None:
        marks = [
            TimedStep(step="patch_sent", at=now + 0.02),
            TimedStep(step="patch_acknowledged", at=now + 0.05, detail="virtualservice/web " * 5),
        ]
        session = deciding.reverted(session, Action.REVERT, marks)
    session = lifecycle.published(session, now=now + 0.1)
    return Told(record=_record(session), recording=recorder.path(release_id))


def _record(session: Session) -> Record:
    assert session.verdict is not None
    assert session.decision is not None
    return Record(
        verdict=session.verdict,
        release=session.release,
        policy=session.policy,
        bounds_ms=session.bounds_ms,
        sample_digest=session.digest,
        fixed_horizon=session.decision.fixed_horizon,
        marks=session.marks,
    )


def by_a_person(one: Told) -> Record:
    """The same release, but somebody decided."""
    record = one.record
    verdict = msgspec.structs.replace(record.verdict, by="person", outcome=Outcome.INCONCLUSIVE, findings=())
    return msgspec.structs.replace(record, verdict=verdict, fixed_horizon=None)
