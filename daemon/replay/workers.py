"""Recordings spread over processes, results in the order of the files. One process is never started for a moment's work."""

import math
import multiprocessing
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path

from config.policy import Policy
from daemon.errors import Unavailable
from daemon.replay.lockstep import judge
from daemon.replay.results import Result

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
    if min(processes, len(chunks)) <= 1 or _bytes(paths) < _WORTH_BYTES:
        for chunk in chunks:
            yield from _judge_chunk(chunk, policies)
        return
    yield from _spread(chunks, policies, processes=min(processes, len(chunks)))


def _spread(chunks: Sequence[Sequence[Path]], policies: Sequence[Policy | None], *, processes: int) -> Iterator[Result]:
    """Hand out a few pieces ahead and no more, so that results do not pile up here."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_ignore_interrupts)
    try:
        waiting = iter(chunks)
        ahead = deque(pool.submit(_judge_chunk, chunk, policies) for chunk in islice(waiting, processes + 2))
        while ahead:
            yield from _result(ahead.popleft())
            ahead.extend(pool.submit(_judge_chunk, chunk, policies) for chunk in islice(waiting, 1))
    finally:
        pool.shutdown(cancel_futures=True)


def _result(future: "Future[list[Result]]") -> list[Result]:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise Unavailable("a worker process was killed (out of memory?); try --processes 1") from error


def _judge_chunk(paths: Sequence[Path], policies: Sequence[Policy | None]) -> list[Result]:
    results: dict[int, Result] = dict(judge(paths, policies=policies))
    return [results[place] for place in range(len(paths))]


def _ignore_interrupts() -> None:
    """Ctrl-C reaches every process of the terminal; the first one ends the others, in silence."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _bytes(paths: Sequence[Path]) -> int:
    """Bytes to read, about. A file that is not there costs nothing and is told later."""
    return sum(_size(path) * (_PACKED if path.suffix == ".gz" else 1) for path in paths)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
