"""One call for many callers, none of whom gets an answer older than the question."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from daemon.aio.singleflight import SingleFlight
from daemon.errors import Unavailable


@dataclass
class Slow:
    """Calls that end when they are let go; each returns its number."""

    calls: int = 0
    fails: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self) -> int:
        self.calls += 1
        number = self.calls
        await self.gate.wait()
        if self.fails:
            raise Unavailable(f"call {number}")
        return number


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_comes_during_a_call_shares_the_next_one() -> None:
    slow = Slow()
    shared = SingleFlight(slow)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(shared())
        await settle()
        late = [group.create_task(shared()) for _ in range(100)]
        await settle()
        slow.gate.set()
    assert first.result() == 1
    assert {task.result() for task in late} == {2}
    assert slow.calls == 2


async def test_who_comes_after_a_call_gets_a_new_one() -> None:
    slow = Slow()
    slow.gate.set()
    shared = SingleFlight(slow)
    assert [await shared(), await shared()] == [1, 2]
    assert shared._newest is None


async def test_an_error_is_shared_and_not_kept() -> None:
    slow = Slow(fails=True)
    shared = SingleFlight(slow)
    tasks = [asyncio.ensure_future(shared()) for _ in range(10)]
    await settle()
    slow.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)
    assert slow.calls == 1, "they came in one turn of the loop"
    slow.fails = False
    assert await shared() == slow.calls


async def test_a_caller_who_is_cancelled_leaves_the_call_to_the_others() -> None:
    slow = Slow()
    shared = SingleFlight(slow)
    first, second = asyncio.ensure_future(shared()), asyncio.ensure_future(shared())
    await settle()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    slow.gate.set()
    assert await second == 2


async def test_those_who_shared_a_call_share_what_they_want_next() -> None:
    calls = Counter[str]()

    def called(name: str) -> Callable[[], Awaitable[str]]:
        async def call() -> str:
            calls[name] += 1
            await asyncio.sleep(0.01)
            return name

        return call

    first, second, third = (SingleFlight(called(name)) for name in ("rules", "services", "pods"))

    async def one() -> None:
        await first()
        await second()
        await asyncio.gather(third(), third())

    await asyncio.gather(*(one() for _ in range(20)))
    assert calls == {"rules": 1, "services": 1, "pods": 1}
