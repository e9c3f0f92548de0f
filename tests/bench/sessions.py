"""How many releases one daemon carries: the engine's own turn over many sessions, and the memory they take."""

import asyncio
import gc
import resource
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from config.policy import Failures, Policy, Promotion
from daemon.engine import keptforms, lifecycle
from daemon.engine.checkpoints import Checkpoints
from daemon.engine.registry import Registry
from daemon.engine.session import Session
from daemon.engine.ticker import Ticker
from daemon.measurements import Reading, Watch
from daemon.model import Release
from daemon.placement import Placement
from tests.bench.figures import Figure, spread
from tests.bench.judging import BOUNDS
from tests.bench.judging import one_arm as _arm
from tests.hand.ports import MemoryMeter, MemoryStore, Scene
from tests.hand.samples import RELEASE

RELEASES = 10_000
TICK_SECONDS = 5.0


class _Synthetic:
    """Telemetry that costs nothing: ready-made readings, a different one each tick."""

    wait_seconds: float | None = None
    tick_seconds = TICK_SECONDS
    split = True
    failure: str | None = None

    def __init__(self) -> None:
        dice = np.random.default_rng(7)
        self._readings = [
            Reading(seconds=TICK_SECONDS, baseline=_arm(dice, 4750), canary=_arm(dice, 250), bounds_ms=BOUNDS) for _ in range(64)
        ]
        self._next = 0

    def cannot_tell(self, failures: Failures) -> Sequence[str]:
        return ()

    def cannot_count(self, release: Release) -> str | None:
        return None

    def timed(self, release: Release) -> bool:
        return True

    async def read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
        self._next += 1
        return {watch.release_id: self._readings[(n + self._next) % 64] for n, watch in enumerate(watches)}

    def forget(self, release_id: str) -> None:
        raise AssertionError("nothing ends here")


def figures() -> list[Figure]:
    """Seconds per turn of 10 000 releases, sessions a core carries at a 5 s tick, bytes per session, restore time."""
    return asyncio.run(_measure())


async def _measure() -> list[Figure]:
    scene = Scene()
    registry = Registry(max_ended=0)
    ticker = Ticker(
        "synthetic",
        _Synthetic(),
        meshes=frozenset({"edge"}),
        registry=registry,
        checkpoints=Checkpoints(
            MemoryStore(), records=MemoryStore(), clock=scene.clock, meter=MemoryMeter(), leave=lambda release_id: None
        ),
        clock=scene.clock,
        meter=_Silent(),
        decided=lambda session: None,
    )
    gc.collect()
    before = _resident_bytes()
    for n in range(RELEASES):
        registry.put(_watching(n, now=scene.clock.now()))
    turns = []
    for _ in range(5):
        scene.clock.time += TICK_SECONDS
        began = time.process_time()
        await ticker.tick()
        turns.append(time.process_time() - began)
    gc.collect()
    bytes_each = (_resident_bytes() - before) / RELEASES
    kept = [keptforms.encode(session) for session in registry.running()]
    began = time.perf_counter()
    for data in kept:
        keptforms.decode(data, now=0.0)
    restored = time.perf_counter() - began
    carried = TICK_SECONDS / (sorted(turns)[len(turns) // 2] / RELEASES)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        Figure(what=f"a turn of {RELEASES} releases, CPU s", measured=spread(turns, digits=2), goal=f"< {TICK_SECONDS:g}"),
        Figure(what="sessions per core at a 5 s tick", measured=f"{carried:.0f}", goal=">= 10000"),
        Figure(what="memory per session, KiB", measured=f"{bytes_each / 1024:.1f}", goal="<= 105", parts=f"peak {peak:.0f} MiB"),
        Figure(what=f"restore {RELEASES} sessions from checkpoints, s", measured=f"{restored:.2f}", goal="<= 5"),
        Figure(what="checkpoint, KiB", measured=f"{len(kept[0]) / 1024:.1f}"),
    ]


class _Silent(MemoryMeter):
    def ticked(self, watch: Watch, reading: Reading, ruling: object) -> None:
        """Keep nothing: ten thousand rulings would be what is measured."""


def _watching(n: int, *, now: float) -> Session:
    admitted = lifecycle.admitted(
        msgspec.structs.replace(RELEASE, service=f"web-{n}"),
        release_id=f"web-{n}",
        policy=Policy(promotion=Promotion(min_seconds=300.0)),
        policy_hash="sha256:x",
        cluster="bench",
        tick_seconds=TICK_SECONDS,
        split=True,
        now=now,
    )
    return lifecycle.located(admitted, Placement(routes=(), canary_percent=5.0), now=now)


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
