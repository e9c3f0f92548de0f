"""Work spread over processes, results in the order of the pieces; a few pieces are handed out ahead and no more."""

import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Sequence
from itertools import islice
from typing import TypeVar

from daemon.errors import Unavailable

_Piece = TypeVar("_Piece")
_Result = TypeVar("_Result")
_AHEAD = 2


def available_processes() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(work: Callable[[_Piece], _Result], pieces: Sequence[_Piece], *, processes: int) -> Generator[_Result, None, None]:
    """Do ``work`` on every piece in up to ``processes`` processes; with one, here.

    ``work``, pieces and results must be picklable. An error that ``work`` raises is raised here at its place.

    Raises:
        Unavailable: a worker process was killed.
    """
    if min(processes, len(pieces)) <= 1:
        yield from map(work, pieces)
        return
    # Imported here: most replays need no second process, and their start is waited for.
    import multiprocessing
    from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor

    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(min(processes, len(pieces)), mp_context=context, initializer=_ignore_interrupts)
    try:
        waiting = iter(pieces)
        ahead = deque(pool.submit(work, piece) for piece in islice(waiting, processes + _AHEAD))
        while ahead:
            yield ahead.popleft().result()
            ahead.extend(pool.submit(work, piece) for piece in islice(waiting, 1))
    except BrokenProcessPool as error:
        raise Unavailable("a worker process was killed (out of memory?); try --processes 1") from error
    except BaseException:
        # An error, an interrupt, or nobody wants the rest: a piece may take minutes, and its result is of no use any more.
        for worker in set(multiprocessing.active_children()) - others:
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _ignore_interrupts() -> None:
    """Ctrl-C reaches every process of the terminal; the first one ends the others, in silence."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
