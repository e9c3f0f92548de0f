"""Recordings spread over processes, results in the order of the files. No process is started for a moment's work."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from config.policy import Policy
from daemon.offline.parallel import spread
from daemon.offline.replay.lockstep import judge
from daemon.offline.replay.results import Result

_CHUNK = 128
"""Recordings per piece of work: two batches' worth, so that the second fills the places that come free in the first."""
_WORTH_BYTES = 3 * 1024 * 1024
"""About a second of judging: less is done here before another process has started."""
_PACKED = 6
"""How many times larger a packed recording becomes, roughly."""


def judge_all(paths: Sequence[Path], *, policies: Sequence[Policy | None] = (None,), processes: int) -> Iterator[Result]:
    """Judge recordings in up to ``processes`` processes; one result for each path, in the paths' order.

    Raises:
        Unavailable: a worker process was killed.
    """
    size = min(_CHUNK, max(1, math.ceil(len(paths) / processes)))
    chunks = [paths[begin : begin + size] for begin in range(0, len(paths), size)]
    worth = processes if _bytes(paths) >= _WORTH_BYTES else 1
    for results in spread(partial(_judge_chunk, policies=policies), chunks, processes=worth):
        yield from results


def _judge_chunk(paths: Sequence[Path], *, policies: Sequence[Policy | None]) -> list[Result]:
    results: dict[int, Result] = dict(judge(paths, policies=policies))
    return [results[place] for place in range(len(paths))]


def _bytes(paths: Sequence[Path]) -> int:
    """Bytes to read, about. A file that is not there costs nothing and is told later."""
    return sum(_size(path) * (_PACKED if path.suffix == ".gz" else 1) for path in paths)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
