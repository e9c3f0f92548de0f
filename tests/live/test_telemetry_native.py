"""Native histograms through a real Prometheus: whole numbers and floating-point ones, of different resolution."""

import asyncio
import itertools
import time
from pathlib import Path

import pytest

from analyzers.counts import Latency
from config.settings import PrometheusTelemetry
from daemon.aio.clock import SystemClock
from daemon.meshes.registry import schemas
from daemon.telemetry.factory import telemetry_from
from daemon.telemetry.history.watching import history_from
from tests.hand.servers import app_of, serving
from tests.live.native_exporter import NativeExporter, Observed, spread
from tests.servers.prometheus import prometheus
from tests.servers.run import LOOPBACK, free_ports
from tests.telemetry.support import workloads

pytestmark = pytest.mark.live

TICK = 1.0


def observed(workload: str, *, resolution: int, floats: bool) -> Observed:
    labels = {
        "reporter": "destination",
        "destination_workload": workload,
        "destination_workload_namespace": "default",
        "response_code": "200",
        "pod": f"{workload}-a",
    }
    return Observed(labels, resolution=resolution, floats=floats)


async def from_history(url: str, *, begin: float, end: float) -> dict[str, int]:
    """How many latencies of each arm the same release had, read from the server's past."""
    made = PrometheusTelemetry(url=url, dialect="istio", tick_seconds=TICK)
    async with history_from(
        made, schema=schemas()["istio"], tick_seconds=TICK, pause_seconds=0.0, sleep=asyncio.sleep, entry="telemetry.prom"
    ) as history:
        [watched] = await history.watched(workloads().release, begin=begin, end=end)
    found: dict[str, int] = {}
    for sample in watched.samples:
        for name, arm in (("baseline", sample.baseline), ("canary", sample.canary)):
            if arm is not None and isinstance(arm.latency, Latency):
                found[name] = found.get(name, 0) + sum(arm.latency.counts)
    return found


@pytest.mark.parametrize("floats", [False, True])
async def test_all_durations_are_counted_once_on_bounds_that_both_arms_have(tmp_path: Path, floats: bool) -> None:
    baseline, canary = (observed(f"web-v{arm + 1}", resolution=4 - 2 * arm, floats=floats) for arm in (0, 1))
    for one in (baseline, canary):  # before anybody scrapes: these are history
        one.durations_ms += spread(1.0, 1.3, 20)
    began_at = time.time()
    exporter = NativeExporter([baseline, canary])
    (port,) = free_ports(1)
    scrape = {"job_name": "mesh", "static_configs": [{"targets": [f"{LOOPBACK}:{port}"]}]}
    async with (
        serving(app_of(exporter.metrics), port=port),
        prometheus(tmp_path, [scrape], flags=["--enable-feature=native-histograms"]) as server,
        telemetry_from(
            PrometheusTelemetry(url=server.url, dialect="istio", tick_seconds=TICK), clock=SystemClock(), schemas=schemas()
        ) as telemetry,
    ):
        counted: dict[str, int] = {"baseline": 0, "canary": 0}
        timed: dict[str, list[int]] = {}
        sums: dict[str, float] = {"baseline": 0.0, "canary": 0.0}
        began, bounds_ms = False, None
        async with asyncio.timeout(60.0):
            while sum(sum(counts) for counts in timed.values()) < 90:
                reading = (await telemetry.read([workloads()]))["web-1"]
                bounds_ms = reading.bounds_ms
                if not began and reading.gap is None:
                    # Everything so far has been joined: what comes now is counted.
                    baseline.durations_ms += spread(3.0, 1.05, 60)
                    canary.durations_ms += spread(4.0, 1.05, 30)
                    began = True
                for name, arm in (("baseline", reading.baseline), ("canary", reading.canary)):
                    counted[name] += 0 if arm is None else arm.requests
                    if arm is not None and isinstance(latency := arm.latency, Latency):
                        old = timed.setdefault(name, [0] * len(latency.counts))
                        timed[name] = [one + other for one, other in zip(old, latency.counts, strict=True)]
                        sums[name] += latency.sum_ms
                await asyncio.sleep(TICK / 4)
        assert bounds_ms is not None
        past = await from_history(server.url, begin=began_at, end=time.time() + 3.0 * TICK)
    assert past == {"baseline": 60, "canary": 30}, "the same latencies once more, from what the server keeps"
    assert counted == {"baseline": 60, "canary": 30}
    for name, durations in (("baseline", list(spread(3.0, 1.05, 60))), ("canary", list(spread(4.0, 1.05, 30)))):
        edges = (0.0, *bounds_ms, float("inf"))
        truth = [sum(low < one <= high for one in durations) for low, high in itertools.pairwise(edges)]
        assert timed[name] == truth
        assert sums[name] == pytest.approx(sum(durations))
    assert len(bounds_ms) > 50
