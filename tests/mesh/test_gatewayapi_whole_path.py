"""From event to end behind an HTTPRoute on a real istiod and Envoy: a bad canary is taken back, and is sent nothing any more."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from daemon.kube.client import KubeClient
from daemon.meshes.gatewayapi.mesh import HTTP_ROUTES
from daemon.meshes.gatewayapi.status import hindrance
from daemon.model import Action, Outcome
from tests.hand import gateway_objects
from tests.hand.daemons import published
from tests.hand.istio_cluster import client_of, gateway_cluster
from tests.hand.istio_objects import NAMESPACE, SERVICE
from tests.mesh.istio_world import IstioWorld, istio_world
from tests.mesh.traffic import said
from tests.mesh.watchdog import verdictd
from tests.servers.run import until

pytestmark = [pytest.mark.mesh, pytest.mark.broad, pytest.mark.timeout(240)]

RATE = 300.0
MESH: dict[str, Any] = {"gateway-api": {"kind": "gateway-api", "telemetry": "mesh"}}


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[IstioWorld]:
    """Istio without an object of its own: an HTTPRoute on the Service says which version is sent to."""
    cluster = partial(gateway_cluster, istio=True)
    async with istio_world(tmp_path, cluster=cluster, proxy=gateway_objects.CLIENT) as running:
        yield running


@pytest_asyncio.fixture
async def edge_world(tmp_path: Path) -> AsyncIterator[IstioWorld]:
    """The same with the HTTPRoute on a Gateway, which the Envoy is."""
    cluster = partial(gateway_cluster, istio=True, objects=gateway_objects.created_on_gateway())
    async with istio_world(tmp_path, cluster=cluster, proxy=gateway_objects.EDGE) as running:
        yield running


async def rules(world: IstioWorld, folder: Path) -> Any:
    kube = client_of(world.api, folder / "reader.json")
    try:
        return (await kube.get(HTTP_ROUTES, name=SERVICE, namespace=NAMESPACE))["spec"]["rules"]
    finally:
        await kube.close()


async def test_a_bad_canary_behind_an_httproute_on_a_service_is_taken_back_and_is_sent_nothing_any_more(
    world: IstioWorld, tmp_path: Path
) -> None:
    await taken_back(world, tmp_path)


async def test_a_bad_canary_behind_an_httproute_on_a_gateway_is_taken_back_and_is_sent_nothing_any_more(
    edge_world: IstioWorld, tmp_path: Path
) -> None:
    await taken_back(edge_world, tmp_path)


async def taken_back(world: IstioWorld, tmp_path: Path) -> None:
    """From the event to the canary's last response."""
    folder = tmp_path / "daemon"
    folder.mkdir()
    before = await rules(world, tmp_path)
    paths = {"/": {}, "/testers": {"x-canary": "always"}}
    async with world.traffic(per_second=RATE, paths=paths) as seen, verdictd(world, folder, more={"meshes": MESH}) as daemon:
        release_id = await daemon.announce(gateway_objects.RELEASE, event_id="bad-1")
        await asyncio.sleep(3.0)
        world.break_canary(error_rate=0.2)
        record = await daemon.record(release_id)
        left = await seen.only("v1")
        await seen.until(lambda traffic: len(traffic.answers) > left + RATE)
        marks = {mark.step: mark.at for mark in record.marks}
        canary = [answer for answer in seen.answers if answer.version == "v2"]
        after = await rules(world, tmp_path)
        told = await published(daemon.broker)
    assert (record.verdict.outcome, record.verdict.action, record.verdict.leg) == (Outcome.ROLLBACK, Action.REVERT, "errors")
    assert [(v.release_id, v.outcome) for v in told] == [(release_id, Outcome.ROLLBACK)]
    later = seen.answers[left:]
    assert {(answer.path, answer.version, answer.status) for answer in later} == {("/", "v1", 200), ("/testers", "v1", 200)}
    said(
        f"decision to patch on the wire {(marks['patch_sent'] - marks['decided']) * 1e3:.0f} ms, decision to last canary response "
        f"{(canary[-1].at - marks['decided']) * 1e3:.0f} ms"
    )
    before[0]["backendRefs"][0]["name"] = "web-v1"
    before[2]["backendRefs"][0]["weight"] = 100
    before[2]["backendRefs"][1]["weight"] = 0
    assert after == before


async def status_says(kube: KubeClient, why: str) -> bool:
    """Whether this is what istiod has written of the route."""
    route = await kube.get(HTTP_ROUTES, name=SERVICE, namespace=NAMESPACE)
    return bool(route["status"]["parents"]) and hindrance(route) == why


async def test_a_rule_of_weight_nothing_fails_every_request_and_the_one_that_is_pointed_at_the_baseline_none(
    world: IstioWorld, tmp_path: Path
) -> None:
    """What the planner's one decision rests on, shown on the mesh itself; and istiod says in the status what it cannot send."""
    kube = client_of(world.api, tmp_path / "writer.json")
    backend = "/spec/rules/0/backendRefs/0"

    async def written(**fields: object) -> None:
        operations = [{"op": "add", "path": f"{backend}/{name}", "value": value} for name, value in fields.items()]
        await kube.patch(HTTP_ROUTES, name=SERVICE, namespace=NAMESPACE, operations=operations)

    try:
        async with world.traffic(per_second=50.0, paths={"/testers": {"x-canary": "always"}}) as seen:
            await seen.until(lambda traffic: traffic.last("v2") is not None)
            await written(weight=0)
            await seen.until(lambda traffic: traffic.answers[-1].status == 500, within=60.0)
            await written(weight=1, name="web-v1")
            await seen.until(lambda traffic: (traffic.answers[-1].version, traffic.answers[-1].status) == ("v1", 200), within=60.0)
            await until(partial(status_says, kube, ""), 60.0)
            await written(name="web-v9")
            await until(
                partial(status_says, kube, "istio.io/gateway-controller cannot resolve what it names: BackendNotFound"), 60.0
            )
    finally:
        await kube.close()
