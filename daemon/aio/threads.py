"""Work beside the event loop: what takes long, and what may never end: a file on a share that hangs, a pipe that nobody writes to.

The event loop's own threads are few and shared, and a process does not end before they have: a few hanging files would stop the
judge, every revert and the end of the daemon. So what may never end has a thread of its own, which nobody waits for at the end, and
each place that does such work has at most one at a time.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


_SMALL = 128
"""What is of so many targets takes a few ms."""


async def unless_small(work: Callable[[], T], *, size: int) -> T:
    """What ``work`` returns or raises: done in a thread, so that the event loop, on which reverts wait, stays free.

    When cancelled, ends only after the work: what it works on is nobody else's until then.

    Args:
        work: computes, and waits for nothing.
        size: of how many targets it is; with a few the way to a thread is not worth it.
    """
    if size <= _SMALL:
        return work()
    done = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait([done])
        raise


class OwnThread:
    """One place's blocking work, one piece after the other."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._newest: asyncio.Future[object] | None = None

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What ``work`` returns or raises. Who is cancelled waits no longer; what has begun goes on, and the next waits for it."""
        while self._newest is not None and not self._newest.done():
            await asyncio.wait([self._newest])
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()
        outcome.add_done_callback(_heard)
        self._newest = outcome  # type: ignore[assignment]  # a future is invariant; of this one only the end is asked
        settle = partial(_carry_out, partial(work, *args, **kwargs), outcome, loop)
        threading.Thread(target=settle, name=self._name, daemon=True).start()
        await asyncio.wait([outcome])
        return outcome.result()


def _carry_out(work: Callable[[], T], outcome: asyncio.Future[T], loop: asyncio.AbstractEventLoop) -> None:
    try:
        told: Callable[[], None] = partial(outcome.set_result, work())
    except BaseException as error:  # noqa: BLE001 - it is raised where the work was asked for
        told = partial(outcome.set_exception, error)
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(told)


def _heard(outcome: asyncio.Future[T]) -> None:
    """An error that nobody waits for any more is nothing to complain of."""
    outcome.exception()
