"""The steps of a session from stage to stage, but for the decision itself (``deciding``): pure, with the time as an argument.

Each takes the session as it is and gives the one that stands in its place. They ask nothing and try nothing: whoever calls has
located, sampled, published already, and puts down here what came of it.
"""

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from analyzers.counts import Sample
from analyzers.judge import start
from analyzers.onearm.limits import seen_in
from analyzers.reference import Reference
from config.identity import policy_hash as hash_of
from config.policy import Policy
from daemon import recordings
from daemon.engine.session import (
    CANARY_SILENT,
    DELIVERED,
    DIRECT,
    EVIDENCE_LOST,
    FALLBACK,
    GIT_SAYS,
    JOINED,
    MODE_TAKEN,
    NOT_DELIVERED,
    OWNED,
    POLICY_TAKEN,
    RETURN,
    REVERTED_LATE,
    SIGNAL,
    SIGNAL_OVER,
    SUBMITTED,
    Session,
    signal_name,
)
from daemon.measurements import Reading
from daemon.model import LONGEST_TEXT, Action, After, Release, Stage, TimedStep, Verdict
from daemon.placement import ObjectName, Placement

_MOST_OBJECTS = 50
_FROM_GIT = ("revision", "initiated_by")
_MOST_CHANGES = 20
"""Of the telemetry's source, and as many of signals, that are kept as steps; one that comes and goes all day says no more by the
next."""


def admitted(
    release: Release,
    *,
    release_id: str,
    policy: Policy,
    policy_hash: str,
    cluster: str,
    tick_seconds: float,
    split: bool,
    timed: bool = True,
    now: float,
    announced_at: float | None = None,
    sender: str = "",
) -> Session:
    """A release of this sender has been accepted; its canary and its routes are looked for next."""
    return Session(
        release_id=release_id,
        release=release,
        policy=policy,
        policy_hash=policy_hash,
        cluster=cluster,
        stage=Stage.LOCATING,
        submitted_at=now,
        announced_at=None if announced_at is None else min(announced_at, now),
        tick_seconds=tick_seconds,
        split=split,
        timed=timed,
        boundary=1.0 / policy.alpha,
        waiting_for="looking for the canary and its routes",
        marks=(TimedStep(step=SUBMITTED, at=now, detail=sender),),
    )


def returning(session: Session, to: str, *, now: float) -> Session:
    """It goes back to a version that was promoted before (``to``, in words): no minimum is asked of its promotion."""
    policy = _without_minima(session.policy)
    return replace(session, policy=policy, policy_hash=hash_of(policy)).marked(RETURN, at=now, detail=to)


def _without_minima(policy: Policy) -> Policy:
    promotion = msgspec.structs.replace(policy.promotion, min_requests=0, min_seconds=0.0)
    return msgspec.structs.replace(policy, promotion=promotion)


def joined(session: Session, *, release_id: str, sender: str, now: float) -> Session:
    """Another sender has announced the same canary, and knows the release by this id."""
    return session.marked(JOINED, at=now, detail=f"{release_id} by {sender}")


def added(session: Session, *, as_new: Session, sender: str, now: float) -> Session:
    """What a sender that joins has added to the release is in ``as_new``, which is the release as it would begin now.

    Under another policy what was gathered says nothing: the evidence is gathered anew, within the same window. It stays where all
    that changes is whether something is done about it, or that it is known to be a return.
    """
    after = replace(session, release=as_new.release)
    if as_new.returns and not session.returns:
        after = after.marked(RETURN, at=now, detail=as_new.returns)
    if as_new.policy_hash == session.policy_hash:
        return after
    ours = _without_minima(session.policy) if as_new.returns else session.policy
    if msgspec.structs.replace(ours, mode=as_new.policy.mode) == as_new.policy:
        taken = replace(after, policy=as_new.policy, policy_hash=as_new.policy_hash)
        if as_new.policy.mode == session.policy.mode:
            return taken
        return taken.marked(MODE_TAKEN, at=now, detail=f"{as_new.policy.mode} of {sender}")
    anew = replace(
        after,
        policy=as_new.policy,
        policy_hash=as_new.policy_hash,
        boundary=as_new.boundary,
        judge=None,
        evidence=1.0,
        evidence_from=session.t,
        unresolved=(),
        fitted_at=0,
    )
    return anew.marked(POLICY_TAKEN, at=now, detail=f"policy {as_new.release.policy} of {sender}")


def watched_on(session: Session, *, release_id: str, now: float) -> Session:
    """The watch after the promotion of a release that has its verdict: a release of its own, which begins at once.

    It is as old as that one, so that whatever is newer than that one is newer than this.
    """
    reference = Reference() if session.judge is None else seen_in(session.judge.row, session.bounds_ms)
    watch = Session(
        release_id=release_id,
        release=session.release,
        policy=session.policy,
        policy_hash=session.policy_hash,
        cluster=session.cluster,
        stage=Stage.WATCHING,
        submitted_at=now,
        announced_at=session.age[0],
        started_at=now,
        tick_seconds=session.tick_seconds,
        split=session.split,
        timed=session.timed,
        bounds_ms=session.bounds_ms,
        boundary=session.boundary,
        waiting_for="the first samples",
        located=session.located,
        routes=session.routes,
        workload=session.workload,
        after=After(of=session.release_id, seconds=session.policy.after_seconds, reference=reference),
        marks=(TimedStep(step=SUBMITTED, at=now, detail=f"after {session.release_id}"),),
    )
    return replace(watch, judge=start(watch.terms)).marked("watching", at=now)


def located(session: Session, placement: Placement, *, now: float) -> Session:
    """The canary's routes are known: the watch begins."""
    started = replace(
        session,
        release=_enriched(session.release, placement),
        stage=Stage.WATCHING,
        started_at=now,
        waiting_for="the first samples",
        judge=start(session.terms),
        located=placement.located,
        routes=_objects(placement),
        workload=session.release.canary.workload or placement.workload,
    )
    baseline = [f"baseline: {placement.baseline}"] if placement.baseline else []
    detail = "; ".join([*(str(one) for one in placement.routes), *baseline, *placement.remarks])
    owner = ", ".join(dict.fromkeys(one.owner for one in placement.routes if one.owner))
    known = started.marked("located", at=now, detail=detail)
    for name in _FROM_GIT:
        if (text := getattr(started.release, name)) != getattr(session.release, name):
            known = known.marked(GIT_SAYS, at=now, detail=f"{name} {text}")
    return (known.marked(OWNED, at=now, detail=owner) if owner else known).marked("watching", at=now)


def _enriched(release: Release, placement: Placement) -> Release:
    """The release with what Git's tools say of it and nobody has announced. What is longer than may be announced is left out."""
    known = {name: getattr(placement, name) for name in _FROM_GIT if getattr(release, name) is None}
    return msgspec.structs.replace(release, **{name: text for name, text in known.items() if 0 < len(text) <= LONGEST_TEXT})


def _objects(placement: Placement) -> tuple[ObjectName, ...]:
    """On which the verdict is told: the routes of the first cluster, which is where it is judged, and who owns them there."""
    home = placement.routes[0].cluster if placement.routes else ""
    routes = [one.object for one in placement.routes if one.cluster == home]
    return tuple(dict.fromkeys([*placement.owners, *routes]))[:_MOST_OBJECTS]


def resumed(session: Session, *, now: float, age_seconds: float | None) -> Session:
    """A session that was kept, with the time that it has been watched until now.

    Two clocks tell how long nobody went on with it: the wall's, which was perhaps off when it began or is so now, and the store's,
    from its last keeping on (``age_seconds``; null: not known). The shorter time counts: a watch that goes on for longer is no
    fault, and one that ends before it has looked is.
    """
    if session.stage is not Stage.WATCHING or session.started_at is None:
        return session
    seconds = max(now - session.started_at, session.t)
    if age_seconds is not None:
        seconds = min(seconds, session.t + age_seconds)
    return replace(session, t=round(seconds, 3))


def sampled(session: Session, reading: Reading, *, now: float) -> tuple[Session, Sample]:
    """Put a reading on the session's own time line. The sample is what is judged, recorded and digested, in this form only."""
    assert session.started_at is not None  # a session that is not watching is never sampled
    t = round(max(now - session.started_at, session.t), 3)
    if session.after is not None:
        reading = _of_canary(reading)
    sample, bounds = recordings.sample_of(reading, t=t, bounds_ms=session.bounds_ms)
    after = replace(
        session,
        t=t,
        ticks=session.ticks + 1,
        gaps=session.gaps + (sample.canary is None or (sample.baseline is None and session.after is None)),
        last_gap=sample.gap or "",
        cadence=reading.cadence or (session.cadence if reading.gap else None),
        bounds_ms=bounds,
        canary_requests=session.canary_requests + (sample.canary.requests if sample.canary else 0),
        baseline_requests=session.baseline_requests + (sample.baseline.requests if sample.baseline else 0),
        digest=recordings.chained(session.digest, recordings.line(sample)),
    )
    return _beside(_read_from(after, reading, now=now), sample, now=now), sample


def _of_canary(reading: Reading) -> Reading:
    """What a reading says of the canary alone: whatever becomes of the baseline is no sign of anything after a promotion."""
    signals = tuple(one for one in reading.signals if one.about != "baseline")
    return msgspec.structs.replace(reading, baseline=None, signals=signals)


def _read_from(session: Session, reading: Reading, *, now: float) -> Session:
    """Keep each change of where it is read from, as a step."""
    if bool(reading.fallback) == bool(session.fallback):
        return session
    if sum(mark.step in {FALLBACK, DIRECT} for mark in session.marks) >= _MOST_CHANGES:
        return session
    return session.marked(FALLBACK if reading.fallback else DIRECT, at=now, detail=reading.fallback)


def _beside(session: Session, sample: Sample, *, now: float) -> Session:
    """Keep each beginning and end of a signal, as a step. Which it is goes by its kind and whose it is: its words may change."""
    if session.signals == sample.signals:
        return session
    before, after = [{signal_name(one): one.words for one in some} for some in (session.signals, sample.signals)]
    changes = [(SIGNAL, name, words) for name, words in after.items() if name not in before]
    changes += [(SIGNAL_OVER, name, words) for name, words in before.items() if name not in after]
    left = _MOST_CHANGES - sum(mark.step in {SIGNAL, SIGNAL_OVER} for mark in session.marks)
    kept = tuple(TimedStep(step=step, at=now, detail=f"{name}: {words}") for step, name, words in changes[: max(left, 0)])
    return replace(session, signals=sample.signals, marks=(*session.marks, *kept))


def evidence_lost(session: Session, *, now: float) -> Session:
    """What the judge had gathered cannot be read: it begins anew, in what is left of the window, and the verdict will say so."""
    began = f"{session.ticks} ticks of {session.t:g} s were judged by another version, whose evidence cannot be read"
    return replace(session, judge=None, evidence_from=session.t).marked(EVIDENCE_LOST, at=now, detail=began)


def aftermath(session: Session, reading: Reading, *, now: float) -> Session:
    """After a revert the counters are still read, for one thing only: when the canary's stood still. No judging any more."""
    steps = {mark.step for mark in session.marks}
    taken_back = session.verdict is not None and (session.verdict.action is Action.REVERT or REVERTED_LATE in steps)
    if session.stage not in {Stage.PUBLISHING, Stage.GUARDING} or not taken_back or CANARY_SILENT in steps:
        return session
    if reading.gap is not None or reading.canary is None or reading.canary.requests:
        return session
    return session.marked(CANARY_SILENT, at=now, detail=f"no canary request in {reading.seconds:.2f} s")


def outdated(session: Session, newer_id: str) -> Session:
    """A newer release has come after this one's decision. What was decided stands; it is not guarded against the newer one."""
    return replace(session, superseded_by=newer_id)


def settled(session: Session) -> Session:
    """The decision is durable."""
    return replace(session, settled=True)


def published(session: Session, *, now: float, still_to_tell: Sequence[str] = ()) -> Session:
    """The verdict's publication is acknowledged; ``still_to_tell`` are the sinks that have not heard of it yet."""
    waiting_for = f"telling the verdict to {', '.join(still_to_tell)}" if still_to_tell else ""
    stage = Stage.GUARDING if session.is_guarded else session.stage
    after = replace(session, stage=stage, waiting_for="" if stage is Stage.GUARDING else waiting_for)
    return after if after.published_at is not None else after.marked("published", at=now)


def delivered(session: Session, sink: str, *, now: float) -> Session:
    """This sink has acknowledged the verdict."""
    return session.marked(DELIVERED, at=now, detail=sink)


def not_delivered(session: Session, sink: str, reason: str, *, now: float) -> Session:
    """This sink has not acknowledged the verdict, and is not tried any more."""
    return session.marked(NOT_DELIVERED, at=now, detail=f"{sink}: {reason}")


def told(session: Session, verdict: Verdict) -> Session:
    """This verdict of it is out already, and stands, whatever the session knows. What was done about it was done then."""
    return replace(session, stage=Stage.PUBLISHING, verdict=verdict, settled=True, told=True, waiting_for="publishing the verdict")


def ended(session: Session, marks: Sequence[TimedStep] = ()) -> Session:
    """Nothing is left to do. Some of the steps may have been kept when they were made."""
    new = [mark for mark in marks if mark not in session.marks]
    return replace(session, stage=Stage.ENDED, waiting_for="", marks=(*session.marks, *new))
