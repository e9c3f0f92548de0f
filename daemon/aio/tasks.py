"""Tasks and their owners: nothing runs that nobody waits for, and who ends a task sees its end.

A ``TaskGroup`` is the owner wherever one fits. What is here is for where it does not: a body that owns work beside it, the end of
tasks in an order of one's own, a body that is left when an event is set, and a library that loses cancellations.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Collection, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from types import TracebackType
from typing import Any, Self

_CANCEL_AGAIN_SECONDS = 0.1


class TaskGroup(asyncio.TaskGroup):  # noqa: TID251 - the one place where it may be
    """``asyncio.TaskGroup``, but where its owner is cancelled in the turn in which a child fails, it is cancelled.

    Before Python 3.13 only the child's failure is raised then: an owner that tries again after a failure would go on, and whoever
    wants it to end would wait for ever. A group that fails while it waits for its children's ends also leaves a cancellation of
    its own uncounted for, so that nobody could tell it from one that was asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self._cancellations_before = 0

    async def __aenter__(self) -> Self:
        self._cancellations_before = cancellations()
        return await super().__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        accounted = self._has_cancelled_its_owner()
        try:
            await super().__aexit__(kind, error, traceback)
        except BaseException as failure:
            owner = asyncio.current_task()
            if sys.version_info < (3, 13) and owner is not None and self._has_cancelled_its_owner() and not accounted:
                owner.uncancel()
            if isinstance(failure, BaseExceptionGroup) and sys.version_info >= (3, 13) and cancellations():
                with suppress(asyncio.CancelledError):  # it comes again, at whatever is awaited next: here, not in a clean-up
                    await asyncio.sleep(0)
            if isinstance(failure, BaseExceptionGroup) and cancellations() > self._cancellations_before:
                raise asyncio.CancelledError from failure
            raise

    def _has_cancelled_its_owner(self) -> bool:
        return bool(getattr(self, "_parent_cancel_requested", False))


@asynccontextmanager
async def background(*works: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run ``works`` until the body ends, then cancel them. A work that raises ends the body, in an ExceptionGroup.

    So does a work that a library's stray cancellation ends (``contained``): a task group alone would go on without it, unseen.

    A TaskGroup alone would wrap whatever the body raises into an ExceptionGroup. Here the body's error stays what it is, and the
    work never outlives the body.
    """
    failure: BaseException | None = None
    try:
        async with TaskGroup() as group:
            tasks = [group.create_task(_contained(work)) for work in works]
            try:
                yield
            except asyncio.CancelledError:
                # Either the caller is cancelled or a work failed: the group knows which, and raises accordingly.
                raise
            except BaseException as error:  # noqa: BLE001 - raised again below, once the works have ended
                failure = error
            finally:
                for task in tasks:
                    task.cancel()
    finally:
        for work in works:
            work.close()  # one that was cancelled before its first step
    if failure is not None:
        raise failure


@asynccontextmanager
async def until_set(stop: asyncio.Event) -> AsyncIterator[asyncio.Timeout]:
    """Leave the body when ``stop`` is set, whatever it waits for. ``expired`` of what is given says so afterwards."""
    limit = asyncio.timeout(None)

    async def watch() -> None:
        await stop.wait()
        limit.reschedule(asyncio.get_running_loop().time())

    async with background(watch()):
        try:
            async with limit:
                yield limit
        except TimeoutError:
            if not limit.expired():
                raise


@contextmanager
def contained() -> Iterator[None]:
    """Somebody else's code in the body: an exit or a cancellation that it raises by itself is a defect of its own, as any other.

    Raises:
        RuntimeError: in the place of either. A cancellation that was asked for passes.
    """
    try:
        yield
    except SystemExit as error:
        raise RuntimeError(f"it wanted to end the process, with {error.code!r}") from error
    except asyncio.CancelledError as error:
        if _asked_for():
            raise
        raise RuntimeError("it was cancelled, and not by us") from error


async def _contained(work: Coroutine[None, None, None]) -> None:
    with contained():
        await work


def _asked_for() -> bool:
    """Whether whoever owns the current task has cancelled it; outside a task nobody can have."""
    return cancellations() > 0


def cancellations() -> int:
    """How often the running task has been asked to end and has not said that it goes on; outside a task nobody can have."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop runs
        return 0
    return 0 if task is None else task.cancelling()


async def cancel_all(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel these and wait for their ends. What they raise is their owners' to hear."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


async def cancelled_for_sure(work: Coroutine[None, None, None]) -> None:
    """Await ``work``, and when cancelled cancel it until it has ended.

    Before Python 3.12 ``asyncio.wait_for``, with which libraries wait, loses a cancellation that comes in the same turn as the
    result; the library would then go on trying until the time is over.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task])
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_CANCEL_AGAIN_SECONDS)
        error = None if task.cancelled() else task.exception()
    if error is not None:
        raise error
