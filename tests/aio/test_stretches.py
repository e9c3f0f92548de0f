"""Long work on the loop in short stretches."""

import asyncio
import time

import pytest

from daemon.aio import stretches
from daemon.aio.stretches import in_stretches


async def test_who_waits_has_its_turn_in_the_middle_of_work_that_takes_long() -> None:
    done: list[object] = []
    asyncio.get_running_loop().call_soon(done.append, "a revert")
    async for number in in_stretches(range(3)):
        done.append(number)
        _busy(stretches.STRETCH_SECONDS)
    assert done == [0, "a revert", 1, 2]


async def test_work_that_takes_no_time_is_done_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stretches, "STRETCH_SECONDS", 60.0)
    others: list[str] = []
    asyncio.get_running_loop().call_soon(others.append, "a revert")
    assert [number async for number in in_stretches(range(3))] == [0, 1, 2]
    assert others == []


def _busy(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() <= until:
        pass
