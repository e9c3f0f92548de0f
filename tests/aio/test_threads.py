"""Work that hangs is waited for by whoever asked for it, and by nobody else."""

import asyncio
import subprocess
import sys
import threading

import pytest

from daemon.aio.threads import OwnThread, unless_small


async def test_it_returns_and_raises_what_the_work_does() -> None:
    aside = OwnThread("test")
    assert await aside.run(max, 1, 2) == 2
    with pytest.raises(ZeroDivisionError):
        await aside.run(lambda: 1 // 0)
    assert await aside.run(lambda: threading.current_thread().name) == "test"


async def test_what_is_large_is_worked_out_beside_the_loop_and_what_is_small_at_once() -> None:
    for size, beside in ((10, False), (10_000, True)):
        name = await unless_small(lambda: threading.current_thread().name, size=size)
        assert (name != threading.current_thread().name) is beside


async def test_who_is_cancelled_ends_after_the_work_that_nobody_else_may_touch() -> None:
    begun, go_on = threading.Event(), threading.Event()
    done: list[str] = []

    def work() -> None:
        begun.set()
        go_on.wait(40.0)
        done.append("work")

    task = asyncio.create_task(unless_small(work, size=10_000))
    await asyncio.to_thread(begun.wait, 40.0)
    task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == ["work"]


async def test_one_piece_is_done_after_the_other_also_when_nobody_waits_for_the_first_any_more() -> None:
    aside = OwnThread("one after the other")
    go_on = threading.Event()
    done: list[str] = []

    def first() -> None:
        go_on.wait(40.0)
        done.append("first")
        raise OSError("nobody hears it")

    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await aside.run(first)
    assert [thread.name for thread in threading.enumerate()].count("one after the other") == 1
    rest = [asyncio.ensure_future(aside.run(done.append, name)) for name in ("second", "third")]
    await asyncio.sleep(0)
    assert done == []
    go_on.set()
    async with asyncio.timeout(40.0):
        await asyncio.gather(*rest)
    assert done == ["first", "second", "third"]


def test_a_process_ends_while_work_hangs() -> None:
    program = """
import asyncio, threading
from daemon.aio.threads import OwnThread

async def main():
    hanging = asyncio.ensure_future(OwnThread("test").run(threading.Event().wait))
    await asyncio.wait([hanging], timeout=0.05)

asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", program], timeout=60.0, check=False, capture_output=True)
    assert (ended.returncode, ended.stderr) == (0, b"")
