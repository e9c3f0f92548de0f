"""What a deployment's arms are, who stands behind them, and what is left to do to take its canary back. Pure.

The canary is the allocations of the deployment's version in the task groups that have canaries; the baseline is the others of these
groups. In other groups an allocation of the new version may be one that was updated where it stands.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

import msgspec

from daemon.errors import Refused
from daemon.meshes.nomad.api import Allocation, Deployment, JobVersion

_ENDED = frozenset({"complete", "failed", "lost"})
"""What a client says of an allocation that serves nobody any more."""

Step = Literal["fail", "revert"]


class Located(msgspec.Struct, frozen=True, kw_only=True):
    """The deployment that a release is, and goes on to be, whatever is registered later.

    Attributes:
        version: of the job.
        groups: the task groups that have canaries.
    """

    job: str
    deployment: str
    version: int
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The allocations of one task group.

    Attributes:
        canary, baseline: those that have not ended.
        canary_ready: those that Nomad has found healthy.
        baseline_ready: those that run and are not found unhealthy.
        is_sure: whether their clients all say so themselves.
    """

    group: str
    canary: int
    canary_ready: int
    baseline: int
    baseline_ready: int
    is_sure: bool

    @property
    def percent(self) -> float:
        """The canary's share of those that serve."""
        serving = self.canary_ready + self.baseline_ready
        return round(100.0 * self.canary_ready / serving, 2) if serving else 0.0


def located(deployment: Deployment) -> Located:
    """What is kept of it."""
    groups = deployment.task_groups or {}
    canaries = sorted(name for name, one in groups.items() if one.desired_canaries > 0)
    return Located(job=deployment.job_id, deployment=deployment.id, version=deployment.job_version, groups=tuple(canaries))


def is_under_way(deployment: Deployment) -> bool:
    """Whether it may still be failed."""
    match deployment.status:
        case "initializing" | "pending" | "running" | "paused" | "blocked" | "unblocking":
            return True
        case "failed" | "successful" | "cancelled":
            return False
        case _:
            assert_never(deployment.status)


def is_promoted(deployment: Deployment) -> bool:
    """Whether its canaries have become the version that serves, in one group or more."""
    return deployment.status == "successful" or any(one.promoted for one in (deployment.task_groups or {}).values())


def placed(deployment: Deployment) -> bool:
    """Whether a canary of it has been placed."""
    return any(one.placed_canaries for one in (deployment.task_groups or {}).values())


def standings(allocations: Iterable[Allocation], *, arms: Located) -> tuple[Standing, ...]:
    """Who stands behind the arms, group by group."""
    there = [one for one in allocations if one.client_status not in _ENDED]
    return tuple(_standing(group, [one for one in there if one.task_group == group], arms) for group in arms.groups)


def _standing(group: str, there: Sequence[Allocation], arms: Located) -> Standing:
    canary = [one for one in there if one.job_version == arms.version]
    # The canary of a later deployment is nobody to go back to.
    others = [
        one for one in there if one.job_version != arms.version and not (one.deployment_status and one.deployment_status.canary)
    ]
    return Standing(
        group=group,
        canary=len(canary),
        canary_ready=sum(_runs(one) and _health(one) is True for one in canary),
        baseline=len(others),
        baseline_ready=sum(_runs(one) and _health(one) is not False for one in others),
        is_sure=all(one.client_status != "unknown" for one in others),
    )


def _runs(one: Allocation) -> bool:
    return one.client_status == "running" and one.desired_status == "run"


def _health(one: Allocation) -> bool | None:
    return None if one.deployment_status is None else one.deployment_status.healthy


def harm(found: Iterable[Standing]) -> str | None:
    """Why the canaries must not be stopped, where that is sure."""
    for one in found:
        if not one.baseline_ready and one.is_sure:
            behind = f"none of its {one.baseline} is healthy" if one.baseline else "it has none"
            return (
                f"the baseline has no healthy allocations in group {one.group} ({behind}): stopping the canaries would leave "
                "nobody to answer"
            )
    return None


def account(found: Iterable[Standing]) -> str:
    """Who would serve, in a line."""
    return "; ".join(
        f"group {one.group}: {one.baseline_ready} healthy allocations (the canary has {one.canary_ready})" for one in found
    )


def next_step(deployment: Deployment, job: JobVersion) -> Step | None:
    """What is left to do; null where that is nothing.

    A job that has gone on to another version, by somebody's hand or Nomad's own, is left alone: to fail its deployment now could
    put the job back over the newer version.

    Raises:
        Refused: it has been promoted.
    """
    if job.version != deployment.job_version or job.stop:
        return None
    if is_promoted(deployment):
        raise Refused(
            f"deployment {deployment.id} of version {deployment.job_version} has been promoted: Nomad stops what it replaces, "
            f"and an earlier version would have to be rolled out anew (nomad job revert {deployment.job_id} VERSION)"
        )
    if is_under_way(deployment):
        return "fail"
    return "revert" if deployment.status == "failed" else None


def version_before(versions: Iterable[JobVersion], allocations: Iterable[Allocation], *, arms: Located) -> int:
    """Which version of the job is put in the canary's place: the last that was stable, else the one that serves.

    Raises:
        Refused: there is neither.
    """
    stable = [one.version for one in versions if one.stable and one.version < arms.version]
    serving = [one.job_version for one in allocations if _runs(one) and one.job_version < arms.version]
    if not (found := stable or serving):
        raise Refused(
            f"job {arms.job} stays at version {arms.version}, whose canaries are stopped: no earlier version is stable or runs; "
            "register the one that is meant"
        )
    return max(found)
