"""Nomad's router: the canary is taken back by failing its deployment, which stops its allocations.

There is no weight to write: behind one name each instance gets its part, so the canary's share is that of its allocations. Nomad
belongs to this seam and not to the owners of routes, who are told before the routes are patched: where Consul's entries split
the traffic, a canary that is stopped before its split is at 0 leaves that split without anybody, and its share is errors.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

from daemon.errors import Blocked, Conflict, InvalidInput, NotFound, Refused, VerdictdError
from daemon.meshes.kuberoutes import decode, encode
from daemon.meshes.nomad import deployments
from daemon.meshes.nomad.api import Deployment, NomadApi
from daemon.meshes.nomad.deployments import Located, Standing, Step
from daemon.meshes.nomad.mesh import NomadMesh
from daemon.meshes.references import largest_percent, nearest
from daemon.model import Release
from daemon.placement import (
    ObjectName,
    PatchedObject,
    PatchReceipt,
    Placement,
    PlannedObject,
    RouteChange,
    RouteReference,
    Undo,
    ValueChange,
    split_percent,
)

_CONFLICTS = 8
"""How often a deployment or a job that somebody else has changed meanwhile is looked at anew at once."""
_STEPS: tuple[Step, ...] = ("fail", "revert")
_NOT_REVIVED = "a deployment that has failed is not revived: run the job anew"


class NomadRouter:
    """The deployments of one Nomad. Implements ``TrafficRouter``, ``RouteEditor`` and ``RouteFollower``.

    Args:
        settings: where it is.
        setting: where that stands in the settings.
    """

    def __init__(self, settings: NomadMesh, *, setting: str) -> None:
        self._api = NomadApi(settings, setting=setting)
        self._namespace = settings.namespace or ""

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def locate(self, release: Release) -> Placement:
        """See ``TrafficRouter.locate``. ``release.route`` must be the name of the job."""
        deployment = await self._running(release)
        arms = deployments.located(deployment)
        found = await self._standings(arms)
        if (harm := deployments.harm(found)) is not None:
            raise NotFound(harm)
        routes = self._references(arms, found)
        return Placement(
            routes=routes,
            canary_percent=largest_percent(routes),
            baseline=deployments.account(found),
            located=encode(arms),
            elsewhere=tuple(
                f"task group {name} of version {arms.version}, which is rolled out without canaries"
                for name in sorted(deployment.task_groups or {})
                if name not in arms.groups
            ),
        )

    async def check_baseline(self, release: Release, *, located: str = "") -> str:
        """See ``TrafficRouter.check_baseline``: by the allocations that Nomad has now."""
        found = await self._standings(await self._arms(release, located))
        if (harm := deployments.harm(found)) is not None:
            raise Blocked(harm)
        return deployments.account(found)

    async def revert(self, release: Release, *, located: str = "") -> PatchReceipt:
        """See ``TrafficRouter.revert``: the deployment, and then the job, where Nomad has not put it back itself."""
        arms = await self._arms(release, located)
        parts: list[PatchedObject] = []
        for step in _STEPS:
            if (part := await self._taken(step, arms)) is None:
                continue
            parts.append(part)
            if part.failure is not None:
                break
        nothing = f"job {arms.job} has gone on from version {arms.version}, or its deployment was ended"
        return PatchReceipt.of(parts, nothing=nothing, now=time.time())

    async def plan(self, release: Release, *, located: str = "") -> tuple[PlannedObject, ...]:
        """See ``RouteEditor.plan``."""
        arms = await self._arms(release, located)
        deployment, step = await self._left(arms)
        if step is None:
            return ()
        found = []
        if step == "fail":
            values = (ValueChange(path="/Status", before=f'"{deployment.status}"', after='"failed"'),)
            found.append(PlannedObject(object=_name(arms), changes=(_FAILED,), values=values))
        if step == "revert" or not _reverts_itself(deployment):
            found.append(await self._planned_job(arms))
        return tuple(found)

    async def plan_restore(self, undos: Sequence[Undo]) -> tuple[PlannedObject, ...]:
        """See ``RouteEditor.plan_restore``: nothing can be."""
        return tuple(PlannedObject(object=one.object, failure=Refused(_NOT_REVIVED), cluster=one.cluster) for one in undos)

    async def restore(self, undos: Sequence[Undo]) -> tuple[PatchedObject, ...]:
        """See ``RouteEditor.restore``: nothing can be."""
        now = time.time()
        refused = partial(PatchedObject, failure=Refused(_NOT_REVIVED), sent_at=now, acknowledged_at=now)
        return tuple(refused(object=one.object) for one in undos)

    async def canary_gets_traffic(self, release: Release, *, located: str = "") -> str | None:
        """See ``TrafficRouter.canary_gets_traffic``: until each of its allocations has ended, by its client's own word."""
        arms = await self._arms(release, located)
        still = [f"group {one.group}: {one.canary} allocations" for one in await self._standings(arms) if one.canary]
        return f"version {arms.version} of job {arms.job} has not been stopped in {'; '.join(still)}" if still else None

    async def examine(self) -> str:
        """See ``ExaminedRouter.examine``: jobs can be read."""
        return f"{len(await self._api.jobs())} jobs can be read"

    async def follow(self, changed: Callable[[], None]) -> None:
        """See ``RouteFollower.follow``: its shares are asked for, since they change with the health of instances."""
        await asyncio.Event().wait()

    async def weight(self, release: Release, *, located: str = "") -> float | None:
        """See ``RouteFollower.weight``: the share of the canary's healthy allocations."""
        before = decode(located, kind=Located)
        if before is None:
            raise NotFound("its deployment has not been located")
        return split_percent(self._references(before, await self._standings(before)))

    async def _arms(self, release: Release, located: str) -> Located:
        """The arms during a revert: as they were located, and else the deployment that is under way now."""
        before = decode(located, kind=Located)
        return deployments.located(await self._running(release)) if before is None else before

    async def _running(self, release: Release) -> Deployment:
        """The deployment with canaries that is under way. Raises ``NotFound`` where there is none."""
        job = _job_of(release)
        deployment = await self._api.latest_deployment(job)
        if deployment is None:
            known = await self._api.jobs()
            if job not in known:
                raise NotFound(f"there is no job {job!r} ({nearest(job, known)})")
            raise NotFound(f"job {job} has no deployment")
        said = f"the latest deployment of job {job}, {deployment.id} of version {deployment.job_version},"
        if not deployments.is_under_way(deployment):
            raise NotFound(f"{said} is {deployment.status} ({deployment.status_description})")
        if deployments.is_promoted(deployment):
            raise NotFound(f"{said} has been promoted")
        if not deployments.placed(deployment):
            raise NotFound(f"{said} has placed no canary")
        return deployment

    async def _standings(self, arms: Located) -> tuple[Standing, ...]:
        return deployments.standings(await self._api.allocations(arms.job), arms=arms)

    async def _left(self, arms: Located) -> tuple[Deployment, Step | None]:
        """The deployment, and what is left to do."""
        deployment = await self._api.deployment(arms.deployment)
        return deployment, deployments.next_step(deployment, await self._api.job(arms.job))

    async def _taken(self, step: Step, arms: Located) -> PatchedObject | None:
        """Take one step, where it is the one that is left; look anew where somebody else was faster."""
        conflicts = 0
        name = _name(arms) if step == "fail" else self._job(arms)
        while True:
            part = partial(PatchedObject, object=name, sent_at=time.time())
            try:
                if (await self._left(arms))[1] != step:
                    return None
                part = partial(PatchedObject, object=name, sent_at=time.time())
                change = await self._failed(arms) if step == "fail" else await self._put_back(arms)
                return part(changes=(change,), acknowledged_at=time.time())
            except VerdictdError as error:
                if not isinstance(error, Conflict) or conflicts == _CONFLICTS:
                    return part(failure=error, acknowledged_at=time.time())
                conflicts += 1

    async def _failed(self, arms: Located) -> RouteChange:
        await self._api.fail(arms.deployment)
        return _FAILED

    async def _put_back(self, arms: Located) -> RouteChange:
        version = await self._version_before(arms)
        await self._api.revert(arms.job, version=version, prior=arms.version)
        return _put_back(version, arms)

    async def _planned_job(self, arms: Located) -> PlannedObject:
        try:
            return PlannedObject(object=self._job(arms), changes=(_put_back(await self._version_before(arms), arms),))
        except VerdictdError as error:
            return PlannedObject(object=self._job(arms), failure=error)

    async def _version_before(self, arms: Located) -> int:
        versions, allocations = await self._api.versions(arms.job), await self._api.allocations(arms.job)
        return deployments.version_before(versions, allocations, arms=arms)

    def _references(self, arms: Located, found: Sequence[Standing]) -> tuple[RouteReference, ...]:
        return tuple(
            RouteReference(object=self._job(arms), kind="weight", percent=one.percent, place=f"group {one.group}") for one in found
        )

    def _job(self, arms: Located) -> ObjectName:
        return ObjectName(kind="job", name=arms.job, namespace=self._namespace)


_FAILED = RouteChange(detail="the deployment is failed, which stops its canaries")


def _name(arms: Located) -> ObjectName:
    return ObjectName(kind="deployment", name=arms.deployment)


def _put_back(version: int, arms: Located) -> RouteChange:
    return RouteChange(detail=f"version {arms.version} -> what version {version} was")


def _reverts_itself(deployment: Deployment) -> bool:
    return any(one.auto_revert for one in (deployment.task_groups or {}).values())


def _job_of(release: Release) -> str:
    """The job that a release is of. Raises ``InvalidInput`` where it is not clear."""
    named = {one.workload for one in (release.baseline, release.canary) if one.workload is not None}
    if len(named) > 1:
        both = f"baseline and canary are of different jobs ({', '.join(sorted(named))})"
        raise InvalidInput(both, path="$.canary.workload", fix="name one job: they are two versions of it")
    job = named.pop() if named else release.service
    if release.route not in (None, job):
        raise NotFound(f"the route {release.route!r} is not the job {job!r}")
    return job
