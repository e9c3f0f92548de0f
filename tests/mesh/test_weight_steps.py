"""A canary that is stepped up within one watch, on the whole of a real Istio: its share is held against the weight of each tick."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from daemon import recordings
from daemon.model import Outcome
from tests.hand import istio_objects
from tests.mesh.istio_world import IstioWorld
from tests.mesh.watchdog import verdictd
from tests.servers.run import until

pytestmark = [pytest.mark.mesh, pytest.mark.broad, pytest.mark.timeout(240)]

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

        async def is_stepped() -> bool:
            metrics = (await daemon.until_answered("/metrics")).decode().splitlines()
            weight, share = (
                float(line.split()[1])
                for name in ("weight", "share")
                for line in metrics
                if line.startswith(f"verdictd_release_{name}_ratio{{")
            )
            return weight == 0.5 and 0.3 < share < 0.7

        await until(is_stepped, within=60.0)
        record = await daemon.record(release_id)
    assert record.verdict.outcome is Outcome.PROMOTE, record.verdict.reason
    _, samples = recordings.read(kept / f"{release_id}.jsonl")
    weights = [sample.weight for sample in samples if sample.gap is None]
    assert {5.0, 50.0} <= set(weights)
    assert all(weight is not None and 5.0 <= weight <= 50.0 for weight in weights), "every tick has its own"
    assert sum(weight not in {5.0, 50.0} for weight in weights) <= 2, "the tick of the step has the mean"
