"""A canary that is stepped up within one watch, on the whole of a real Istio: its share is held against the weight of each tick."""

import asyncio
from pathlib import Path

import aiohttp
import msgspec
import pytest

from daemon import recordings
from daemon.model import Outcome
from tests.hand import istio_objects
from tests.mesh.istio_world import IstioWorld
from tests.mesh.watchdog import verdictd

pytestmark = [pytest.mark.mesh, pytest.mark.timeout(240)]

RATE = 300.0


async def test_a_canary_stepped_from_5_to_50_percent_is_promoted_though_5_were_announced(
    istio_world: IstioWorld, tmp_path: Path
) -> None:
    folder, kept = tmp_path / "daemon", tmp_path / "recordings"
    folder.mkdir()
    lenient = {
        "tolerances": {"errors": {"max_rate": 0.05, "above_baseline": 0.05}, "latency": {"typical": 1.5, "slow_end": 2.0}},
        "promotion": {"min_seconds": 25.0},
        "window_seconds": 90.0,
    }
    await istio_world.replace_spec(istio_objects.virtual_service(canary_weight=5)["spec"])
    release = msgspec.structs.replace(istio_world.release, weight=5.0)
    async with (
        istio_world.traffic(per_second=RATE),
        verdictd(istio_world, folder, policy=lenient, more={"recordings": {"directory": str(kept)}}) as daemon,
    ):
        release_id = await daemon.announce(release, event_id="stepped-1")
        await asyncio.sleep(12.0)
        await istio_world.replace_spec(istio_objects.virtual_service(canary_weight=50)["spec"])
        await asyncio.sleep(6.0)
        async with aiohttp.ClientSession() as session, session.get(f"{daemon.url}/metrics") as answer:
            metrics = await answer.text()
        record = await daemon.record(release_id)
    assert record.verdict.outcome is Outcome.PROMOTE, record.verdict.reason
    [weight] = [float(line.split()[1]) for line in metrics.splitlines() if line.startswith("verdictd_release_weight_ratio{")]
    [share] = [float(line.split()[1]) for line in metrics.splitlines() if line.startswith("verdictd_release_share_ratio{")]
    assert weight == 0.5
    assert 0.3 < share < 0.7
    _, samples = recordings.read(kept / f"{release_id}.jsonl")
    weights = [sample.weight for sample in samples if sample.gap is None]
    assert {5.0, 50.0} <= set(weights)
    assert all(weight is not None and 5.0 <= weight <= 50.0 for weight in weights), "every tick has its own"
    assert sum(weight not in {5.0, 50.0} for weight in weights) <= 2, "the tick of the step has the mean"
