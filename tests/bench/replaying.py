"""How fast recordings are judged again, on one core: many side by side, and one that has nobody to share a batch with."""

import tempfile
import time
from pathlib import Path

from config.policy import Policy, Promotion
from daemon.offline.replay.lockstep import Judged, judge
from tests.bench.figures import Figure, spread
from tests.offline.replay.recorded import record

_PATIENT = Policy(window_seconds=3600.0, promotion=Promotion(min_requests=10**9))
"""Under which every tick is judged; under the usual one the end of a recording is only read."""


def figures() -> list[Figure]:
    """Ticks a second of one core."""
    with tempfile.TemporaryDirectory() as folder:
        many = record(Path(folder), number=128, ticks=120)
        throughout = [_ticks_per_second(many, policy=_PATIENT) for _ in range(3)]
        to_verdicts = [_ticks_per_second(many, policy=None) for _ in range(3)]
        alone = [_ticks_per_second(many[:1], policy=_PATIENT) for _ in range(3)]
    return [
        Figure(
            what="replay, 128 recordings, every tick judged, ticks/s a core", measured=spread(throughout, digits=0), goal=">= 3000"
        ),
        Figure(
            what="replay, 128 recordings, to their verdicts, judged ticks/s", measured=spread(to_verdicts, digits=0), goal=">= 3000"
        ),
        Figure(what="replay, one recording alone, ticks/s", measured=spread(alone, digits=0)),
    ]


def _ticks_per_second(paths: list[Path], *, policy: Policy | None) -> float:
    """By the time of the processor, so that others on the machine do not count."""
    began = time.process_time()
    ticks = sum(result.rulings[0].tick for result in judge(paths, policies=[policy]) if isinstance(result, Judged))
    return ticks / (time.process_time() - began)
