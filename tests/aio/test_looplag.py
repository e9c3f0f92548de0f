"""How late the event loop turns."""

import asyncio
import time

from daemon.aio import looplag


async def test_what_holds_the_loop_up_is_told_and_an_idle_one_says_next_to_nothing() -> None:
    seen: list[float] = []
    enough = asyncio.Event()

    def lagged(seconds: float) -> None:
        seen.append(seconds)
        enough.set()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(looplag.measured(lagged))
        await asyncio.sleep(0)
        time.sleep(looplag.EVERY_SECONDS + 0.1)  # noqa: ASYNC251 - this is what is to be found
        await enough.wait()
        task.cancel()
    assert seen[0] >= 0.1
