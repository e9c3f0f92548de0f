"""Recordings of simulated releases, for tests of what reads recordings."""

from pathlib import Path

from config.policy import Policy, Promotion
from daemon import recordings
from daemon.offline.simulation import packing
from daemon.offline.simulation.drawing import Stream
from daemon.offline.simulation.world import Change, World
from daemon.recordings import Header

HEALTHY, FAILING, SLOW = Change(), Change(errors=0.05), Change(factor=1.5)
PROMPT = Policy(promotion=Promotion(min_seconds=60.0))
"""Promotes after a minute, so that recordings may be short."""
RELEASE = {"service": "web", "namespace": "shop", "baseline": {"version": "v1"}, "canary": {"version": "v2"}, "weight": 5}


def record(
    folder: Path,
    *,
    change: Change = HEALTHY,
    number: int = 1,
    ticks: int = 70,
    seed: int = 1,
    stem: str = "web",
    policy: Policy | None = None,
) -> list[Path]:
    """Write recordings of some releases of one world."""
    world = World(change=change)
    header = Header(release=RELEASE, policy=policy or PROMPT, bounds_ms=world.times.bounds_ms, split=world.split, tick_seconds=1.0)
    lines = [[recordings.header_line(header)] for _ in range(number)]
    for tick in Stream(world, releases=number, seed=seed).ticks(ticks):
        for mine, sample in zip(lines, packing.samples(world, tick, range(number)), strict=True):
            mine.append(recordings.line(sample))
    paths = [folder / f"{stem}-{at}.jsonl" for at in range(number)]
    for path, mine in zip(paths, lines, strict=True):
        path.write_bytes(b"\n".join(mine) + b"\n")
    return paths
