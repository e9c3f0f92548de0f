"""Telemetry from a real Envoy carrying real requests: what it says equals what the backends counted."""

import asyncio
import time
from bisect import bisect_left
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest

from config.settings import EnvoyTelemetry
from daemon.aio.clock import SystemClock
from daemon.measurements import Reading
from daemon.meshes.registry import schemas
from daemon.ports.telemetry import Telemetry
from daemon.telemetry.factory import telemetry_from
from daemon.telemetry.scrape.bins import GRID_MS
from tests.live.telemetry_world import ARMS, Sums, World, world
from tests.servers.run import until
from tests.telemetry.support import watch

pytestmark = pytest.mark.live

WATCHES = [watch(baseline=ARMS[0], canary=ARMS[1])]
# Measured: with this, a scrape shows the histograms as of the scrape before, since workers hand theirs in after the answer.
ON_SCRAPE: dict[str, object] = {"stats_flush_on_admin": True}
TICK = 0.25
PATIENCE_SECONDS = 30.0
"""What nothing here takes, on any machine."""


@asynccontextmanager
async def telemetry(it: World, histograms: Literal["text", "bins"] = "text") -> AsyncIterator[Telemetry]:
    settings = EnvoyTelemetry(endpoints=[it.admin], tick_seconds=TICK, histograms=histograms, timeout_seconds=PATIENCE_SECONDS)
    async with telemetry_from(settings, clock=SystemClock(), schemas=schemas()) as made:
        yield made


async def read(source: Telemetry) -> Reading:
    return (await source.read(WATCHES))["web-1"]


async def all_latencies(source: Telemetry, sums: Sums) -> None:
    """Read on until every request that was counted has its latency: a proxy's workers hand them in when they come to it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while sums.latencies != sums.requests:
            sums.add(await read(source))


@pytest.mark.parametrize("histograms", ["text", "bins"])
async def test_quarter_second_ticks_add_up_to_what_the_backends_served(tmp_path: Path, histograms: Literal["text", "bins"]) -> None:
    """Every second is counted once: from the first reading, which ended before ``began``, to the last one."""
    async with world(tmp_path, flush=ON_SCRAPE) as it, it.envoy(), telemetry(it, histograms) as source:
        it.backends[ARMS[1]].fail_every = 4
        await it.send(ARMS[0], 30)
        await it.send(ARMS[1], 10)
        await until(it.has_histograms, within=PATIENCE_SECONDS)
        first = time.monotonic()
        assert (await read(source)).gap == "first reading: counting starts here"
        before = {arm: (backend.answered, backend.failed) for arm, backend in it.backends.items()}
        sums = Sums()
        began = asked = time.monotonic()
        for _ in range(8):
            await asyncio.gather(it.send(ARMS[0], 20), it.send(ARMS[1], 7), asyncio.sleep(TICK))
            asked = time.monotonic()
            sums.add(await read(source))
        ended = time.monotonic()
        assert sums.gaps == []
        for index, arm in enumerate(ARMS):
            backend = it.backends[arm]
            assert sums.requests[index] == backend.answered - before[arm][0]
            assert sums.errors[index] == backend.failed - before[arm][1]
        assert sums.requests == [160, 56]
        assert sums.errors == [0, 14]
        assert sums.latency_ticks >= 3, "more often than Envoy flushes by itself"
        assert asked - began <= sums.seconds <= ended - first
        await all_latencies(source, sums)
        assert sums.latencies == sums.requests == [160, 56]


async def test_raw_bins_tell_apart_what_buckets_do_not(tmp_path: Path) -> None:
    """On an idle machine 30 and 45 ms, which lie in one bucket of Envoy's (25 to 50 ms), and in different ones of the grid.

    On a busy one all is slower. So what Envoy must have measured is bounded by what the backend held back and what the client
    waited for, and the slower arm is as slow as it has to be: slower than any request of the other.
    """
    async with world(tmp_path, flush=ON_SCRAPE) as it, it.envoy(), telemetry(it, "bins") as source:
        slow, slower = (it.backends[arm] for arm in ARMS)
        await asyncio.gather(*(it.send(arm, 1) for arm in ARMS))
        await until(it.has_histograms, within=PATIENCE_SECONDS)
        await read(source)
        await read(source)
        for times in (*it.waited_seconds.values(), slow.held_seconds, slower.held_seconds):
            times.clear()
        slow.delay_seconds = 0.028
        for _ in range(10):
            await it.send(ARMS[0], 1)
        longest_ms = 1e3 * max(it.waited_seconds[ARMS[0]])
        between = bisect_left(GRID_MS, longest_ms)
        slower.delay_seconds = 1.4e-3 * longest_ms  # more than the grid's bounds are apart
        for _ in range(10):
            await it.send(ARMS[1], 1)
        counts, sums_ms = [[0] * (len(GRID_MS) + 1) for _ in ARMS], [0.0, 0.0]
        async with asyncio.timeout(PATIENCE_SECONDS):
            while min(sum(arm) for arm in counts) < 10:
                reading = await read(source)
                assert reading.bounds_ms in (None, GRID_MS)
                for index, arm in enumerate((reading.baseline, reading.canary)):
                    if arm is not None and arm.latency is not None:
                        counts[index] = [a + b for a, b in zip(counts[index], arm.latency.counts, strict=True)]
                        sums_ms[index] += arm.latency.sum_ms
        assert (sum(counts[0][: between + 1]), sum(counts[0])) == (10, 10)
        assert (sum(counts[1][: between + 1]), sum(counts[1])) == (0, 10)
        for index, backend in enumerate((slow, slower)):
            # Envoy counts whole milliseconds, and a bin stands for its middle.
            assert 0.9 * 1e3 * sum(backend.held_seconds) - 10 <= sums_ms[index]
            assert sums_ms[index] <= 1.1 * 1e3 * sum(it.waited_seconds[ARMS[index]]) + 10


async def test_histograms_come_with_envoys_flush_while_counters_are_live(tmp_path: Path) -> None:
    """As Envoy does by itself every 5 s, here every 2 s."""
    flush_seconds = 2.0
    async with world(tmp_path, flush={"stats_flush_interval": f"{flush_seconds:g}s"}) as it, it.envoy(), telemetry(it) as source:
        await asyncio.gather(*(it.send(arm, 1) for arm in ARMS))
        await until(it.has_histograms, within=PATIENCE_SECONDS)
        await read(source)
        sums, ticks, longest = Sums(), 0, 0.0
        while sums.latency_ticks < 3:
            began = time.monotonic()
            await asyncio.gather(it.send(ARMS[0], 5), it.send(ARMS[1], 3), asyncio.sleep(TICK))
            reading = await read(source)
            longest, ticks = max(longest, time.monotonic() - began), ticks + 1
            assert reading.baseline is not None
            assert reading.canary is not None
            assert (reading.baseline.requests, reading.canary.requests) == (5, 3), "counters are live at every tick"
            sums.add(reading)
        # A tick as long as the flush, on a very busy machine, may always have one.
        assert ticks > sums.latency_ticks or longest > flush_seconds / 2
        assert sums.requests == [5 * ticks, 3 * ticks]
        for index in (0, 1):
            assert 0 < sums.latencies[index] <= sums.requests[index]


async def test_envoy_restarted_mid_watch_loses_a_moment_and_invents_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, flush=ON_SCRAPE) as it, telemetry(it) as source:
        async with it.envoy():
            await it.send(ARMS[0], 50)
            await it.send(ARMS[1], 50)
            await until(it.has_histograms, within=PATIENCE_SECONDS)
            await read(source)
            await it.send(ARMS[0], 10)
            await it.send(ARMS[1], 4)
            sums = Sums()
            sums.add(await read(source))
        down = await read(source)
        assert down.baseline is None
        assert down.gap is not None
        async with it.envoy():
            await it.send(ARMS[0], 7)
            await it.send(ARMS[1], 3)
            sums.add(await read(source))
            await it.send(ARMS[0], 6)
            await it.send(ARMS[1], 2)
            async with asyncio.timeout(PATIENCE_SECONDS):  # its threads' histograms are merged when they come to it
                while sums.latencies[0] < 13 or sums.latencies[1] < 5:
                    sums.add(await read(source))
        assert sums.gaps == []
        assert sums.requests == [23, 9]
        assert sums.latencies == [13, 5], "those of the old process that it had not merged went with it"


async def test_a_canary_that_nobody_answers_for_has_failed_every_request(tmp_path: Path) -> None:
    async with world(tmp_path, dead_canary=True) as it, it.envoy(), telemetry(it) as source:
        await it.send(ARMS[0], 1)
        await read(source)
        await it.send(ARMS[0], 10)
        await it.send(ARMS[1], 10)
        reading = await read(source)
        assert reading.gap is None
        assert reading.canary is not None
        assert it.statuses[ARMS[1]] == [503] * 10
        assert (reading.canary.requests, reading.canary.errors) == (10, 10)


async def test_the_first_requests_of_a_new_canary_are_counted(tmp_path: Path) -> None:
    async with world(tmp_path) as it, it.envoy(), telemetry(it) as source:
        await it.send(ARMS[0], 5)
        await read(source)
        assert (await read(source)).gap == "canary: no series yet"
        await it.send(ARMS[0], 4)
        await it.send(ARMS[1], 3)
        sums = Sums()
        sums.add(await read(source))
        assert (sums.requests, sums.gaps) == ([4, 3], [])


async def test_an_arm_that_envoy_has_no_cluster_for_is_a_gap(tmp_path: Path) -> None:
    async with world(tmp_path) as it, it.envoy(), telemetry(it) as source:
        await it.send(ARMS[0], 5)
        watches = [watch(baseline=ARMS[0], canary="web-v9")]
        await source.read(watches)
        assert (await source.read(watches))["web-1"].gap == "canary: no series yet"
