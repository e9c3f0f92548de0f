"""The router on a real Istio: what a revert does to the object, to the proxy, and to who answers."""

import asyncio
import copy
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from daemon.engine.reasserting import PUT_BACK
from daemon.engine.reverting import PATCH_ACKNOWLEDGED, PATCH_SENT
from daemon.meshes.istio.router import IstioRouter
from daemon.model import Action
from tests.hand import istio_objects
from tests.hand.istio_cluster import client_of
from tests.hand.procedures import guarded, reverting
from tests.mesh.istio_world import IstioWorld
from tests.mesh.traffic import said
from tests.servers.run import until

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("istio"),
]

PATHS = {"/": {}, "/tested": {"x-canary": "always"}, "/reports/1": {}}


@pytest_asyncio.fixture(loop_scope="module")
async def router(shared_istio_world: IstioWorld, tmp_path: Path) -> AsyncIterator[IstioRouter]:
    kube = client_of(shared_istio_world.api, tmp_path / "admin.json")
    yield IstioRouter(kube)
    await kube.close()


async def test_a_revert_ends_the_canarys_traffic_and_leaves_the_rest_of_the_object(
    shared_istio_world: IstioWorld, router: IstioRouter
) -> None:
    mirror = {"mirror": {"host": "web", "subset": "v2"}, "mirrorPercentage": {"value": 50.0}}
    await shared_istio_world.replace_spec(istio_objects.virtual_service(canary_weight=30, **mirror)["spec"])
    before = await shared_istio_world.virtual_service()
    placement = await router.locate(shared_istio_world.release)
    assert placement.canary_percent == 30.0
    assert len(placement.routes) == 3
    assert placement.baseline == "1 ready endpoints (the canary has 1)"
    async with shared_istio_world.traffic(per_second=200.0, paths=PATHS) as seen:
        await seen.until(lambda traffic: traffic.counts().get("v2", 0) > 100)
        outcome = await reverting().run(router, shared_istio_world.release)
        assert outcome.action is Action.REVERT, outcome.reason
        sent_at = next(mark.at for mark in outcome.steps if mark.step == PATCH_SENT)
        acknowledged_at = next(mark.at for mark in outcome.steps if mark.step == PATCH_ACKNOWLEDGED)
        quiet_from = await seen.only("v1")
        served = shared_istio_world.backends["v2"].served
        await seen.until(lambda traffic: len(traffic.answers) > quiet_from + 100)
    last = seen.last("v2")
    assert last is not None
    said(f"patch answered in {1e3 * (acknowledged_at - sent_at):.0f} ms")
    said(f"patch sent -> last canary response, through istiod: {1e3 * (last.at - sent_at):.0f} ms")
    assert shared_istio_world.backends["v2"].served == served, "mirrored requests still come"
    late = seen.answers[quiet_from:]
    assert {answer.version for answer in late} == {"v1"}
    assert {answer.path for answer in late} == set(PATHS)
    assert {answer.status for answer in seen.answers} == {200}
    assert_only_the_canary_was_touched(before, await shared_istio_world.virtual_service())


def assert_only_the_canary_was_touched(before: istio_objects.Json, after: istio_objects.Json) -> None:
    expected = copy.deepcopy(before)
    testers, _, primary = expected["spec"]["http"]
    testers["route"][0]["destination"]["subset"] = "v1"
    primary["route"][0]["weight"], primary["route"][1]["weight"] = 100, 0
    del primary["mirror"], primary["mirrorPercentage"]
    for volatile in ("resourceVersion", "generation", "managedFields"):
        for document in (expected, after):
            document["metadata"].pop(volatile, None)
    assert after == expected


async def test_somebody_who_puts_the_weights_back_is_answered(shared_istio_world: IstioWorld, router: IstioRouter) -> None:
    before = await shared_istio_world.virtual_service()
    await router.locate(shared_istio_world.release)
    assert (await reverting().run(router, shared_istio_world.release)).action is Action.REVERT

    async def is_taken_back() -> bool:
        return await shared_istio_world.weights() == {"v1": 100, "v2": 0}

    async def meddle() -> None:
        for _ in range(2):
            await until(is_taken_back, within=60.0)
            await shared_istio_world.replace_spec(before["spec"])

    _, marks = await asyncio.gather(meddle(), guarded(router, shared_istio_world.release, times=2))
    assert [mark.step for mark in marks].count(PUT_BACK) == 2
    assert await shared_istio_world.weights() == {"v1": 100, "v2": 0}


async def test_the_worlds_faults_are_seen_in_the_traffic_and_in_prometheus(shared_istio_world: IstioWorld) -> None:
    shared_istio_world.break_canary(error_rate=0.5)
    async with shared_istio_world.traffic(per_second=200.0) as seen:
        await seen.until(lambda traffic: traffic.first_bad("v2") is not None)
        assert seen.first_bad("v1") is None
    assert 'response_code="500"' in shared_istio_world.exporters["v2"].text()
    assert 'response_code="500"' not in shared_istio_world.exporters["v1"].text()
