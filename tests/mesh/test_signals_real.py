"""What stands beside the counts on a real Istio: pods of a real API server, and a real istiod whose configuration is rejected."""

import asyncio
import itertools
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from daemon.aio.tasks import background
from daemon.model import Action, Outcome
from tests.hand.istio_cluster import kubelet_says, post
from tests.hand.istio_objects import NAMESPACE, PORT, Json
from tests.mesh.istio_world import IstioWorld
from tests.mesh.watchdog import verdictd
from tests.servers.run import until

pytestmark = [pytest.mark.mesh, pytest.mark.broad, pytest.mark.timeout(240)]

RATE = 300.0
LENIENT: dict[str, Any] = {
    "window_seconds": 25.0,
    "warmup_seconds": 0.0,
    "promotion": {"min_requests": 100, "min_seconds": 5.0},
    "tolerances": {"errors": {"max_rate": 0.05, "above_baseline": 0.05}, "latency": {"typical": 2.0, "slow_end": 3.0}},
}


def broken(stage: int) -> Json:
    """No route may have a rate limit without actions: every Envoy refuses what it becomes."""
    return {
        "configPatches": [
            {
                "applyTo": "VIRTUAL_HOST",
                "match": {"context": "SIDECAR_OUTBOUND", "routeConfiguration": {"name": str(PORT)}},
                "patch": {"operation": "MERGE", "value": {"rate_limits": [{"stage": stage}]}},
            }
        ]
    }


FILTERS = f"/apis/networking.istio.io/v1alpha3/namespaces/{NAMESPACE}/envoyfilters"


async def test_a_canary_that_ran_out_of_memory_is_not_promoted_and_the_verdict_says_so(
    istio_world: IstioWorld, tmp_path: Path
) -> None:
    folder = tmp_path / "daemon"
    folder.mkdir()
    await kubelet_says(istio_world.api, "web-v2-0", killed_for="OOMKilled")
    async with istio_world.traffic(per_second=RATE), verdictd(istio_world, folder, policy=LENIENT) as daemon:
        record = await daemon.record(await daemon.announce(istio_world.release, event_id="killed-1"))
    assert (record.verdict.outcome, record.verdict.action) == (Outcome.INCONCLUSIVE, Action.NONE)
    words = "pods of the canary (web-v2-0 (container web)) ran out of memory within 5 min and were killed"
    # Whether all else was shown by then is the machine's: that the sentence says so when it was is seen where no clock runs.
    assert f"{words} (while it is so nothing is promoted)" in record.verdict.reason
    assert [(one.kind, one.about, one.effect) for one in record.verdict.signals] == [("out_of_memory", "canary", "holds")]
    assert [mark.detail for mark in record.marks if mark.step == "signal"] == [f"canary out_of_memory: {words}"]


async def test_while_proxies_reject_what_istiod_sends_them_a_bad_canary_is_not_blamed_and_the_verdict_says_why(
    istio_world: IstioWorld, tmp_path: Path
) -> None:
    folder = tmp_path / "daemon"
    folder.mkdir()
    before = await istio_world.virtual_service()
    name = {"name": "broken", "namespace": NAMESPACE}
    kind = {"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter"}
    await post(istio_world.api, FILTERS, {**kind, "metadata": name, "spec": broken(0)})

    async def rejected_again_and_again() -> None:
        for stage in itertools.cycle(range(1, 10)):
            await asyncio.sleep(1.0)
            headers = {"Content-Type": "application/merge-patch+json"}
            body = {"spec": broken(stage)}
            async with (
                istio_world.api.session() as session,
                session.patch(f"{FILTERS}/broken", json=body, headers=headers) as response,
            ):
                assert response.status == 200, await response.text()

    async def seen() -> bool:
        async with aiohttp.ClientSession() as session:
            query = {"query": "sum(increase(pilot_total_xds_rejects[1m])) > 0"}
            async with session.get(f"{istio_world.prometheus_url}/api/v1/query", params=query) as response:
                document: Any = await response.json()
                return bool(document["data"]["result"])

    async with background(rejected_again_and_again()):
        await until(seen, within=60.0)
        async with istio_world.traffic(per_second=RATE), verdictd(istio_world, folder, policy=LENIENT) as daemon:
            release_id = await daemon.announce(istio_world.release, event_id="rejected-1")
            await asyncio.sleep(3.0)
            istio_world.break_canary(error_rate=0.2)
            record = await daemon.record(release_id)
            assert await istio_world.virtual_service() == before
    assert (record.verdict.outcome, record.verdict.action, record.verdict.leg) == (Outcome.INCONCLUSIVE, Action.NONE, None)
    assert "proxies have rejected configuration of istiod " in record.verdict.reason
    assert [(one.kind, one.about, one.effect) for one in record.verdict.signals] == [("config_rejected", "mesh", "excuses")]
