"""What an auditor asks of a release, made of what is kept of it: whose word ended its watch, and what was done about its traffic.

Entries have ids made of the release's, and are made of the session alone. So they are told again after a crash, under the same ids,
until the release's record is written; the log takes each once.
"""

from collections.abc import Iterable, Iterator
from typing import Final, assert_never

from daemon.engine.reasserting import GUARD_ENDED, PUT_BACK
from daemon.engine.session import Session
from daemon.engine.takenback import undos_of
from daemon.interventions import AuditEntry, AuditResult, Command, Freeze
from daemon.model import Action, Outcome, TimedStep

NOBODY: Final = "unknown"


def entries_of(session: Session) -> Iterator[AuditEntry]:
    """All of a release that has its verdict, as far as it has come."""
    yield from _word(session)
    yield from _revert(session)
    again = [mark for mark in session.marks if mark.step == PUT_BACK]
    for mark in again:
        yield _entry(
            session, f"reverted-again-{_ms(mark.at)}", what="revert", result="again", by="guard", at=mark.at, why=mark.detail
        )
    if again:
        ends: Iterable[TimedStep] = (mark for mark in session.marks if mark.step == GUARD_ENDED)
        for mark in ends:
            yield _entry(session, "guarded", what="guard", result="ended", by="guard", at=mark.at, why=mark.detail)


def _word(session: Session) -> Iterator[AuditEntry]:
    decision = session.decision
    if decision is None or decision.by != "person":
        return
    match decision.outcome:
        case Outcome.ROLLBACK:
            what = "rollback"
        case Outcome.PROMOTE:
            what = "promote"
        case Outcome.INCONCLUSIVE:
            what = "cancel"
        case _:
            assert_never(decision.outcome)
    yield _entry(session, "word", what=what, result="accepted", by=decision.who or NOBODY, at=decision.at, why=decision.reason)


def _revert(session: Session) -> Iterator[AuditEntry]:
    verdict, decision = session.verdict, session.decision
    assert verdict is not None  # nothing is told before there is one
    result: AuditResult
    match verdict.action:
        case Action.NONE | Action.ABORT | Action.PROMOTE:
            return
        case Action.REVERT:
            result = "done"
        case Action.FAILED:
            result = "failed"
        case Action.BLOCKED:
            result = "blocked"
        case _:
            assert_never(verdict.action)
    by = decision.who if decision is not None and decision.who else verdict.by
    yield _entry(session, "revert", what="revert", result=result, by=by, at=verdict.decided_at, why=verdict.reason)


def _entry(session: Session, name: str, *, what: str, result: AuditResult, by: str, at: float, why: str) -> AuditEntry:
    return AuditEntry(
        id=f"{session.release_id}.{name}",
        what=what,
        result=result,
        by=by,
        at=at,
        reason=why,
        cluster=session.cluster,
        namespace=session.release.namespace,
        service=session.release.service,
        release_id=session.release_id,
        owner=session.owner,
        changes=undos_of(session) if what == "revert" else (),
    )


def withdrawn(release_id: str, command: Command, *, cluster: str, namespace: str, service: str, at: float) -> AuditEntry:
    """A person has cancelled a release that waits for its canary."""
    return AuditEntry(
        id=f"{release_id}.word",
        what=command.command,
        result="accepted",
        by=command.by,
        at=at,
        reason=command.reason,
        cluster=cluster,
        namespace=namespace,
        service=service,
        release_id=release_id,
    )


def frozen(freeze: Freeze, *, cluster: str) -> AuditEntry:
    """Somebody has said that nothing is taken back."""
    return _switched("freeze", freeze, by=freeze.by, at=freeze.since, reason=freeze.reason, cluster=cluster)


def thawed(freeze: Freeze, *, by: str, reason: str, at: float, cluster: str) -> AuditEntry:
    """Somebody has ended this freeze."""
    return _switched("thaw", freeze, by=by, at=at, reason=reason, cluster=cluster)


def _switched(what: str, freeze: Freeze, *, by: str, at: float, reason: str, cluster: str) -> AuditEntry:
    return AuditEntry(
        id=f"{what}.{freeze.namespace or '*'}.{_ms(at)}",
        what=what,
        result="accepted",
        by=by,
        at=at,
        reason=reason,
        cluster=cluster,
        namespace=freeze.namespace or "",
        until=freeze.until if what == "freeze" else None,
    )


def _ms(at: float) -> int:
    return round(at * 1_000)
