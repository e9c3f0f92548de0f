"""What the doctor says of a release's routes where it needs no cluster to say it."""

from dataclasses import replace
from typing import Literal

import msgspec
import pytest

from config.policy import Policy
from config.settings import PrometheusTelemetry, Settings
from daemon.doctor import routes
from daemon.doctor.diagnosis import Code
from daemon.doctor.routes import Case
from daemon.engine.dependencies import MeshCluster
from daemon.meshes import registry
from daemon.meshes.istio.mesh import ISTIO
from daemon.meshes.kind import MeshKind
from daemon.meshes.unsteered import UnsteeredRouter
from daemon.model import ArmSpec, Release
from tests.hand.ports import HandRouter

RELEASE = Release(service="web", namespace="shop", baseline=ArmSpec(service="web-v1"), canary=ArmSpec(service="web-v2"))
UNSTEERED = [kind for kind in registry.BUILT_IN if kind.router is None]


def case(kind: MeshKind, mode: Literal["enforce", "observe"]) -> Case:
    return Case(release=RELEASE, mesh_name="m", mesh=kind.settings(telemetry="t"), policy=Policy(mode=mode))


@pytest.mark.parametrize("kind", UNSTEERED, ids=lambda kind: kind.name)
async def test_a_mesh_that_is_observed_only_is_noted_as_that_and_not_as_one_whose_revert_is_blocked(kind: MeshKind) -> None:
    [one] = (await routes.examine(case(kind, "observe"), {}, seconds=1.0)).diagnoses
    assert (one.code, one.severity, one.fix) == (Code.OBSERVED_ONLY, "note", "")
    assert one.found.startswith(f"routes of {kind.name} are not steered by this version")
    assert one.found.endswith("its verdict is told, and nothing is taken back")


async def test_a_policy_that_enforces_on_it_would_be_refused_at_the_door() -> None:
    [one] = (await routes.examine(case(UNSTEERED[0], "enforce"), {}, seconds=1.0)).diagnoses
    assert (one.code, one.severity) == (Code.REFUSED, "fault")
    assert one.fix == "name a policy whose mode is observe (policies.default.mode is enforce)"


@pytest.mark.parametrize(
    ("mode", "code", "more"),
    [("observe", Code.OBSERVED_ONLY, 1), ("enforce", Code.REFUSED, 0)],
)
async def test_a_change_of_the_mesh_has_pods_and_no_route(mode: Literal["enforce", "observe"], code: Code, more: int) -> None:
    release = msgspec.structs.replace(RELEASE, strategy="pods")
    there = {"test": MeshCluster(router=HandRouter(), pods=UnsteeredRouter(kind="pods"))}
    [one] = (await routes.examine(replace(case(ISTIO, mode), release=release), there, seconds=5.0)).diagnoses
    assert (one.code, len(one.more)) == (code, more)
    assert one.found.startswith("by the strategy pods no route tells the arms apart: its releases are observed only")


async def test_arms_that_are_pods_on_a_mesh_that_knows_none_are_told() -> None:
    release = msgspec.structs.replace(RELEASE, strategy="pods")
    there = {"test": MeshCluster(router=HandRouter())}
    [one] = (await routes.examine(replace(case(ISTIO, "observe"), release=release), there, seconds=5.0)).diagnoses
    assert (one.code, "the mesh's pods are not known here" in one.found) == (Code.NO_ROUTE, True)


def test_a_release_that_is_only_observed_is_examined_as_one_whatever_its_policy_does() -> None:
    telemetry = PrometheusTelemetry(url="http://127.0.0.1:9090", dialect="istio")
    settings = Settings(telemetry={"t": telemetry}, meshes={"m": ISTIO.settings(telemetry="t")})
    release = msgspec.structs.replace(RELEASE, mesh="m")
    assert routes.case_of(settings, release).policy.mode == "enforce"
    assert routes.case_of(settings, msgspec.structs.replace(release, observe=True)).policy.mode == "observe"
