"""A release as the daemon would meet it: would it be taken, which routes and pods are there, and who serves if it goes back?"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from config.policy import Policy
from config.settings import Mesh, Settings
from daemon import names
from daemon.armpods import PodsByArm
from daemon.doctor import gitowned
from daemon.doctor.diagnosis import Code, Diagnosis
from daemon.engine import fanout, strategies
from daemon.engine.dependencies import MeshCluster, clusters_of
from daemon.errors import Blocked, InvalidInput, NotFound, TimedOut, VerdictdError
from daemon.meshes.kind import ExaminedRouter
from daemon.meshes.registry import why_observed_only
from daemon.model import Release
from daemon.placement import Placement
from daemon.telemetry.identification import NO_POD


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A release that is examined.

    Attributes:
        name: ``shop/web``.
        mesh_name: in the settings.
        policy: by which it would be judged.
    """

    release: Release
    mesh_name: str
    mesh: Mesh
    policy: Policy

    @property
    def name(self) -> str:
        """For a person."""
        return f"{self.release.namespace}/{self.release.service}"


def case_of(settings: Settings, release: Release) -> Case:
    """A release with its mesh and its policy.

    Raises:
        InvalidInput: the settings have none that it names.
    """
    name = names.mesh(release.mesh, configured=settings.meshes)
    policies = {"default": Policy(), **settings.policies}
    if release.policy not in policies:
        fix = f"use one of: {', '.join(sorted(policies))}"
        raise InvalidInput(f"no policy {release.policy!r}", path="$.policy", fix=fix)
    policy = policies[release.policy]
    if release.observe:
        policy = msgspec.structs.replace(policy, mode="observe")
    return Case(release=release, mesh_name=name, mesh=settings.meshes[name], policy=policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """What was found of a case's routes and pods. ``pods`` is null where nobody knows them."""

    diagnoses: list[Diagnosis] = field(default_factory=list)
    pods: PodsByArm | None = None


async def examine(case: Case, clusters: Mapping[str, MeshCluster], *, seconds: float) -> Placed:
    """Where the canary gets traffic from, in all clusters. ``seconds``: how long it may take."""
    strategy = case.release.strategy
    without_routes = strategies.observed_only(strategy)
    reason = why_observed_only(case.mesh) or without_routes
    if reason and (not without_routes or case.policy.mode == "enforce"):
        return Placed(diagnoses=[_observed_only(case, reason)])
    try:
        async with asyncio.timeout(seconds):
            clusters = clusters_of(clusters, strategy)
            placement = await fanout.locate(clusters, case.release)
            home, *_ = clusters.values()
            if without_routes:
                found = [_observed_only(case, reason, more=(placement.baseline,))]
            else:
                found = [_route(case, placement), *await _baseline(case, home, placement)]
                found += await gitowned.examine(placement.routes, clusters, where=case.name, seconds=fanout.OWNER_SECONDS)
    except TimeoutError:
        return Placed(diagnoses=[_unknown(case, TimedOut(f"the routes could not be read within {seconds:g} s"))])
    except (NotFound, InvalidInput) as error:
        fix = "correct route, service, baseline or canary of the release, or make the route; without one nothing can be taken back"
        return Placed(diagnoses=[Diagnosis(code=Code.NO_ROUTE, where=case.name, found=str(error), fix=fix)])
    except VerdictdError as error:
        return Placed(diagnoses=[_unknown(case, error)])
    return Placed(diagnoses=[*found, *_pods(case, placement.pods)], pods=placement.pods)


async def examine_mesh(name: str, clusters: Mapping[str, MeshCluster], *, seconds: float) -> list[Diagnosis]:
    """What is behind a mesh that is in no cluster. ``seconds``: how long it may take."""
    where = f"meshes.{name}"
    home, *_ = clusters.values()
    if not isinstance(home.router, ExaminedRouter):
        said = "its routes were not asked for: that takes a release (--release)"
        return [Diagnosis(code=Code.MESH, where=where, found=said)]
    try:
        async with asyncio.timeout(seconds):
            return [Diagnosis(code=Code.MESH, where=where, found=await home.router.examine())]
    except TimeoutError:
        said = f"it could not be read within {seconds:g} s"
    except VerdictdError as error:
        said = str(error)
    fix = f"correct what {where} names, and let this machine read it: without it nothing can be taken back"
    return [Diagnosis(code=Code.MESH_UNREACHABLE, where=where, found=said, fix=fix)]


def _observed_only(case: Case, reason: str, *, more: tuple[str, ...] = ()) -> Diagnosis:
    """Of what is not steered: no route is looked for, and there is no revert that could be blocked."""
    if case.policy.mode == "observe":
        found = f"{reason}; its verdict is told, and nothing is taken back"
        return Diagnosis(code=Code.OBSERVED_ONLY, where=case.name, found=found, more=more)
    fix = f"name a policy whose mode is observe (policies.{case.release.policy}.mode is {case.policy.mode})"
    return Diagnosis(code=Code.REFUSED, where=case.name, found=reason, fix=fix)


def _route(case: Case, placement: Placement) -> Diagnosis:
    lines = tuple(str(route) for route in placement.routes)
    said = f"the canary gets at most {placement.canary_percent:g} % of the traffic, through {len(lines)} places"
    return Diagnosis(
        code=Code.ROUTE, where=case.name, found=said, more=(*lines, *([placement.baseline] if placement.baseline else []))
    )


async def _baseline(case: Case, home: MeshCluster, placement: Placement) -> list[Diagnosis]:
    """Who would serve if the traffic went back now."""
    try:
        await home.router.check_baseline(case.release, located=placement.located)
    except Blocked as error:
        fix = "bring the baseline's pods back, or correct the selector of its Service or the labels of its subset"
        return [Diagnosis(code=Code.NO_BASELINE, where=case.name, found=f"a revert would be blocked: {error}", fix=fix)]
    return []


def _pods(case: Case, pods: PodsByArm | None) -> list[Diagnosis]:
    """Arms whose pods are known to be none, or not known at all."""
    found = []
    for name, arm in (("baseline", pods.baseline), ("canary", pods.canary)) if pods is not None else ():
        chosen = ", ".join(f"{key}={value}" for key, value in sorted(arm.labels.items()))
        if arm.pods is None:
            said = f"{name}: which pods it is is not known: {arm.unknown}"
            fix = "give the right that is missing, or name the workloads in the release; its own words are believed until then"
            found.append(Diagnosis(code=Code.ARMS_BY_NAME, where=case.name, found=said, fix=fix))
        elif not arm.pods:
            said = f"{name}: {NO_POD}" + (f" (chosen by {chosen})" if chosen else "")
            fix = "correct the selector of its Service, or the labels of its subset, so that they choose its pods"
            found.append(Diagnosis(code=Code.ARM_WITHOUT_PODS, where=case.name, found=said, fix=fix))
    return found


def _unknown(case: Case, error: VerdictdError) -> Diagnosis:
    fix = "mend what is said of its cluster first"
    return Diagnosis(code=Code.NOT_EXAMINED, where=case.name, found=f"its routes are not known: {error}", fix=fix)
