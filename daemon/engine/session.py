"""One release's life as a frozen value, and the pure transitions between its states.

Nothing here waits, reads a clock or touches the world: times come in as arguments, so that every change of a session can be
tested and replayed. The engine's other modules do the waiting and put the new value in the place of the old one.

::

    LOCATING ──> WATCHING ──┬─(rollback, enforce)──> REVERTING ──> PUBLISHING ──> GUARDING ──> ENDED
        └────────────────── ┴──────(anything else)───────────────> PUBLISHING ──────────────> ENDED
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal, assert_never, cast

import msgspec

from analyzers.judge import JudgeState, Terms, start, terms_of
from analyzers.ruling import Finding, Ruling
from config.policy import Policy
from daemon import recordings
from daemon.model import Action, Command, Outcome, Reading, Record, Release, Sample, Stage, TimedStep, Verdict
from daemon.placement import Placement

_DELIVERED, _NOT_DELIVERED = "delivered", "not_delivered"

By = Literal["judge", "deadline", "person", "superseded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided, before it is known what could be done about it."""

    outcome: Outcome
    by: By
    reason: str
    at: float
    leg: str | None = None
    findings: tuple[Finding, ...] = ()
    fixed_horizon: Mapping[str, float | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LastTick:
    """A line of a recording, and the digest of the lines before it."""

    line: str
    before: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One release's whole state.

    Attributes:
        submitted_at, started_at: seconds since 1970; the watch's own time is counted from ``started_at``.
        tick_seconds, split: how its telemetry samples; fixed for the whole watch so that the judge's terms are.
        digest: chained SHA-256 over the samples, as hex.
        last_gap: why the last tick had no information, or empty.
        unresolved: the policy's tolerances that the latency buckets cannot tell, a sentence each.
        fitted_at: how many requests of the baseline there were when that was last looked at; 0: never.
        last_tick: the tick that decided, as its recording should end with it.
        settled: the decision is durable: nothing can decide otherwise any more, and the verdict may be read.
        superseded_by: the newer release of the same service, once there is one.
        located: what the router said that the arms are; empty before it was asked, and in sessions of older versions.
        told: its verdict was found published when it was taken up again: nothing is done any more but to keep the record.
        evidence_from: the watch's seconds from which its evidence counts: more than 0 where what came before was lost.
        carried: what a newer version keeps of it and this one does not know; written back as it is.
    """

    release_id: str
    release: Release
    policy: Policy
    policy_hash: str
    cluster: str
    stage: Stage
    submitted_at: float
    tick_seconds: float
    split: bool
    started_at: float | None = None
    bounds_ms: tuple[float, ...] = ()
    judge: JudgeState | None = None
    t: float = 0.0
    ticks: int = 0
    gaps: int = 0
    last_gap: str = ""
    canary_requests: int = 0
    baseline_requests: int = 0
    evidence: float = 1.0
    boundary: float = 100.0
    waiting_for: str = ""
    unresolved: tuple[str, ...] = ()
    fitted_at: int = 0
    digest: str = ""
    decision: Decision | None = None
    last_tick: LastTick | None = None
    verdict: Verdict | None = None
    settled: bool = False
    superseded_by: str | None = None
    told: bool = False
    located: str = ""
    marks: tuple[TimedStep, ...] = ()
    evidence_from: float = 0.0
    carried: Mapping[str, Any] = field(default_factory=dict)

    @property
    def window_seconds(self) -> float:
        """The longest watch: the policy's window, or the release's own deadline when that is shorter."""
        deadline = self.release.deadline
        return self.policy.window_seconds if deadline is None else min(deadline, self.policy.window_seconds)

    @property
    def is_guarded(self) -> bool:
        """Whether its revert is still to be kept as it is: not where that is a newer release's business by now."""
        reverted = self.verdict is not None and self.verdict.action in {Action.REVERT, Action.FAILED}
        return reverted and self.superseded_by is None and not self.told

    @property
    def published_at(self) -> float | None:
        """When the verdict's publication was acknowledged, in seconds since 1970; null before."""
        return next((mark.at for mark in self.marks if mark.step == "published"), None)

    @property
    def done_with(self) -> frozenset[str]:
        """The sinks that have the verdict, or were given up."""
        return frozenset(mark.detail.partition(":")[0] for mark in self.marks if mark.step in {_DELIVERED, _NOT_DELIVERED})

    @property
    def terms(self) -> Terms:
        """What the judge needs to know of this watch."""
        return _terms(self.policy, self.tick_seconds, self.window_seconds, self.release.weight, self.bounds_ms)


def admitted(
    release: Release,
    *,
    release_id: str,
    policy: Policy,
    policy_hash: str,
    cluster: str,
    tick_seconds: float,
    split: bool,
    now: float,
) -> Session:
    """A release has been accepted; its canary and its routes are looked for next."""
    return Session(
        release_id=release_id,
        release=release,
        policy=policy,
        policy_hash=policy_hash,
        cluster=cluster,
        stage=Stage.LOCATING,
        submitted_at=now,
        tick_seconds=tick_seconds,
        split=split,
        boundary=1.0 / policy.alpha,
        waiting_for="looking for the canary and its routes",
        marks=(TimedStep(step="submitted", at=now),),
    )


def located(session: Session, placement: Placement, *, now: float) -> Session:
    """The canary's routes are known: the watch begins."""
    started = replace(
        session,
        stage=Stage.WATCHING,
        started_at=now,
        waiting_for="the first samples",
        judge=start(session.terms),
        located=placement.located,
    )
    detail = "; ".join(
        [*(str(one) for one in placement.routes), *([f"baseline: {placement.baseline}"] if placement.baseline else [])]
    )
    return marked(marked(started, "located", at=now, detail=detail), "watching", at=now)


def not_located(session: Session, reason: str, *, now: float) -> Session:
    """The canary or its route cannot be found: nothing is patched, nothing is claimed."""
    return decided(session, Decision(outcome=Outcome.INCONCLUSIVE, by="deadline", reason=reason, at=now))


def sampled(session: Session, reading: Reading, *, now: float) -> tuple[Session, Sample]:
    """Put a reading on the session's own time line. The sample is what is judged, recorded and digested, in this form only."""
    assert session.started_at is not None  # a session that is not watching is never sampled
    t = round(max(now - session.started_at, session.t), 3)
    sample, bounds = recordings.sample_of(reading, t=t, bounds_ms=session.bounds_ms)
    after = replace(
        session,
        t=t,
        ticks=session.ticks + 1,
        gaps=session.gaps + (sample.baseline is None or sample.canary is None),
        last_gap=sample.gap or "",
        bounds_ms=bounds,
        canary_requests=session.canary_requests + (sample.canary.requests if sample.canary else 0),
        baseline_requests=session.baseline_requests + (sample.baseline.requests if sample.baseline else 0),
        digest=recordings.chained(session.digest, recordings.line(sample)),
    )
    return after, sample


def judged(session: Session, state: JudgeState, ruling: Ruling, *, now: float) -> Session:
    """The judge has folded a sample. A final ruling decides the release."""
    after = replace(session, judge=state, evidence=ruling.evidence, boundary=ruling.boundary, waiting_for=ruling.reason)
    match ruling.outcome:
        case "continue":
            return after
        case "promote" | "rollback":
            outcome, by = Outcome(ruling.outcome), "judge"
        case "inconclusive":
            outcome, by = Outcome.INCONCLUSIVE, "deadline"
        case _:
            assert_never(ruling.outcome)
    reason = ruling.reason
    if outcome is Outcome.INCONCLUSIVE and session.last_gap:
        reason = _with_the_gap(session, reason)
    decision = Decision(
        outcome=outcome,
        by="judge" if by == "judge" else "deadline",
        reason=reason,
        at=now,
        leg=ruling.leg,
        findings=ruling.findings,
        fixed_horizon=ruling.fixed_horizon,
    )
    return decided(after, decision)


def _with_the_gap(session: Session, reason: str) -> str:
    """A watch that saw next to nothing says why first; in another, how it ended is an aside."""
    if 2 * session.gaps > session.ticks:
        return f"{session.gaps} of {session.ticks} ticks had no information, the last one: {session.last_gap}; {reason}"
    return f"{reason}; the last tick had no information: {session.last_gap}"


def not_judged(session: Session, reason: str, *, now: float) -> Session:
    """The judge failed at it, by a defect of ours: nothing is claimed."""
    said = f"it could not be judged: {reason}"
    return decided(session, Decision(outcome=Outcome.INCONCLUSIVE, by="judge", reason=said, at=now))


def evidence_lost(session: Session, *, now: float) -> Session:
    """What the judge had gathered cannot be read: it begins anew, in what is left of the window, and the verdict will say so."""
    began = f"{session.ticks} ticks of {session.t:g} s were judged by another version, whose evidence cannot be read"
    return marked(replace(session, judge=None, evidence_from=session.t), "evidence_lost", at=now, detail=began)


def _since(session: Session) -> str:
    return f"evidence counts from {session.evidence_from:g} s on: what another version gathered before could not be read"


def commanded(session: Session, command: Command, *, now: float) -> Session:
    """A person has decided."""
    because = f": {command.reason}" if command.reason else ""
    match command.command:
        case "rollback":
            outcome, reason = Outcome.ROLLBACK, f"rolled back by {command.by}{because}"
        case "promote":
            outcome, reason = Outcome.PROMOTE, f"promoted by {command.by}{because}"
        case "cancel":
            outcome, reason = Outcome.INCONCLUSIVE, f"cancelled by {command.by}{because}"
        case _:
            assert_never(command.command)
    return decided(session, Decision(outcome=outcome, by="person", reason=reason, at=now))


def superseded(session: Session, newer_id: str, *, now: float) -> Session:
    """A newer release of the same service has come: this one's canary is no longer what takes the traffic."""
    reason = f"superseded by release {newer_id} of the same service"
    return decided(session, Decision(outcome=Outcome.INCONCLUSIVE, by="superseded", reason=reason, at=now))


def outdated(session: Session, newer_id: str) -> Session:
    """A newer release has come after this one's decision. What was decided stands; it is not guarded against the newer one."""
    return replace(session, superseded_by=newer_id)


def decided(session: Session, decision: Decision) -> Session:
    """A decision is final. A rollback is acted on where the policy enforces or a person asked for it; the rest is told."""
    if session.evidence_from > 0 and decision.by in {"judge", "deadline"}:
        decision = replace(decision, reason=f"{decision.reason}; {_since(session)}")
    after = marked(replace(session, decision=decision), "decided", at=decision.at, detail=decision.reason)
    act = decision.outcome is Outcome.ROLLBACK and (session.policy.mode == "enforce" or decision.by == "person")
    if act:
        return replace(after, stage=Stage.REVERTING, waiting_for="taking the traffic back")
    return _with_verdict(after, Action.NONE, reason=decision.reason)


def aftermath(session: Session, reading: Reading, *, now: float) -> Session:
    """After a revert the counters are still read, for one thing only: when the canary's stood still. No judging any more."""
    if (
        session.stage not in {Stage.PUBLISHING, Stage.GUARDING}
        or session.verdict is None
        or session.verdict.action is not Action.REVERT
    ):
        return session
    silent = reading.gap is None and reading.canary is not None and reading.canary.requests == 0
    if not silent or any(mark.step == "canary_silent" for mark in session.marks):
        return session
    return marked(session, "canary_silent", at=now, detail=f"no canary request in {reading.seconds:.2f} s")


def reverted(session: Session, action: Action, marks: Sequence[TimedStep], *, reason: str = "") -> Session:
    """The revert has been tried; ``reason`` is said in the verdict where it did not succeed."""
    assert session.decision is not None  # only a decided release is reverted
    said = session.decision.reason + (f"; {reason}" if reason else "")
    return _with_verdict(replace(session, marks=(*session.marks, *marks)), action, reason=said)


def settled(session: Session) -> Session:
    """The decision is durable."""
    return replace(session, settled=True)


def published(session: Session, *, now: float, still_to_tell: Sequence[str] = ()) -> Session:
    """The verdict's publication is acknowledged; ``still_to_tell`` are the sinks that have not heard of it yet."""
    waiting_for = f"telling the verdict to {', '.join(still_to_tell)}" if still_to_tell else ""
    stage = Stage.GUARDING if session.is_guarded else session.stage
    after = replace(session, stage=stage, waiting_for="" if stage is Stage.GUARDING else waiting_for)
    return after if after.published_at is not None else marked(after, "published", at=now)


def delivered(session: Session, sink: str, *, now: float) -> Session:
    """This sink has acknowledged the verdict."""
    return marked(session, _DELIVERED, at=now, detail=sink)


def not_delivered(session: Session, sink: str, reason: str, *, now: float) -> Session:
    """This sink has not acknowledged the verdict, and is not tried any more."""
    return marked(session, _NOT_DELIVERED, at=now, detail=f"{sink}: {reason}")


def told(session: Session, verdict: Verdict) -> Session:
    """This verdict of it is out already, and stands, whatever the session knows. What was done about it was done then."""
    return replace(session, stage=Stage.PUBLISHING, verdict=verdict, settled=True, told=True, waiting_for="publishing the verdict")


def ended(session: Session, marks: Sequence[TimedStep] = ()) -> Session:
    """Nothing is left to do."""
    return replace(session, stage=Stage.ENDED, waiting_for="", marks=(*session.marks, *marks))


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
    )


def marked(session: Session, step: str, *, at: float, detail: str = "") -> Session:
    """Add a step's time to the account."""
    return replace(session, marks=(*session.marks, TimedStep(step=step, at=at, detail=detail)))


def release_document(release: Release) -> dict[str, Any]:
    """A release as plain data, for a recording's header."""
    return cast("dict[str, Any]", msgspec.to_builtins(release))


@lru_cache(maxsize=4096)
def _terms(
    policy: Policy,
    tick_seconds: float,
    window_seconds: float,
    weight: float | None,
    bounds_ms: tuple[float, ...],
) -> Terms:
    """Terms are the same at every tick of every release under one policy: made once."""
    return terms_of(policy, tick_seconds=tick_seconds, window_seconds=window_seconds, weight=weight, bounds_ms=bounds_ms)


def _with_verdict(session: Session, action: Action, *, reason: str) -> Session:
    decision = session.decision
    assert decision is not None  # the callers have just decided
    verdict = Verdict(
        release_id=session.release_id,
        service=session.release.service,
        namespace=session.release.namespace,
        cluster=session.cluster,
        outcome=decision.outcome,
        meaning=_meaning(decision, session.policy),
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
    )
    return replace(session, stage=Stage.PUBLISHING, verdict=verdict, waiting_for="publishing the verdict")


def _meaning(decision: Decision, policy: Policy) -> Literal["promote", "rollback", "hold"]:
    """What a pipeline takes it for. Who cancels, or releases anew, ends the watch and says nothing of the canary: hold."""
    match decision.outcome:
        case Outcome.PROMOTE:
            return "promote"
        case Outcome.ROLLBACK:
            return "rollback"
        case Outcome.INCONCLUSIVE:
            return "hold" if decision.by in {"person", "superseded"} else policy.on_inconclusive
        case _:
            assert_never(decision.outcome)
