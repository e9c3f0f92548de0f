"""What ends a watch, and the verdict that comes of it: the judge, the end of time, a person, or a newer release.

A decision is final and comes before what is done about it. Where traffic has to be taken back the verdict waits for what became
of that (``reverted``); everything else has its verdict at once. What a verdict says of the canary is said here and nowhere else:
an end that says nothing of it counts as ``hold``.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal, assert_never

from analyzers.judge import JudgeState
from analyzers.ruling import Ruling
from daemon.engine import strategies
from daemon.engine.hindrances import causes
from daemon.engine.session import EVIDENCE_LOST, FALLBACK, FOUND_GOOD, POLICY_TAKEN, SIGNAL, By, Decision, Session, signal_name
from daemon.interventions import Command
from daemon.model import Action, Outcome, Stage, TimedStep, Verdict

Meaning = Literal["promote", "rollback", "hold"]

_CLOCK_OFF_SECONDS = 60.0
"""So long nothing lies between a tick and its judging."""


def judged(session: Session, state: JudgeState, ruling: Ruling, *, now: float) -> Session:
    """The judge has folded a sample. A final ruling decides the release."""
    after = replace(session, judge=state, evidence=ruling.evidence, boundary=ruling.boundary, waiting_for=ruling.reason)
    by: By = "judge"
    match ruling.outcome:
        case "continue":
            return _waiting_for_a_person(after, now=now) if ruling.good_since is not None else after
        case "promote" | "rollback":
            outcome = Outcome(ruling.outcome)
        case "inconclusive":
            outcome, by = Outcome.INCONCLUSIVE, "deadline"
        case _:
            assert_never(ruling.outcome)
    reason = ruling.reason
    if outcome is Outcome.INCONCLUSIVE and ruling.good_since is None:
        reason = "; ".join([*causes(session), _with_the_gap(session, reason) if session.last_gap else reason])
    decision = Decision(
        outcome=outcome,
        by=by,
        reason=reason,
        at=now,
        leg=ruling.leg,
        findings=ruling.findings,
        fixed_horizon=ruling.fixed_horizon,
    )
    return decided(after, decision)


def _waiting_for_a_person(session: Session, *, now: float) -> Session:
    """What it waits for in the words of whoever can say it. That it was found good is a step, once."""
    assert session.started_at is not None  # a session that is not watching is never judged
    if abs(now - session.t - session.started_at) > _CLOCK_OFF_SECONDS:
        # The clock was off when the watch began, or is so now: whoever is told a time reads it by the same clock as now.
        session = replace(session, started_at=now - session.t)
    assert session.waits_until is not None  # the judge says that it waits
    until = datetime.fromtimestamp(session.waits_until, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    how = f"verdictd promote {session.release_id} --reason TEXT, or rollback"
    after = replace(session, waiting_for=f"a person's word until {until} ({how}): {session.waiting_for}")
    if any(mark.step == FOUND_GOOD for mark in session.marks):
        return after
    return after.marked(FOUND_GOOD, at=now, detail=session.waiting_for)


def _with_the_gap(session: Session, reason: str) -> str:
    """A watch that saw next to nothing says why first; in another, how it ended is an aside."""
    if 2 * session.gaps > session.ticks:
        return f"{session.gaps} of {session.ticks} ticks had no information, the last one: {session.last_gap}; {reason}"
    return f"{reason}; the last tick had no information: {session.last_gap}"


def not_judged(session: Session, reason: str, *, now: float) -> Session:
    """The judge failed at it, by a defect of ours: nothing is claimed."""
    said = f"it could not be judged: {reason}"
    return decided(session, Decision(outcome=Outcome.INCONCLUSIVE, by="judge", reason=said, at=now))


def not_located(session: Session, reason: str, *, now: float) -> Session:
    """The canary or its route cannot be found: nothing is patched, nothing is claimed."""
    return decided(session, Decision(outcome=Outcome.INCONCLUSIVE, by="deadline", reason=reason, at=now))


def commanded(session: Session, command: Command, *, now: float) -> Session:
    """A person has decided."""
    because = f": {command.reason}" if command.reason else ""
    if session.judge is not None and session.judge.good_since is not None:
        because += f"; it was found good after {session.judge.good_since:.0f} s"
    match command.command:
        case "rollback":
            outcome, reason = Outcome.ROLLBACK, f"rolled back by {command.by}{because}"
        case "promote":
            outcome, reason = Outcome.PROMOTE, f"promoted by {command.by}{because}"
        case "cancel":
            outcome, reason = Outcome.INCONCLUSIVE, f"cancelled by {command.by}{because}"
        case _:
            assert_never(command.command)
    return decided(session, Decision(outcome=outcome, by="person", reason=reason, at=now, who=command.by))


def superseded(session: Session, newer_id: str, *, now: float) -> Session:
    """A newer release of the same service has come: this one's canary is no longer what takes the traffic."""
    reason = f"superseded by release {newer_id} of the same service"
    return decided(session, Decision(outcome=Outcome.INCONCLUSIVE, by="superseded", reason=reason, at=now))


def decided(session: Session, decision: Decision) -> Session:
    """A decision is final. A rollback is acted on where the policy enforces or a person asked for it; the rest is told."""
    if session.evidence_from > 0 and decision.by in {"judge", "deadline"}:
        decision = replace(decision, reason=f"{decision.reason}; {_since(session)}")
    stood_in = [mark for mark in session.marks if mark.step == FALLBACK]
    if stood_in and decision.by in {"judge", "deadline"}:
        since = stood_in[0].at - (session.started_at or 0.0)
        said = f"for some of the time, from {since:.0f} s on, it was {stood_in[0].detail}"
        decision = replace(decision, reason=f"{decision.reason}; {said}")
    if decision.by in {"judge", "deadline"}:
        said = _stood(session) + strategies.compared(session, decision.outcome) + _returned(session)
        decision = replace(decision, reason=decision.reason + said)
    after = replace(session, decision=decision).marked("decided", at=decision.at, detail=decision.reason)
    act = decision.outcome is Outcome.ROLLBACK and (session.policy.mode == "enforce" or decision.by == "person")
    if act:
        return replace(after, stage=Stage.REVERTING, waiting_for="taking the traffic back")
    return _with_verdict(after, Action.NONE, reason=decision.reason)


def _since(session: Session) -> str:
    taken = [mark for mark in session.marks if mark.step in {EVIDENCE_LOST, POLICY_TAKEN}]
    why = "what another version gathered before could not be read"
    if taken and taken[-1].step == POLICY_TAKEN:
        why = f"the {taken[-1].detail} was taken then"
    return f"evidence counts from {session.evidence_from:g} s on: {why}"


def _returned(session: Session) -> str:
    return f"; {session.returns}: no minimum was asked of its promotion" if session.returns else ""


def _stood(session: Session) -> str:
    """What stood beside the counts for some of the time and does no more: what does is in the ruling's own words."""
    stood = {signal_name(one) for one in session.signals}
    told = []
    for mark in session.marks:
        name, _, words = mark.detail.partition(": ")
        if mark.step == SIGNAL and name not in stood:
            stood.add(name)
            told.append(f"; from {mark.at - (session.started_at or 0.0):.0f} s on, for some time: {words}")
    return "".join(told)


def reverted(session: Session, action: Action, marks: Sequence[TimedStep], *, reason: str = "") -> Session:
    """The revert has been tried; ``reason`` is said in the verdict: why it did not succeed, or what limits it."""
    assert session.decision is not None  # only a decided release is reverted
    said = session.decision.reason + (f"; {reason}" if reason else "")
    return _with_verdict(replace(session, marks=(*session.marks, *marks)), action, reason=said)


def _with_verdict(session: Session, action: Action, *, reason: str) -> Session:
    decision = session.decision
    assert decision is not None  # the callers have just decided
    verdict = Verdict(
        release_id=session.release_id,
        service=session.release.service,
        namespace=session.release.namespace,
        cluster=session.cluster,
        outcome=decision.outcome,
        meaning=_meaning(decision, "hold" if session.after is not None else session.policy.on_inconclusive),
        action=action,
        reason=reason,
        leg=decision.leg,
        evidence=session.evidence,
        boundary=session.boundary,
        ticks=session.ticks,
        decided_at=decision.at,
        policy_hash=session.policy_hash,
        findings=decision.findings,
        by=decision.by,
        signals=session.signals,
        after=None if session.after is None else session.after.of,
        revision=session.release.revision,
        initiated_by=session.release.initiated_by,
    )
    return replace(session, stage=Stage.PUBLISHING, verdict=verdict, waiting_for="publishing the verdict")


def _meaning(decision: Decision, on_inconclusive: Meaning) -> Meaning:
    """What a pipeline takes it for. Who cancels, or releases anew, ends the watch and says nothing of the canary: hold."""
    match decision.outcome:
        case Outcome.PROMOTE:
            return "promote"
        case Outcome.ROLLBACK:
            return "rollback"
        case Outcome.INCONCLUSIVE:
            return "hold" if decision.by in {"person", "superseded"} else on_inconclusive
        case _:
            assert_never(decision.outcome)
