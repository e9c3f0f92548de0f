"""Run work beside a body that owns it.

A TaskGroup alone would wrap whatever the body raises into an ExceptionGroup, and the caller of ``open_bus`` wants the
error itself. Here the body's error stays what it is, and the work never outlives the body.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager


@asynccontextmanager
async def beside(*works: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run ``works`` until the body ends, then cancel them. A work that raises ends the body, in an ExceptionGroup."""
    failure: BaseException | None = None
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
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
    if failure is not None:
        raise failure
