"""The same harm on a real Istio: API server, istiod and its push, an Envoy that takes its routes from it, Prometheus at 1 s."""

import asyncio
import tempfile
import time
from pathlib import Path

from daemon.model import Outcome
from tests.bench.figures import Figure
from tests.bench.harm import ERROR_RATE, Harm, figure, reverting
from tests.hand import istio_objects
from tests.mesh.istio_world import IstioWorld, istio_world
from tests.mesh.traffic import Traffic
from tests.mesh.watchdog import Daemon, verdictd

RUNS = 20
RATE = 500.0
_HEALTHY_SECONDS = 4.0
_AFTER_SECONDS = 1.5


def figures() -> list[Figure]:
    """Detection through Prometheus, and the revert through istiod."""
    harms = asyncio.run(_series(RUNS))
    total = "Istio, errors 5 %, 50 canary requests/s, Prometheus scraping every 1 s: first bad to last canary response, s"
    return [figure(total, harms, goal="median <= 3"), *reverting("istiod", harms, goal_ms=150)]


async def _series(runs: int) -> list[Harm]:
    with tempfile.TemporaryDirectory(prefix="verdictd-bench-istio-") as name:
        folder = Path(name)
        (folder / "daemon").mkdir()
        async with (
            istio_world(folder) as world,
            world.traffic(per_second=RATE) as seen,
            verdictd(world, folder / "daemon") as daemon,
        ):
            return [await _run(world, daemon, seen, number) for number in range(runs)]


async def _run(world: IstioWorld, daemon: Daemon, seen: Traffic, number: int) -> Harm:
    world.break_canary()
    await world.replace_spec(istio_objects.virtual_service()["spec"])
    release_id = await daemon.announce(world.release, event_id=f"bench-{number}")
    await asyncio.sleep(_HEALTHY_SECONDS)
    began = time.time()
    world.break_canary(error_rate=ERROR_RATE)
    record = await daemon.record(release_id)
    await asyncio.sleep(_AFTER_SECONDS)
    if record.verdict.outcome is not Outcome.ROLLBACK:
        raise RuntimeError(f"run {number} ended in {record.verdict.outcome}: {record.verdict.reason}")
    canary = [answer for answer in seen.answers if answer.version == "v2" and answer.at > began]
    return Harm.of({mark.step: mark.at for mark in record.marks}, bad=[a.at for a in canary if a.status >= 500], last=canary[-1].at)
