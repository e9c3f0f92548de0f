"""What a backtest reads of the past is what the daemon counted while it was the present: the same scrapes, the same counts."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from config.settings import PrometheusTelemetry
from daemon.aio.clock import SystemClock
from daemon.meshes.registry import schemas
from daemon.telemetry.factory import telemetry_from
from daemon.telemetry.history.watching import history_from
from tests.live.telemetry_world import Sums
from tests.live.test_telemetry_prometheus import Pod, all_scraped
from tests.servers.prometheus import prometheus
from tests.servers.run import LOOPBACK, free_ports, until
from tests.telemetry.support import workloads

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

TRAFFIC_TICKS = 8
QUIET_TICKS = 3
"""After the last request has been seen, for the history to see it too."""
PATIENCE_SECONDS = 60.0
LAST_TICKS = 3
"""Of one request a pod: latencies wait for the other arm to move too, so that those of the end may wait for ever."""


async def test_a_history_that_is_read_equals_what_live_readings_of_the_same_scrapes_counted(tmp_path: Path) -> None:
    pods = [Pod(name, port) for name, port in zip(("web-v1", "web-v1", "web-v2"), free_ports(3), strict=True)]
    schema, watch = schemas()["istio"], workloads()
    async with AsyncExitStack() as stack:
        for pod in pods:
            await pod.start()
            stack.push_async_callback(pod.stop)
        targets = [{"targets": [f"{LOOPBACK}:{pod.port}"]} for pod in pods]
        server = await stack.enter_async_context(prometheus(tmp_path, [{"job_name": "pods", "static_configs": targets}]))
        await until(lambda: all_scraped(pods), within=30)
        settings = PrometheusTelemetry(url=server.url, dialect="istio", tick_seconds=1.0, timeout_seconds=10.0)
        live, begin, ticks = Sums(), time.time(), 0
        async with telemetry_from(settings, clock=SystemClock(), schemas=schemas()) as telemetry, asyncio.timeout(PATIENCE_SECONDS):
            quiet = 0
            while quiet < QUIET_TICKS:
                reading = (await telemetry.read([watch]))[watch.release_id]
                live.add(reading)
                if reading.gap is None and ticks < TRAFFIC_TICKS + LAST_TICKS:
                    ticks += 1
                    _serve(pods, last=ticks > TRAFFIC_TICKS)
                all_is_seen = live.requests == _served(pods, failed=False)
                quiet += ticks == TRAFFIC_TICKS + LAST_TICKS and all_is_seen
                await asyncio.sleep(1.0)
        end = time.time()
        async with history_from(
            settings, schema=schema, tick_seconds=1.0, pause_seconds=0.0, sleep=asyncio.sleep, entry="telemetry.prom"
        ) as history:
            [watched] = await history.watched(watch.release, begin=begin, end=end)
    past = Sums()
    for sample in watched.samples:
        for place, arm in enumerate((sample.baseline, sample.canary)):
            if arm is not None:
                past.requests[place] += arm.requests
                past.errors[place] += arm.errors
                past.latencies[place] += sum(arm.latency.counts) if arm.latency is not None else 0
    assert past.requests == live.requests == _served(pods, failed=False)
    assert past.errors == live.errors == _served(pods, failed=True)
    for place, served in enumerate(_served(pods, failed=False)):
        timed = served - _served(pods, failed=True)[place]
        waiting = LAST_TICKS * (2, 1)[place]
        assert timed - waiting <= live.latencies[place] <= timed
        assert timed - waiting <= past.latencies[place] <= timed


def _serve(pods: Sequence[Pod], *, last: bool) -> None:
    for number, pod in enumerate(pods):
        pod.served += 1 if last else 7 + number
        pod.failed += 0 if last else number


def _served(pods: Sequence[Pod], *, failed: bool) -> list[int]:
    """Requests, or errors, of each arm since the beginning: a pod has served 1000 before."""
    arms = (("web-v1", "web-v2"), [0, 0])
    for pod in pods:
        arms[1][arms[0].index(pod.workload)] += pod.failed if failed else pod.served - 1000 + pod.failed
    return arms[1]
