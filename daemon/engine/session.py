"""One release's life as a frozen value: what is known of it, and how far it has come.

Nothing here waits, reads a clock or touches the world. A session never changes; each change makes a new value that stands in the
place of the old one, so that every step can be tested, kept and replayed. ``lifecycle`` has the steps from stage to stage, and
``deciding`` what ends a watch. The engine's other modules do the waiting.

::

    LOCATING ──> WATCHING ──┬─(rollback, enforce)──> REVERTING ──> PUBLISHING ──> GUARDING ──> ENDED
        └────────────────── ┴──────(anything else)───────────────> PUBLISHING ──────────────> ENDED
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final, Literal

from analyzers.counts import Signal
from analyzers.judge import JudgeState, Terms, terms_of
from analyzers.reference import Reference
from analyzers.ruling import Finding
from config.policy import Policy
from daemon.measurements import Cadence
from daemon.model import Action, After, Outcome, Release, Stage, TimedStep, Verdict
from daemon.placement import ObjectName, Undo

SUBMITTED: Final = "submitted"
JOINED: Final = "joined"
"""The steps that tell who announced it: the detail is the sender, of those that joined after ``ID by``."""
MODE_TAKEN: Final = "mode_taken"
"""The step that one that joined has said whether something is done about it."""
EVIDENCE_LOST: Final = "evidence_lost"
POLICY_TAKEN: Final = "policy_taken"
"""The steps from which on its evidence counts: an older one could not be read, or one that joined has said the policy."""
FOUND_GOOD: Final = "found_good"
"""The step from which on a person is waited for."""
ASKED: Final = "person_asked"
"""The step that a sink has taken that a person is waited for; the detail is its name."""
RETURN: Final = "return"
"""The step that it goes back to a version that was promoted before; the detail says to which."""
WATCHED_ON: Final = "watched_on"
NOT_WATCHED_ON: Final = "not_watched_on"
"""The steps that tell by which release the canary is watched on after its promotion, or why by none."""
DELIVERED: Final = "delivered"
NOT_DELIVERED: Final = "not_delivered"
"""The steps that tell what became of a sink; their detail begins with its name."""
SEQUEL_TOLD: Final = "sequel_told"
"""The step that a sink has taken something that came after the verdict; the detail is its name and what that was."""
REVERTED_LATE: Final = "reverted_late"
REVERT_GIVEN_UP: Final = "revert_given_up"
"""The steps that tell of a revert that had failed, in all clusters: that it was done at last, or that it is not tried any more."""
CANARY_SILENT: Final = "canary_silent"
"""The step that the canary gets no more requests, after a revert."""
OWNED: Final = "owned"
"""The step that somebody writes its routes by itself, as a controller or Git does; the detail says who."""
GIT_SAYS: Final = "git_says"
"""The step that Git's tool has said what nobody had announced: the detail is the field of the release, a space, and its text."""
FALLBACK: Final = "telemetry_fallback"
DIRECT: Final = "telemetry_direct"
"""The steps that tell from where it is read from then on."""
SIGNAL: Final = "signal"
SIGNAL_OVER: Final = "signal_over"
"""The steps that tell since when something stood beside the counts, and since when no more; their detail begins with its name."""

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
    who: str = ""
    """The person's name; empty where it was none, and in what older versions decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastTick:
    """A line of a recording, and the digest of the lines before it."""

    line: str
    before: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One release's whole state.

    Attributes:
        announced_at: when it was announced, in seconds since 1970; null where that is not known but by ``submitted_at``.
        submitted_at, started_at: seconds since 1970; the watch's own time is counted from ``started_at``.
        tick_seconds, split, timed: how its telemetry samples, and whether it tells latencies; fixed for the whole watch so that the
            judge's terms are.
        digest: chained SHA-256 over the samples, as hex.
        last_gap: why the last tick had no information, or empty.
        unresolved: the policy's tolerances that the latency buckets cannot tell, a sentence each.
        fitted_at: how many requests of the baseline there were when that was last looked at; 0: never.
        last_tick: the tick that decided, as its recording should end with it.
        settled: the decision is durable: nothing can decide otherwise any more, and the verdict may be read.
        superseded_by: the newer release of the same service, once there is one.
        located: what the router said that the arms are; empty before it was asked, and in sessions of older versions.
        told: its verdict was found published when it was taken up again: nothing is done any more but to keep the record.
        signals: what stood beside the counts at the last tick.
        cadence: how far apart and how late its samples are, as far as that is known.
        evidence_from: the watch's seconds from which its evidence counts: more than 0 where what came before was lost, or was
            gathered under another policy.
        routes: the objects, in the cluster where it is judged, that owned the routes when it was located, and those whose routes
            named the canary; the first 50.
        workload: the name of the canary's workload, as its mesh and its pods say it; empty where they do not.
        undos: what it takes to put the traffic back where the revert took it from.
        intents: the same of what patches were about to change, of which it is not known whether they did.
        after: where it is the watch after the promotion of another release: only the canary is counted.
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
    timed: bool = True
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
    announced_at: float | None = None
    signals: tuple[Signal, ...] = ()
    cadence: Cadence | None = None
    routes: tuple[ObjectName, ...] = ()
    workload: str = ""
    undos: tuple[Undo, ...] = ()
    intents: tuple[Undo, ...] = ()
    after: After | None = None
    carried: Mapping[str, Any] = field(default_factory=dict)

    @property
    def age(self) -> tuple[float, float]:
        """Orders the releases of a service: the larger one is newer. When it was announced, then when it was taken."""
        return (self.submitted_at if self.announced_at is None else self.announced_at, self.submitted_at)

    @property
    def window_seconds(self) -> float:
        """The longest watch: the policy's window, or the release's own deadline when that is shorter."""
        if self.after is not None:
            return self.after.seconds
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
        return frozenset(mark.detail.partition(":")[0] for mark in self.marks if mark.step in {DELIVERED, NOT_DELIVERED})

    @property
    def attempts(self) -> Mapping[str, str]:
        """Who has announced it, each with the id by which it knows it. One without a name is an older version's."""
        found: dict[str, str] = {}
        for mark in self.marks:
            if mark.step == SUBMITTED:
                found[mark.detail] = self.release_id
            elif mark.step == JOINED:
                release_id, _, sender = mark.detail.partition(" by ")
                found[sender] = release_id
        return found

    @property
    def found_at_git(self) -> frozenset[str]:
        """The release's fields that only Git's tool has said."""
        said = [mark.detail.partition(" ") for mark in self.marks if mark.step == GIT_SAYS]
        return frozenset(name for name, _, text in said if getattr(self.release, name, None) == text)

    @property
    def fallback(self) -> str:
        """From where it is read now, and why not from where it should be; empty where it is."""
        last = next((mark for mark in reversed(self.marks) if mark.step in {FALLBACK, DIRECT}), None)
        return last.detail if last is not None and last.step == FALLBACK else ""

    @property
    def returns(self) -> str:
        """To which version that was promoted before it goes back, in words; empty where it does not."""
        return next((mark.detail for mark in self.marks if mark.step == RETURN), "")

    @property
    def waits_until(self) -> float | None:
        """Until when it waits for a person to say whether it is promoted, in seconds since 1970; null where it does not."""
        since = None if self.judge is None else self.judge.good_since
        if since is None or self.started_at is None or self.decision is not None:
            return None
        return self.started_at + since + self.policy.approval_seconds

    @property
    def terms(self) -> Terms:
        """What the judge needs to know of this watch."""
        return _terms(
            self.policy,
            tick_seconds=self.tick_seconds,
            window_seconds=self.window_seconds,
            weight=self.release.weight,
            bounds_ms=self.bounds_ms,
            timed=self.timed,
            after=None if self.after is None else self.after.reference,
        )

    @property
    def owner(self) -> str:
        """Who writes its routes by itself, for a person; empty where nobody is known to."""
        return owner_of(self.marks)

    def marked(self, step: str, *, at: float, detail: str = "") -> "Session":
        """This session with a step, and its time in seconds since 1970, in its account."""
        return replace(self, marks=(*self.marks, TimedStep(step=step, at=at, detail=detail)))


def owner_of(marks: Iterable[TimedStep]) -> str:
    """Who writes a release's routes by itself, by its steps; empty where nobody is known to."""
    return next((mark.detail for mark in marks if mark.step == OWNED), "")


def signal_name(signal: Signal) -> str:
    """What tells it from all others that may stand at the same time. Its words may change meanwhile."""
    return f"{signal.about} {signal.kind}"


@lru_cache(maxsize=4096)
def _terms(
    policy: Policy,
    *,
    tick_seconds: float,
    window_seconds: float,
    weight: float | None,
    bounds_ms: tuple[float, ...],
    timed: bool,
    after: Reference | None,
) -> Terms:
    """Terms are the same at every tick of every release under one policy: made once."""
    return terms_of(
        policy,
        tick_seconds=tick_seconds,
        window_seconds=window_seconds,
        weight=weight,
        bounds_ms=bounds_ms,
        timed=timed,
        after=after,
    )
