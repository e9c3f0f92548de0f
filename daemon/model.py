"""The words of the design as frozen structs: release, verdict, decision record. One JSON form each.

``Sample``, ``Finding`` and ``Ruling`` belong to the judge (``analyzers``); their field names are the wire format too.
What is measured of a release is in ``daemon.measurements``, what people say of it in ``daemon.interventions``, what the API shows
of it in ``daemon.releaseview``.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from analyzers.counts import Signal
from analyzers.reference import Reference
from analyzers.ruling import Finding
from config import urls
from config.policy import Policy
from daemon.placement import Undo

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
