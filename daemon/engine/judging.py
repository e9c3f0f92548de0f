"""One tick of many watched releases, judged in one batch. Pure but for the clock of the decision, so that it can run in a thread.

A release that cannot be judged, because of a defect of ours, must not keep the others from it: the batch is then judged one
by one, and whoever fails alone ends inconclusive.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from analyzers.counts import Sample
from analyzers.judge import fold, start
from analyzers.ruling import Ruling
from daemon import recordings
from daemon.engine import deciding, lifecycle
from daemon.engine.session import LastTick, Session
from daemon.measurements import Reading

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A release, what its telemetry says at this tick, and the time of the tick on the release's own time line."""

    session: Session
    reading: Reading
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedTick:
    """What a tick has made of a release. ``sample`` and ``ruling`` are null where it could not be judged; ``error`` says why."""

    due: Due
    after: Session
    sample: Sample | None = None
    ruling: Ruling | None = None
    error: Exception | None = None


def judge(batch: Sequence[Due], *, now: Callable[[], float]) -> list[JudgedTick]:
    """Fold this tick into every session; ``now`` dates the decisions."""
    try:
        return _together(batch, now=now)
    except Exception:
        log.exception("a batch could not be judged", extra={"hint": "its releases are judged one by one"})
    return [_alone(due, now=now) for due in batch]


def _together(batch: Sequence[Due], *, now: Callable[[], float]) -> list[JudgedTick]:
    seen = [lifecycle.sampled(due.session, due.reading, now=due.now) for due in batch]
    states = [session.judge or start(session.terms) for session, _ in seen]
    rulings = fold([session.terms for session, _ in seen], states, [sample for _, sample in seen])
    decided_at = now()
    return [
        JudgedTick(
            due=due,
            after=_ended(due, deciding.judged(session, state, ruling, now=decided_at), sample),
            sample=sample,
            ruling=ruling,
        )
        for due, (session, sample), (state, ruling) in zip(batch, seen, rulings, strict=True)
    ]


def _ended(due: Due, after: Session, sample: Sample) -> Session:
    """A decided session keeps the tick that decided: it is recorded beside the revert, and a kill may come between."""
    if after.decision is None:
        return after
    return replace(after, last_tick=LastTick(line=recordings.line(sample).decode(), before=due.session.digest))


def _alone(due: Due, *, now: Callable[[], float]) -> JudgedTick:
    try:
        [judged] = _together([due], now=now)
    except Exception as error:
        log.exception("a release could not be judged", extra={"release": due.session.release_id})
        reason = f"{type(error).__name__}: {error}"
        return JudgedTick(due=due, after=deciding.not_judged(due.session, reason, now=now()), error=error)
    return judged
