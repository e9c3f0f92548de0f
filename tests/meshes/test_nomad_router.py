"""Nomad's router against a small Nomad that answers as an agent was seen to: what is located, failed, put back, and left alone."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from daemon.engine.reverting import TRAFFIC_LEFT
from daemon.errors import (
    Blocked,
    Conflict,
    Failing,
    Forbidden,
    InvalidInput,
    NotFound,
    Refused,
    TimedOut,
    Unreadable,
    VerdictdError,
)
from daemon.meshes.nomad.mesh import NomadMesh
from daemon.meshes.nomad.router import NomadRouter
from daemon.model import Action, ArmSpec, Release
from daemon.placement import ObjectName, Undo
from tests.hand.procedures import reverting
from tests.hand.servers import Answer, says, silence
from tests.meshes.nomads import TOKEN, Nomad, running

RELEASE = Release(service="web", baseline=ArmSpec(), canary=ArmSpec())


@pytest_asyncio.fixture
async def nomad() -> AsyncIterator[Nomad]:
    """Two allocations of version 0, and a healthy canary of version 1."""
    async with running(Nomad()) as one:
        one.serves()
        one.registers()
        yield one


@contextlib.asynccontextmanager
async def router_of(nomad: Nomad, **more: Any) -> AsyncIterator[NomadRouter]:
    made = NomadRouter(NomadMesh(telemetry="", address=nomad.url, **more), setting="meshes.m")
    try:
        yield made
    finally:
        await made.close()


async def located(routes: NomadRouter) -> str:
    return (await routes.locate(RELEASE)).located


async def test_a_canary_is_located_by_its_deployment_with_its_share_of_the_allocations(nomad: Nomad) -> None:
    async with router_of(nomad) as routes:
        placement = await routes.locate(RELEASE)
        weight = await routes.weight(RELEASE, located=placement.located)
    assert [str(one) for one in placement.routes] == ["web group web: 33.33 % of the traffic"]
    assert placement.canary_percent == weight == 33.33
    assert placement.baseline == "group web: 2 healthy allocations (the canary has 1)"
    assert placement.elsewhere == ()


async def test_a_task_group_that_is_rolled_out_without_canaries_is_named(nomad: Nomad) -> None:
    nomad.registers(groups=("worker",))
    async with router_of(nomad) as routes:
        placement = await routes.locate(RELEASE)
    assert placement.elsewhere == ("task group worker of version 2, which is rolled out without canaries",)


@pytest.mark.parametrize("workload", [ArmSpec(workload="web"), ArmSpec()])
async def test_the_job_is_the_workload_or_else_the_service(nomad: Nomad, workload: ArmSpec) -> None:
    service = "front" if workload.workload else "web"
    async with router_of(nomad) as routes:
        placement = await routes.locate(Release(service=service, baseline=workload, canary=workload, route="web"))
    assert placement.canary_percent == 33.33


@pytest.mark.parametrize(
    ("release", "kind", "words"),
    [
        (Release(service="wbe", baseline=ArmSpec(), canary=ArmSpec()), NotFound, "there is no job 'wbe' .*did you mean web?"),
        (
            Release(service="web", baseline=ArmSpec(workload="web"), canary=ArmSpec(workload="api")),
            InvalidInput,
            r"different jobs \(api, web\)",
        ),
        (Release(service="web", baseline=ArmSpec(), canary=ArmSpec(), route="api"), NotFound, "'api' is not the job 'web'"),
    ],
)
async def test_a_job_that_is_not_there_or_not_clear_is_told(
    nomad: Nomad, release: Release, kind: type[VerdictdError], words: str
) -> None:
    async with router_of(nomad) as routes:
        with pytest.raises(kind, match=words):
            await routes.locate(release)


def _ended(nomad: Nomad) -> None:
    nomad.latest["Status"] = "failed"


def _again(nomad: Nomad) -> None:
    nomad.registers()


def _unplaced(nomad: Nomad) -> None:
    nomad.latest["TaskGroups"]["web"]["PlacedCanaries"] = None


def _without_baseline(nomad: Nomad) -> None:
    nomad.stops(lambda one: one["JobVersion"] == 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_ended, "is failed"),
        (_unplaced, "has placed no canary"),
        (lambda nomad: nomad.promotes(whole=False), "has been promoted"),
        (lambda nomad: nomad.deployments.clear(), "has no deployment"),
        (_without_baseline, "no healthy allocations in group web .none of its 2 is healthy"),
    ],
)
async def test_what_is_no_canary_beside_a_baseline_is_not_found(nomad: Nomad, change: Callable[[Nomad], None], words: str) -> None:
    change(nomad)
    async with router_of(nomad) as routes:
        with pytest.raises(NotFound, match=words):
            await routes.locate(RELEASE)


async def test_without_auto_revert_the_deployment_is_failed_and_the_job_put_back(nomad: Nomad) -> None:
    async with router_of(nomad) as routes:
        receipt = await routes.revert(RELEASE, located=await located(routes))
    assert nomad.latest["Status"] == "failed"
    assert (nomad.version, nomad.versions[-1]["Stable"]) == (2, True)
    assert [one.object.kind for one in receipt.parts] == ["deployment", "job"]
    assert str(receipt).endswith("the deployment is failed, which stops its canaries; web: version 1 -> what version 0 was")


async def test_with_auto_revert_nomad_puts_the_job_back_and_nothing_more_is_written(nomad: Nomad) -> None:
    nomad.auto_revert = True
    nomad.registers()
    async with router_of(nomad) as routes:
        receipt = await routes.revert(RELEASE, located=await located(routes))
    assert [one.object.kind for one in receipt.parts] == ["deployment"]
    assert [one for one in nomad.requests if one.startswith("PUT")] == [f"PUT /v1/deployment/fail/{nomad.latest['ID']}"]
    assert nomad.version == 3


async def test_the_canary_gets_traffic_until_its_allocations_are_stopped(nomad: Nomad) -> None:
    async with router_of(nomad) as routes:
        words = await located(routes)
        await routes.revert(RELEASE, located=words)
        still = await routes.canary_gets_traffic(RELEASE, located=words)
        nomad.stopped()
        assert await routes.canary_gets_traffic(RELEASE, located=words) is None
        assert await routes.check_baseline(RELEASE, located=words) == "group web: 2 healthy allocations (the canary has 0)"
    assert still == "version 1 of job web has not been stopped in group web: 1 allocations"


async def test_a_revert_by_the_daemons_own_procedure_ends_when_the_canary_is_stopped(nomad: Nomad) -> None:
    async with router_of(nomad) as routes:
        words = await located(routes)
        nomad.before["PUT job/web/revert"] = nomad.stopped
        outcome = await reverting(confirm_seconds=0.5, revert_attempts=2).run(routes, RELEASE, located=words)
    assert outcome.action is Action.REVERT
    assert outcome.steps[-1].step == TRAFFIC_LEFT


async def test_a_second_revert_finds_nothing_left(nomad: Nomad) -> None:
    async with router_of(nomad) as routes:
        words = await located(routes)
        await routes.revert(RELEASE, located=words)
        again = await routes.revert(RELEASE, located=words)
    assert not again.changed
    assert str(again) == "job web has gone on from version 1, or its deployment was ended"


async def test_a_deployment_that_nomad_has_failed_itself_leaves_the_job_to_be_put_back(nomad: Nomad) -> None:
    async with router_of(nomad) as routes:
        words = await located(routes)
        nomad.latest["Status"] = "failed"
        receipt = await routes.revert(RELEASE, located=words)
    assert [one.object.kind for one in receipt.parts] == ["job"]
    assert nomad.version == 2


async def test_one_that_somebody_fails_meanwhile_is_no_failure(nomad: Nomad) -> None:
    async with router_of(nomad) as routes:
        words = await located(routes)
        nomad.before[f"PUT deployment/fail/{nomad.latest['ID']}"] = lambda: _ended(nomad)
        receipt = await routes.revert(RELEASE, located=words)
    assert [(one.object.kind, one.failure) for one in receipt.parts] == [("job", None)]


async def test_a_job_that_somebody_registers_meanwhile_is_left_to_them(nomad: Nomad) -> None:
    async with router_of(nomad) as routes:
        words = await located(routes)
        nomad.before["PUT job/web/revert"] = lambda: _again(nomad)
        receipt = await routes.revert(RELEASE, located=words)
    assert [one.object.kind for one in receipt.parts] == ["deployment"]
    assert (nomad.version, nomad.latest["Status"]) == (2, "running")


async def test_a_later_deployment_of_the_job_is_not_failed_for_an_earlier_one(nomad: Nomad) -> None:
    async with router_of(nomad) as routes:
        words = await located(routes)
        nomad.registers()
        receipt = await routes.revert(RELEASE, located=words)
    assert not receipt.changed
    assert nomad.latest["Status"] == "running"


@pytest.mark.parametrize("whole", [True, False])
async def test_one_that_has_been_promoted_is_refused(nomad: Nomad, whole: bool) -> None:
    async with router_of(nomad) as routes:
        words = await located(routes)
        nomad.promotes(whole=whole)
        with pytest.raises(Refused, match=r"has been promoted.*nomad job revert web VERSION"):
            await routes.revert(RELEASE, located=words)
        with pytest.raises(Refused, match="has been promoted"):
            await routes.plan(RELEASE, located=words)
    assert not [one for one in nomad.requests if one.startswith("PUT")]


async def test_a_plan_says_what_a_revert_would_do_and_writes_nothing(nomad: Nomad) -> None:
    async with router_of(nomad) as routes:
        words = await located(routes)
        first = await routes.plan(RELEASE, located=words)
        assert not [one for one in nomad.requests if one.startswith("PUT")]
        nomad.latest["TaskGroups"]["web"]["AutoRevert"] = True
        by_itself = await routes.plan(RELEASE, located=words)
        nomad.latest["Status"] = "failed"
        nomad.versions[0]["Stable"] = False
        _without_baseline(nomad)
        (nowhere,) = await routes.plan(RELEASE, located=words)
        nomad.latest["Status"] = "cancelled"
        assert await routes.plan(RELEASE, located=words) == ()
    assert [(one.object.kind, str(one.changes[0])) for one in first] == [
        ("deployment", "the deployment is failed, which stops its canaries"),
        ("job", "version 1 -> what version 0 was"),
    ]
    assert [one.object.kind for one in by_itself] == ["deployment"]
    assert "no earlier version is stable or runs" in str(nowhere.failure)


async def test_a_job_that_cannot_be_put_back_is_told_beside_the_deployment_that_was_failed(nomad: Nomad) -> None:
    async with router_of(nomad) as routes:
        words = await located(routes)
        nomad.faults["PUT job/web/revert"] = [says("No cluster leader", status=500)]
        receipt = await routes.revert(RELEASE, located=words)
    assert [type(one.failure) for one in receipt.parts] == [type(None), Failing]
    assert nomad.latest["Status"] == "failed"


async def test_who_changes_it_all_the_time_is_given_up_on_for_now(nomad: Nomad) -> None:
    async with router_of(nomad) as routes:
        words = await located(routes)
        name = f"PUT deployment/fail/{nomad.latest['ID']}"
        nomad.faults[name] = [says("can't fail terminal deployment", status=500)] * 9
        with pytest.raises(Conflict):
            await routes.revert(RELEASE, located=words)
        assert not nomad.faults[name]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (says("deployment not found", status=500), NotFound),
        (says("Permission denied", status=500), Forbidden),
        (says("Permission denied", status=403), Forbidden),
        (says("No cluster leader", status=500), Failing),
        (says({"ID": 7}), Unreadable),
        (says("{"), Unreadable),
        (silence(), TimedOut),
    ],
)
async def test_its_words_tell_what_a_500_means(nomad: Nomad, answer: Answer, kind: type[VerdictdError]) -> None:
    async with router_of(nomad, request_timeout_seconds=20.0) as routes:
        words = await located(routes)
    async with router_of(nomad, request_timeout_seconds=0.2 if kind is TimedOut else 20.0) as routes:
        nomad.faults[f"GET deployment/{nomad.latest['ID']}"] = [answer]
        with pytest.raises(kind):
            await routes.revert(RELEASE, located=words)


async def test_nobody_behind_the_baseline_blocks(nomad: Nomad) -> None:
    async with router_of(nomad) as routes:
        words = await located(routes)
        _without_baseline(nomad)
        with pytest.raises(Blocked, match="would leave nobody to answer"):
            await routes.check_baseline(RELEASE, located=words)


async def test_a_token_stands_in_nomads_own_header_and_is_never_told(nomad: Nomad, tmp_path: Path) -> None:
    nomad.acl = True
    (tmp_path / "token").write_text(TOKEN)
    async with router_of(nomad, token_file=str(tmp_path / "token"), region="eu", namespace="shop") as routes:
        placement = await routes.locate(RELEASE)
        nomad.rights = frozenset({"read-job"})
        nomad.faults[f"PUT deployment/fail/{nomad.latest['ID']}"] = [says(f"no {TOKEN}", status=403)]
        with pytest.raises(Forbidden) as told:
            await routes.revert(RELEASE, located=placement.located)
    assert str(placement.routes[0].object) == "shop/web"
    assert all(one.endswith("?region=eu&namespace=shop") for one in nomad.requests)
    assert all(one["X-Nomad-Token"] == TOKEN and "Authorization" not in one for one in nomad.headers)
    assert TOKEN not in str(told.value)


async def test_without_a_token_what_is_missing_is_said(nomad: Nomad) -> None:
    nomad.acl = True
    async with router_of(nomad) as routes:
        with pytest.raises(Forbidden, match=r"meshes\.m\.token_file"):
            await routes.examine()
        nomad.acl = False
        assert await routes.examine() == "1 jobs can be read"


async def test_nothing_of_it_is_put_back(nomad: Nomad) -> None:
    undo = Undo(object=ObjectName(kind="deployment", name="d"), values=())
    async with router_of(nomad) as routes:
        (planned,), (restored,) = await routes.plan_restore([undo]), await routes.restore([undo])
    assert isinstance(planned.failure, Refused)
    assert isinstance(restored.failure, Refused)


async def test_what_was_not_located_is_the_deployment_that_is_under_way(nomad: Nomad) -> None:
    async with router_of(nomad) as routes:
        with pytest.raises(NotFound, match="has not been located"):
            await routes.weight(RELEASE)
        await routes.revert(RELEASE)
    assert nomad.latest["Status"] == "failed"


async def test_the_canary_of_a_later_deployment_is_nobody_to_go_back_to(nomad: Nomad) -> None:
    async with router_of(nomad) as routes:
        words = await located(routes)
        _without_baseline(nomad)
        nomad.registers()
        with pytest.raises(Blocked, match="none of its 2 is healthy"):
            await routes.check_baseline(RELEASE, located=words)
