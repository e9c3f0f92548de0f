"""What one tick of a fleet costs the daemon's own code, part by part: from the bytes of a Prometheus to checkpoints and recordings.

There is no API server and no broker: the stand-in of ``fleet`` answers from a process of its own, so that all CPU seconds here are
the daemon's, and checkpoints are written to nowhere. The clock is moved by hand, so that a slow machine makes no tick late.
``python -m tests.bench.ticks 1000 5000`` measures those sizes.
"""

import asyncio
import logging
import re
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp

from config.policy import Policy, Promotion
from config.settings import PrometheusTelemetry
from daemon.aio import interpreter, parsing
from daemon.aio.clock import Clock
from daemon.engine import judging, keptsessions, lifecycle
from daemon.engine.checkpoints import Checkpoints
from daemon.engine.recording import RecordingWriter
from daemon.engine.registry import Registry
from daemon.engine.session import Session
from daemon.engine.ticker import Ticker
from daemon.http.metrics.meter import Metrics
from daemon.meshes.registry import schemas
from daemon.placement import Placement
from daemon.ports.durable import Kept
from daemon.ports.telemetry import Telemetry
from daemon.recorder import Recorder
from daemon.telemetry.counters.collection import Collection
from daemon.telemetry.counters.readings import CounterState
from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.factory import telemetry_from
from daemon.telemetry.prometheus.source import PrometheusSource
from tests.bench import fleet
from tests.bench.figures import Figure, spread, table
from tests.bench.telemetry import stalls
from tests.hand.clock import HandClock

SIZES = (200, 1000)
TICKS = 5
TICK_SECONDS = 5.0
_BEGAN = 1_000_000_003.0
_FIRST_TICKS = 3
"""Series are learnt, and counting begins."""
_PATIENCE_SECONDS = 600.0
_LONGEST_ANSWER_BYTES = 2**30
_POLICY = Policy(window_seconds=3600.0, warmup_seconds=0.0, promotion=Promotion(min_seconds=3000.0))
_REST = "all else: HTTP, the registry, metrics"
_PARTS: tuple[tuple[object, str, str], ...] = (
    (parsing.Unpacking, "step", "answers cut and decoded"),
    (PrometheusSource, "_collect", "series known again, and sorted by arm and target"),
    (SeriesIndex, "learn", "series met for the first time"),
    (PrometheusSource, "_put_together", "answers put together"),
    (PrometheusSource, "_learn", "answers put together"),
    (Collection, "snapshots", "histograms and counters of each target"),
    (CounterState, "readings", "differencing, and readings"),
    (lifecycle, "sampled", "samples and their digests"),
    (judging, "fold", "judging"),
    (RecordingWriter, "_append", "recordings"),
    (keptsessions, "encode", "checkpoints"),
)
"""What is measured, and as part of what."""


@dataclass
class _Parts:
    """CPU seconds by part, each without those of the parts inside it, in whatever thread."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _inside: threading.local = field(default_factory=threading.local)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """All of them, while it is entered."""
        with ExitStack() as stack:
            for owner, name, part in _PARTS:
                stack.enter_context(patch.object(owner, name, self._timed(getattr(owner, name), part)))
            yield

    def _timed(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            inside: list[float] = self._inside.__dict__.setdefault("inside", [0.0])
            began = time.thread_time()
            inside.append(0.0)
            try:
                return function(*args, **kwargs)
            finally:
                took = time.thread_time() - began
                self.seconds[part] += took - inside.pop()
                inside[-1] += took

        return timed


@dataclass(kw_only=True)
class _Seen:
    """What some ticks have cost: each in CPU seconds, the longest that the loop was away in it, and all of them by part."""

    cpu: list[float] = field(default_factory=list)
    away: list[float] = field(default_factory=list)
    parts: dict[str, float] = field(default_factory=dict)
    memory_mib: float = 0.0
    peak_mib: float = 0.0


class _Nowhere:
    """A store that takes everything and keeps nothing."""

    async def put(self, key: str, value: bytes, *, over: int | None = None) -> int:
        await asyncio.sleep(0)
        return 1

    async def get(self, key: str) -> Kept | None:
        return None

    async def delete(self, key: str) -> None:
        return None

    async def items(self) -> list[tuple[str, Kept]]:
        return []


def figures(*, sizes: Sequence[int] = SIZES) -> list[Figure]:
    """A row for each size and part, in a process of its own each, since memory is measured."""
    found: list[Figure] = []
    for releases in sizes:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            found += pool.submit(_measured, releases).result()
    return found


def _measured(releases: int) -> list[Figure]:
    with fleet.apart(releases, clock=HandClock(_BEGAN)) as url:
        seen = asyncio.run(_ticks(releases, url=url))
    ticks, what = len(seen.cpu), f"N={releases}: a tick"
    parts = dict(sorted(seen.parts.items(), key=lambda one: -one[1])) | {_REST: sum(seen.cpu) - sum(seen.parts.values())}
    away = f"the loop was away for at most {spread([1e3 * one for one in seen.away])} ms in a tick"
    return [
        Figure(what=f"{what}, CPU s", measured=spread(seen.cpu, digits=2), goal="< 4 at 5000", parts=away),
        *(Figure(what=f"{what}: {name}, CPU s", measured=f"{seconds / ticks:.3f}") for name, seconds in parts.items()),
        Figure(
            what=f"N={releases}: memory, MiB",
            measured=f"{seen.memory_mib:.0f}",
            goal="1024 at 5000",
            parts=f"peak {seen.peak_mib:.0f}",
        ),
    ]


async def _ticks(releases: int, *, url: str) -> _Seen:
    clock, seen, parts = HandClock(_BEGAN), _Seen(), _Parts()
    settings = PrometheusTelemetry(
        url=url,
        dialect="istio",
        tick_seconds=TICK_SECONDS,
        timeout_seconds=_PATIENCE_SECONDS,
        max_answer_bytes=_LONGEST_ANSWER_BYTES,
    )
    logging.disable(logging.CRITICAL)  # a line for each release would be what is measured
    interpreter.settle()  # as a daemon does
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="verdictd-bench-ticks-"))
        session = await stack.enter_async_context(aiohttp.ClientSession(url))
        telemetry = await stack.enter_async_context(telemetry_from(settings, clock=clock, schemas=schemas()))
        ticker, checkpoints = _ticker(releases, telemetry, clock=clock, recorder=Recorder(Path(folder)))
        writing = asyncio.create_task(checkpoints.run())
        await _answers(session)
        for tick in range(-_FIRST_TICKS, TICKS):
            if tick == 0:
                parts.seconds.clear()
            clock.time += TICK_SECONDS
            async with session.put(f"/clock/{clock.time}") as answer:
                answer.raise_for_status()
            began = time.process_time()
            async with stalls() as away:
                with parts.measured():
                    await ticker.tick()
                    await checkpoints.flush(seconds=_PATIENCE_SECONDS)
            if tick >= 0:
                seen.cpu.append(time.process_time() - began)
                seen.away.append(max(away))
        writing.cancel()
    seen.parts = dict(parts.seconds)
    seen.memory_mib, seen.peak_mib = _memory_mib()
    return seen


async def _answers(session: aiohttp.ClientSession) -> None:
    """Wait until the stand-in does."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            with suppress(aiohttp.ClientConnectionError):
                async with session.put(f"/clock/{_BEGAN}"):
                    return
            await asyncio.sleep(0.1)


def _memory_mib() -> tuple[float, float]:
    """Now, and at most."""
    status = Path("/proc/self/status").read_text()
    now, most = (int(re.findall(rf"{name}:\s+(\d+) kB", status)[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, most


def _ticker(releases: int, telemetry: Telemetry, *, clock: Clock, recorder: Recorder) -> tuple[Ticker, Checkpoints]:
    """Over so many releases, all of them watched."""
    registry, meter, store = Registry(max_ended=0), Metrics(now=clock.now, monotonic=clock.monotonic), _Nowhere()
    checkpoints = Checkpoints(store, records=store, clock=clock, meter=meter, leave=lambda release_id: None)
    for number in range(releases):
        session = lifecycle.admitted(
            fleet.release(number),
            release_id=f"bench-{number}",
            policy=_POLICY,
            policy_hash="sha256:bench",
            cluster="bench",
            tick_seconds=TICK_SECONDS,
            split=False,
            now=clock.now(),
        )
        registry.put(lifecycle.located(session, Placement(routes=(), canary_percent=10.0), now=clock.now()))
    ticker = Ticker(
        "bench",
        telemetry,
        meshes=frozenset({"istio"}),
        registry=registry,
        checkpoints=checkpoints,
        clock=clock,
        meter=meter,
        decided=_decided,
        recorder=recorder,
    )
    return ticker, checkpoints


def _decided(session: Session) -> None:
    raise AssertionError(f"{session.release_id} was decided: {session.decision}")


if __name__ == "__main__":
    print(table(figures(sizes=[int(one) for one in sys.argv[1:]] or SIZES)))
