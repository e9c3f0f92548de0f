"""The words of the design as frozen structs: release, verdict, decision record. One JSON form each.

``Sample``, ``Finding`` and ``Ruling`` belong to the judge (``analyzers``); their field names are the wire format too.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from analyzers.counts import Arm, Sample, Signal
from analyzers.reference import Reference
from analyzers.ruling import Finding
from config import urls
from config.policy import Failures, Policy
from daemon.armpods import PodsByArm
from daemon.placement import Undo

__all__ = [
    "LONGEST_TEXT",
    "Action",
    "Arm",
    "ArmSpec",
    "ArmState",
    "Cadence",
    "Command",
    "Finding",
    "GitHubDeployment",
    "GitHubRule",
    "GitLabCommit",
    "Outcome",
    "Outline",
    "PodsState",
    "Protocol",
    "Reading",
    "Record",
    "Release",
    "ReleaseView",
    "Said",
    "Sample",
    "Signal",
    "Stage",
    "TimedStep",
    "Verdict",
    "Watch",
    "observed_share",
]

LONGEST_TEXT: Final = 1024
Text = Annotated[str, Meta(max_length=LONGEST_TEXT)]
Protocol = Literal["http", "tcp"]
"""What is counted of a release: requests (gRPC is HTTP too), or connections."""
Strategy = Literal["canary", "blue-green", "header", "mirror", "pods"]


class Outcome(StrEnum):
    """The three ends of a release."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"
    INCONCLUSIVE = "inconclusive"


class Action(StrEnum):
    """What was done about a verdict."""

    NONE = "none"
    REVERT = "revert"
    ABORT = "abort"
    PROMOTE = "promote"
    BLOCKED = "blocked"
    FAILED = "failed"


class Stage(StrEnum):
    """Where a release is in its life."""

    LOCATING = "locating"
    WATCHING = "watching"
    REVERTING = "reverting"
    PUBLISHING = "publishing"
    GUARDING = "guarding"
    ENDED = "ended"


class ArmSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the mesh knows one arm. Which fields are needed depends on the mesh; the rest is discovered.

    Attributes:
        workload: name of the Deployment, Rollout, job.
        version: value of the version label or tag.
        subset: DestinationRule or resolver subset.
        service: backing service (or, for a plain Envoy, the cluster) when each arm has its own.
        labels: pod labels, at most 64.
    """

    workload: str | None = None
    version: str | None = None
    subset: str | None = None
    service: str | None = None
    labels: dict[str, str] = {}


GitHubRepository = Annotated[
    str,
    Meta(
        # Python's own sign for the end is none in JSON Schema, and "$" alone is for Python also the place before a last line break.
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,38}/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$(?!\n)",
        extra={"fix": "write owner/name, as in acme/shop"},
    ),
]


class GitHubDeployment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The deployment of GitHub that a release is: ``owner/name``, and its number."""

    repository: GitHubRepository
    deployment: Annotated[int, Meta(ge=1)]


class GitHubRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The run of GitHub's workflows that waits for the verdict before it deploys to this environment, by a protection rule."""

    repository: GitHubRepository
    run: Annotated[int, Meta(ge=1)]
    environment: Annotated[str, Meta(min_length=1, max_length=255)]


class GitLabCommit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The commit of GitLab that a release is of: the project's path or number, and the whole hash."""

    project: Annotated[
        str,
        Meta(
            pattern=r"^(\d{1,18}|[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)+)$(?!\n)",
            max_length=400,
            extra={"fix": "write group/project, or the project's number in quotes"},
        ),
    ]
    commit: Annotated[str, Meta(pattern=r"^[0-9a-f]{40,64}$(?!\n)", extra={"fix": "write the whole hash, in lower case"})]


class Release(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One attempt to bring a version of a service into traffic; what a deployment event announces.

    Attributes:
        service: what is released.
        namespace: where it runs.
        cluster: name of the cluster, when it is not the daemon's own.
        mesh: name of a configured mesh; needed when there are several.
        baseline: the version that has served so far; traffic goes back to it.
        canary: the new version.
        strategy: how the canary gets its traffic, see ``daemon.engine.strategies``.
        protocol: what is counted of it: ``http`` for requests, gRPC's too; ``tcp`` for connections, of which those that failed are
            the errors, and which have no latency.
        weight: the canary's configured share of the traffic, in percent.
        policy: name of a configured policy.
        artifact: what was deployed, for the record (an image, a package URL).
        revision: the revision in Git that was deployed, as its sender or Git's tool writes it; null: not known.
        initiated_by: who initiated it, a person or a robot, by the name that its sender or Git's tool has; null: not known.
        route: name of a route object that must be there; all others that name the canary are taken back all the same.
        deadline: longest watch in seconds; overrides the policy's window when shorter.
        observe: whether nothing is done about its verdict, whatever the policy's mode is.
        callback: an address that is told the verdict, if a sink of kind ``callback`` allows its host.
        github, gitlab: what it is there, for sinks that tell these.
        github_rule: which run of a workflow waits for the verdict, for a sink of kind ``github-protection-rule``.
    """

    service: str
    namespace: str = "default"
    cluster: str | None = None
    mesh: str | None = None
    baseline: ArmSpec
    canary: ArmSpec
    strategy: Strategy = "canary"
    protocol: Protocol = "http"
    weight: Annotated[float, Meta(ge=0.0, le=100.0)] | None = None
    policy: str = "default"
    artifact: Text | None = None
    revision: Text | None = None
    initiated_by: Text | None = None
    route: str | None = None
    deadline: Annotated[float, Meta(gt=0.0)] | None = None
    observe: bool = False
    callback: Annotated[str, Meta(max_length=2048, extra={"check": urls.callback_url})] | None = None
    github: GitHubDeployment | None = None
    gitlab: GitLabCommit | None = None
    github_rule: GitHubRule | None = None


class After(msgspec.Struct, frozen=True, kw_only=True):
    """That a release is the watch after the promotion of another one.

    Attributes:
        of: the id of the release whose canary was promoted.
        seconds: how long it is watched.
        reference: what the baseline was while that one was watched.
    """

    of: str
    seconds: Annotated[float, Meta(gt=0.0)]
    reference: Reference


class Outline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A release of which not both arms were said: a service, where it runs, and at least one word for what is new.

    Where somebody asks at a gate a service is enough: what begins to take traffic is meant, or what has begun to and is watched.

    Attributes:
        artifact, version, revision: an image or package URL; as a version label or a tag has it; a commit.
        images: of which those that the canary alone runs tell it, where no artifact is named.
        baseline, canary: the arm that was said, if one was.

    The rest is as a release has it; what is null is for others to say.
    """

    service: str
    namespace: str = "default"
    cluster: str | None = None
    mesh: str | None = None
    artifact: Text | None = None
    version: Text | None = None
    revision: Text | None = None
    images: Annotated[tuple[Text, ...], Meta(max_length=512)] = ()
    initiated_by: Text | None = None
    baseline: ArmSpec | None = None
    canary: ArmSpec | None = None
    protocol: Protocol = "http"
    weight: Annotated[float, Meta(ge=0.0, le=100.0)] | None = None
    policy: str | None = None
    route: str | None = None
    deadline: Annotated[float, Meta(gt=0.0)] | None = None
    observe: bool = False
    callback: Annotated[str, Meta(max_length=2048, extra={"check": urls.callback_url})] | None = None
    github: GitHubDeployment | None = None
    gitlab: GitLabCommit | None = None
    github_rule: GitHubRule | None = None

    @property
    def named(self) -> str:
        """What is waited for, for a sentence."""
        new = self.artifact or self.version or " or ".join(self.images[:3]) or self.revision
        return f"canary of {self.service} that is {new}" if new else f"canary of {self.service}"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The final outcome of a release; exactly one per release, never changed.

    ``meaning`` is what a pipeline should do: the outcome itself, or what the policy says of an inconclusive one
    (``hold``, ``promote``, ``rollback``). ``decided_at`` is in seconds since 1970; ``policy_hash`` identifies the policy.
    ``signals`` are what stood beside the counts when it was decided. ``after`` is the release whose promotion this one watched on
    after; null where it is none of those. ``revision`` and ``initiated_by`` are the release's, as far as they were known when it
    was decided; null: they were not.
    """

    release_id: str
    service: str
    namespace: str
    cluster: str
    outcome: Outcome
    meaning: Literal["promote", "rollback", "hold"]
    action: Action
    reason: str
    leg: str | None
    evidence: float
    boundary: float
    ticks: int
    decided_at: float
    policy_hash: str
    findings: tuple[Finding, ...] = ()
    by: Literal["judge", "deadline", "person", "superseded"] = "judge"
    signals: tuple[Signal, ...] = ()
    after: str | None = None
    revision: str | None = None
    initiated_by: str | None = None


class TimedStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a release with its time (seconds since 1970)."""

    step: str
    at: float
    detail: str = ""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The machine-readable account of a verdict.

    ``sample_digest`` chains SHA-256 over the recording's lines (digest of the last digest and the line), so that it can go
    on after a restart; ``fixed_horizon`` holds classical figures for the reader, which do not decide; ``marks`` is a time
    for each step. How long it was watched, the requests seen and the ticks without information are null in records of 0.1.
    ``undos`` is what it takes to put the traffic back where the revert took it from; none where nothing was written.
    """

    verdict: Verdict
    release: Release
    policy: Policy
    bounds_ms: tuple[float, ...]
    sample_digest: str
    fixed_horizon: Mapping[str, float | None] | None
    marks: tuple[TimedStep, ...]
    seconds: float | None = None
    canary_requests: int | None = None
    baseline_requests: int | None = None
    gaps: int | None = None
    undos: tuple[Undo, ...] = ()
    format: str = "verdictd.record/1"


class Cadence(msgspec.Struct, frozen=True, kw_only=True):
    """How far apart the samples of a release are and how late they come, as far as it was learnt from them, in seconds.

    Attributes:
        spacing_seconds: of the target that is scraped least often; 0: not known yet.
        late_seconds: the most that one took to be there; 0: not known yet.
        longest_seconds: samples that are older do not count (``stale_after_seconds``).
        ahead_seconds: how far our clock is ahead of the store's at least, where that is sure; less than 0: behind; 0: it is not.
    """

    spacing_seconds: float = 0.0
    late_seconds: float = 0.0
    longest_seconds: float = 0.0
    ahead_seconds: float = 0.0


class ReleaseView(msgspec.Struct, frozen=True, kw_only=True):
    """What the API shows of a release.

    ``unresolved`` says, a sentence each and while the release is watched, which of the policy's latency tolerances are finer than
    the latency buckets can tell, and where one more bound would help. ``fallback`` says from where its telemetry is read for now,
    and why not from where it should be; empty where it is. ``signals`` are what stands beside the counts now.
    ``on_promote`` is its policy's word, and ``waits_until`` until when a person's word is waited for, in seconds since 1970; null
    where none is. ``returns`` says to which version that was promoted before it goes back; empty where it does not, and once it is
    decided.
    ``owner`` is who writes the canary's routes by itself, as a controller or Git does; empty where nobody is known to.
    ``cadence`` is how far apart and how late its samples are, ``hindrances`` what keeps it from being judged, a sentence each with
    its cause; both while it is watched. ``window_seconds`` is the longest watch, null of a release that only its record tells of.
    ``after`` is the release after whose promotion it watches on. ``steps`` are given where the release is asked for by itself.
    Of an announcement without arms that waits for its canary, ``lapses_at`` is until when, in seconds since 1970, and ``missing``
    the fields that somebody must say, where time alone does not tell; null and none of a release.
    Of a release that 0.1 kept the record of, ``seconds``, requests and ``gaps`` are not known, and 0.
    """

    id: str
    release: Release
    stage: Stage
    submitted_at: float
    ticks: int = 0
    seconds: float = 0.0
    evidence: float = 1.0
    boundary: float | None = None
    waiting_for: str = ""
    canary_requests: int = 0
    baseline_requests: int = 0
    gaps: int = 0
    unresolved: tuple[str, ...] = ()
    owner: str = ""
    fallback: str = ""
    on_promote: Literal["promote", "wait"] = "promote"
    waits_until: float | None = None
    returns: str = ""
    signals: tuple[Signal, ...] = ()
    cadence: Cadence | None = None
    hindrances: tuple[str, ...] = ()
    window_seconds: float | None = None
    after: str | None = None
    lapses_at: float | None = None
    missing: tuple[str, ...] = ()
    steps: tuple[TimedStep, ...] = ()
    verdict: Verdict | None = None


class Said(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who (a person or a pipeline) says something about a running release, and why."""

    by: Text = "unknown"
    reason: Text = ""


class Freeze(msgspec.Struct, frozen=True, kw_only=True):
    """For a while nothing is taken back.

    Attributes:
        namespace: where; null: everywhere.
        by, reason: who has said so, and why.
        since: in seconds since 1970.
        until: likewise; null: until it is thawed.
    """

    namespace: str | None = None
    by: Text = "unknown"
    reason: Text = ""
    since: float
    until: float | None = None


AuditResult = Literal["accepted", "done", "failed", "blocked", "again", "ended"]


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that was said or done, for whoever has to account for it.

    Attributes:
        id: the same however often it is told.
        what: ``rollback``, ``promote``, ``cancel``, ``freeze`` and ``thaw`` are a person's words; ``revert`` is traffic that was to
            be taken back, ``guard`` the end of the time in which others undid that.
        result: of a word ``accepted``; of a revert ``done``, ``failed``, ``blocked``, or ``again``: somebody had undone it.
        by: the person's or caller's name, ``judge``, ``deadline``, or ``guard``.
        at: in seconds since 1970.
        reason: in a sentence; of what was done again, who had undone it, as far as that is known.
        namespace, service, release_id: empty where it is about all.
        owner: who writes the release's routes by itself; empty where nobody is known to.
        until: of a freeze, when it ends; null: when it is thawed.
        changes: of a revert each value as it was before the first and is since the last; of a failed one also what may be written.
    """

    id: str
    what: str
    result: AuditResult
    by: str
    at: float
    cluster: str
    reason: str = ""
    namespace: str = ""
    service: str = ""
    release_id: str = ""
    owner: str = ""
    until: float | None = None
    changes: tuple[Undo, ...] = ()
    format: Literal["verdictd.audit/1"] = "verdictd.audit/1"


class OpenQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody must say or mend before a release can be watched as it is meant.

    Attributes:
        id: the same for the same question, however often it is asked.
        about: of what it is asked, for people: ``VirtualService shop/web``, or who announced which service.
        namespace: where that is.
        question: what is asked.
        answer: how to answer it.
        annotations: of the object, any of which answers; none: no annotation does.
        fields: of an announcement of the release, which together answer; none: no announcement does.
        since: in seconds since 1970.
    """

    id: str
    about: str
    namespace: str
    question: str
    answer: str
    annotations: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    since: float


class Command(Said, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's (or pipeline's) word about a running release."""

    command: Literal["rollback", "promote", "cancel"]


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """A release whose counters are wanted at a tick.

    ``failures``: what its policy counts as a failed request; ``policy``: itself, where it is known. ``pods``: which pods its arms
    were when they were last looked for; null: nobody has said, and what the release itself says of its arms must do. ``alone``:
    only the canary is counted, and it does not matter whether there is a baseline.
    """

    release_id: str
    release: Release
    failures: Failures = Failures()
    policy: Policy | None = None
    pods: PodsByArm | None = None
    alone: bool = False


class ContainerEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a container ended that was to go on: in Kubernetes' word (``OOMKilled``), and when, in seconds since 1970."""

    pod: str
    container: str
    reason: str
    at: float


class ArmState(msgspec.Struct, frozen=True, kw_only=True):
    """How the pods of one arm are, as Kubernetes has it. Signs of trouble hold a promotion; they convict nobody.

    Attributes:
        pods: that there are and that stay, ready or not.
        ready: of them, those that are sent requests.
        restarts: how often their containers were started anew.
        troubles: what is wrong with some of them, as ``web-v2-0: CrashLoopBackOff``.
        ends: of those of their containers that were started anew, or are about to be, the last one.
    """

    pods: int
    ready: int
    restarts: int = 0
    troubles: tuple[str, ...] = ()
    ends: tuple[ContainerEnd, ...] = ()


class PodsState(msgspec.Struct, frozen=True, kw_only=True):
    """How the pods of both arms are."""

    baseline: ArmState
    canary: ArmState


class Reading(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What telemetry answers for one watch: counts since the last reading, or why there are none.

    ``bounds_ms`` are the finite upper bounds of the latency buckets, once they are known. A null arm with a ``gap`` is no
    information. ``at`` is the time of the newest raw counter used, in seconds since 1970. ``weight`` is the route's weight of the
    canary in percent, where it was looked at. ``pods`` is how the arms' pods are, where it is known. ``fallback`` says from where
    it was read, and why not from where it should be; empty where it was. ``signals`` are what stands beside the counts.
    ``cadence`` is null where proxies are read themselves, and where nothing was learnt.
    """

    seconds: float
    baseline: Arm | None = None
    canary: Arm | None = None
    bounds_ms: tuple[float, ...] | None = None
    gap: str | None = None
    at: float | None = None
    weight: float | None = None
    pods: PodsState | None = None
    fallback: str = ""
    signals: tuple[Signal, ...] = ()
    cadence: Cadence | None = None


def observed_share(counted: Reading | Sample) -> float | None:
    """The canary's part of the requests of a tick, those denied included, 0 to 1; null where there were none that were counted."""
    if counted.baseline is None or counted.canary is None:
        return None
    canary, baseline = (arm.requests + arm.denied for arm in (counted.canary, counted.baseline))
    return canary / (canary + baseline) if canary + baseline else None
