"""From event to end on a real Istio: NATS, counters through Prometheus, a patched VirtualService, no more canary traffic.

The daemon is the product's own process; the API server, istiod, Envoy, Prometheus and NATS are the real ones.
"""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from daemon.kube.resources import EVENTS, Json
from daemon.model import Action, ArmSpec, Outcome
from tests.hand.daemons import published
from tests.hand.istio_cluster import client_of
from tests.hand.istio_objects import CORE, NAMESPACE, SERVICE, VERSIONS
from tests.mesh.istio_world import IstioWorld
from tests.mesh.traffic import said
from tests.mesh.watchdog import verdictd

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.broad,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("whole path"),
]

RATE = 300.0
NOBODY = "127.255.255.1"


@pytest_asyncio.fixture(loop_scope="module")
async def istio_world(shared_istio_world: IstioWorld) -> IstioWorld:
    """One for all: what each changes of the routes, the canary and its proxies' names is as it was for the next."""
    for version, exporter in shared_istio_world.exporters.items():
        exporter.version = version
    return shared_istio_world


async def _addressed(world: IstioWorld, address: str) -> None:
    """What a kubelet would say of both pods."""
    status = {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    for version in VERSIONS:
        headers = {"Content-Type": "application/merge-patch+json"}
        path = f"{CORE}/pods/{SERVICE}-{version}-0/status"
        async with (
            world.api.session() as session,
            session.patch(path, data=json.dumps({"status": status}), headers=headers) as answer,
        ):
            assert answer.status == 200, await answer.text()


async def _shown(world: IstioWorld, folder: Path, *, events: int) -> list[Json]:
    """The Events that the daemon made, as soon as there are so many: it makes them beside everything else."""
    kube = client_of(world.api, folder / "events.json")
    try:
        async with asyncio.timeout(60.0):
            while True:
                found = (await kube.list(EVENTS, namespace=NAMESPACE)).items
                if len(ours := [one for one in found if one["reportingController"] == "verdictd"]) >= events:
                    return ours
                await asyncio.sleep(0.1)
    finally:
        await kube.close()


@pytest.mark.usefixtures("measured")
async def test_a_bad_canarys_event_leads_to_a_patched_virtualservice_and_no_further_canary_response(
    istio_world: IstioWorld, tmp_path: Path
) -> None:
    folder = tmp_path / "daemon"
    folder.mkdir()
    before = await istio_world.virtual_service()
    async with istio_world.traffic(per_second=RATE) as seen, verdictd(istio_world, folder) as daemon:
        release_id = await daemon.announce(istio_world.release, event_id="bad-1")
        await asyncio.sleep(3.0)
        istio_world.break_canary(error_rate=0.2)
        record = await daemon.record(release_id)
        left = await seen.only("v1")
        await seen.until(lambda traffic: len(traffic.answers) > left + RATE)
        marks = {mark.step: mark.at for mark in record.marks}
        canary = [answer for answer in seen.answers if answer.version == "v2"]
        after = await istio_world.virtual_service()
        told = await published(daemon.broker)
        shown = await _shown(istio_world, tmp_path, events=1)
    assert (record.verdict.outcome, record.verdict.action, record.verdict.leg) == (Outcome.ROLLBACK, Action.REVERT, "errors")
    assert [(v.release_id, v.outcome) for v in told] == [(release_id, Outcome.ROLLBACK)]
    assert [(one["regarding"]["kind"], one["regarding"]["name"], one["reason"]) for one in shown] == [
        ("VirtualService", SERVICE, "VerdictRollback")
    ]
    assert shown[0]["note"].startswith(f"rollback (action: revert) of release {release_id}: {record.verdict.reason}"[:900])
    assert [undo.object.name for undo in record.undos] == [SERVICE]
    assert {answer.version for answer in seen.answers[left:]} == {"v1"}
    bad = [answer.at for answer in canary if answer.status >= 500]
    said(
        f"first bad to last canary response {canary[-1].at - bad[0]:.2f} s, decision to patch on the wire "
        f"{(marks['patch_sent'] - marks['decided']) * 1e3:.0f} ms, decision to last canary response "
        f"{(canary[-1].at - marks['decided']) * 1e3:.0f} ms"
    )
    pinned, second, primary = after["spec"]["http"]
    assert [(target["destination"]["subset"], target["weight"]) for target in primary["route"]] == [("v1", 100), ("v2", 0)]
    assert pinned["match"] == before["spec"]["http"][0]["match"]
    assert [target["destination"]["subset"] for target in pinned["route"]] == ["v1"]
    assert second == before["spec"]["http"][1]
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]
    assert {k: v for k, v in primary.items() if k != "route"} == {
        k: v for k, v in before["spec"]["http"][2].items() if k != "route"
    }
    assert primary["route"][0]["headers"] == before["spec"]["http"][2]["route"][0]["headers"]


async def test_arms_named_by_their_subsets_only_are_counted_by_the_pods_behind_them(
    istio_world: IstioWorld, tmp_path: Path
) -> None:
    """Their proxies know no version of the subsets' names, so that these would find no series at all."""
    folder = tmp_path / "daemon"
    folder.mkdir()
    for version, exporter in istio_world.exporters.items():
        exporter.version = f"build-{version}"
    subsets = msgspec.structs.replace(istio_world.release, baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))
    async with istio_world.traffic(per_second=RATE), verdictd(istio_world, folder) as daemon:
        release_id = await daemon.announce(subsets, event_id="subsets-1")
        await asyncio.sleep(3.0)
        istio_world.break_canary(error_rate=0.2)
        record = await daemon.record(release_id)
    assert (record.verdict.outcome, record.verdict.action, record.verdict.leg) == (Outcome.ROLLBACK, Action.REVERT, "errors")


async def test_a_healthy_canary_is_promoted_and_its_virtualservice_left_alone(istio_world: IstioWorld, tmp_path: Path) -> None:
    folder = tmp_path / "daemon"
    folder.mkdir()
    before = await istio_world.virtual_service()
    lenient = {"tolerances": {"errors": {"max_rate": 0.05, "above_baseline": 0.05}, "latency": {"typical": 1.5, "slow_end": 2.0}}}
    async with istio_world.traffic(per_second=RATE), verdictd(istio_world, folder, policy=lenient) as daemon:
        release_id = await daemon.announce(istio_world.release, event_id="good-1")
        record = await daemon.record(release_id)
        assert await istio_world.virtual_service() == before
    assert (record.verdict.outcome, record.verdict.action) == (Outcome.PROMOTE, Action.NONE)


async def test_a_canary_that_is_in_no_route_is_inconclusive_and_nothing_is_patched(istio_world: IstioWorld, tmp_path: Path) -> None:
    folder = tmp_path / "daemon"
    folder.mkdir()
    before = await istio_world.virtual_service()
    absent = msgspec.structs.replace(istio_world.release, canary=ArmSpec(workload="web-v9", version="v9", subset="v9"))
    soon = {"limits": {"locate_seconds": 3.0}}
    async with istio_world.traffic(per_second=50.0), verdictd(istio_world, folder, more=soon) as daemon:
        release_id = await daemon.announce(absent, event_id="absent-1")
        record = await daemon.record(release_id)
        assert await istio_world.virtual_service() == before
    assert (record.verdict.outcome, record.verdict.action) == (Outcome.INCONCLUSIVE, Action.NONE)
    assert "v9" in record.verdict.reason


async def test_sidecars_that_cannot_be_reached_are_read_from_prometheus_and_the_daemon_says_so_everywhere(
    istio_world: IstioWorld, tmp_path: Path
) -> None:
    """As behind a NetworkPolicy: nobody answers at the pods' addresses. They keep them, so that this is the last one."""
    folder = tmp_path / "daemon"
    folder.mkdir()
    await _addressed(istio_world, NOBODY)
    sidecars = {"kind": "sidecars", "dialect": "istio", "tick_seconds": 1.0, "timeout_seconds": 0.9, "fallback": "mesh"}
    store = {
        "kind": "prometheus",
        "dialect": "istio",
        "url": istio_world.prometheus_url,
        "tick_seconds": 1.0,
        "timeout_seconds": 0.9,
    }
    more = {"telemetry": {"pods": sidecars, "mesh": store}, "meshes": {"istio": {"kind": "istio", "telemetry": "pods"}}}
    async with istio_world.traffic(per_second=RATE), verdictd(istio_world, folder, more=more) as daemon:
        release_id = await daemon.announce(istio_world.release, event_id="unreached-1")
        async with asyncio.timeout(60.0):
            while not (view := await daemon.view(release_id)).fallback:
                await asyncio.sleep(0.2)
        await asyncio.sleep(5.0)
        istio_world.break_canary(error_rate=0.2)
        record = await daemon.record(release_id)
    assert view.fallback.startswith("read from telemetry mesh instead of the proxies: none of the 1 proxies")
    assert (record.verdict.outcome, record.verdict.action, record.verdict.leg) == (Outcome.ROLLBACK, Action.REVERT, "errors")
    assert "it was read from telemetry mesh instead of the proxies" in record.verdict.reason
    assert any(mark.step == "telemetry_fallback" for mark in record.marks)
    log = (folder / "verdictd.log").read_text(encoding="utf-8")
    assert "telemetry mesh is read instead, for 1 releases" in log
