"""Sessions and records as they are kept, and back.

The judge's state stands beside the session as its own exact bytes, and in a layout of its own. Where that is another version's
the watch goes on and gathers its evidence anew, within the same window: a pipeline waits for the verdict, and a canary that is
bad still shows it. It is not done in silence: the session keeps from when its evidence counts, and the verdict says so.
Each such beginning is another chance, of at most the policy's alpha, to take a healthy canary back.
"""

from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from analyzers.judge import JudgeState
from daemon import stored
from daemon.engine import lifecycle
from daemon.engine.session import Session
from daemon.engine.takenback import undos_of
from daemon.model import Record


class KeptSession(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the store.

    Attributes:
        session: all but its judge, which is null there.
        judge: what ``JudgeState.save`` gave.
        writer: the process that wrote it, and after ``#`` the number under which it had the service, where there are several
            replicas; empty in what 0.1 kept.
    """

    session: Session
    judge: bytes | None = None
    writer: str = ""
    format: Literal["verdictd.session/1"] = "verdictd.session/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A session that was read. ``lost`` says why its evidence could not be; ``unread`` names what a newer version has more of."""

    session: Session
    lost: ValueError | None = None
    unread: tuple[str, ...] = ()


def encode(session: Session, *, writer: str = "") -> bytes:
    """A session as JSON; nothing is rounded."""
    judge = None if session.judge is None else session.judge.save()
    kept = KeptSession(session=replace(session, judge=None, carried={}), judge=judge, writer=writer)
    return stored.encode(kept, carried=session.carried)


def decode(data: bytes, *, now: float) -> Read:
    """The session back. ``now``, in seconds since 1970, dates the step that evidence was lost.

    A verdict that has been kept is durable, so it is settled: it may have been told before, and is told at once.

    Raises:
        stored.Unreadable: the session cannot be read; ``stored.NewerForm`` where a newer version kept it.
    """
    read = stored.decode(data, KeptSession, policy_at=("session", "policy"))
    kept = read.value.session
    session = replace(kept, settled=kept.verdict is not None, carried=read.carried)
    if read.value.judge is None:
        return Read(session=session, unread=read.unread)
    try:
        return Read(session=replace(session, judge=JudgeState.restore(read.value.judge)), unread=read.unread)
    except ValueError as error:
        return Read(session=lifecycle.evidence_lost(session, now=now), lost=error, unread=read.unread)


def record_of(session: Session) -> Record:
    """The account of a release that has its verdict."""
    assert session.verdict is not None  # only a release with a verdict has a record
    return Record(
        verdict=session.verdict,
        release=session.release,
        policy=session.policy,
        bounds_ms=session.bounds_ms,
        sample_digest=session.digest,
        fixed_horizon=session.decision.fixed_horizon if session.decision else None,
        marks=session.marks,
        seconds=session.t,
        canary_requests=session.canary_requests,
        baseline_requests=session.baseline_requests,
        gaps=session.gaps,
        undos=undos_of(session),
    )


def encode_record(session: Session) -> bytes:
    """The record of a release that has its verdict, with what is carried of its release and its policy."""
    kept = session.carried.get("session", {})
    carried = {part: kept[part] for part in ("release", "policy") if part in kept}
    return stored.encode(record_of(session), carried=carried)


def decode_record(data: bytes) -> Record:
    """A record back. Raises ``stored.Unreadable``; ``stored.NewerForm`` where a newer version kept it."""
    return stored.decode(data, Record).value


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Who wrote a session, and under which number it had the service; 0: there was no other replica."""

    process: str = ""
    number: int = 0

    def __str__(self) -> str:
        """As it is kept."""
        return f"{self.process}#{self.number}" if self.number else self.process


def writer_of(data: bytes) -> Writer:
    """Who wrote it; empty where that cannot be read."""
    try:
        process, _, number = msgspec.json.decode(data, type=_Written).writer.partition("#")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Writer()
    return Writer(process=process, number=int(number) if number.isdecimal() else 0)


class _Written(msgspec.Struct, frozen=True):
    writer: str = ""
