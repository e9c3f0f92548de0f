"""How long a write is waited for."""

import asyncio

import pytest

from daemon.bus.patience import MOST_SECONDS, Patience


async def missed(patience: Patience) -> None:
    """A write that is not answered in time."""
    with pytest.raises(TimeoutError):
        async with patience.waiting():
            await asyncio.Event().wait()


async def test_what_is_not_answered_is_waited_for_twice_as_long_the_next_time() -> None:
    patience = Patience(least_seconds=0.01)
    found = []
    for _ in range(3):
        await missed(patience)
        found.append(patience.seconds)
    assert found == [0.02, 0.04, 0.08]


async def test_many_that_are_not_answered_at_the_same_time_are_one() -> None:
    patience = Patience(least_seconds=0.05)
    await asyncio.gather(*(missed(patience) for _ in range(20)))
    assert patience.seconds == 0.1


async def test_nothing_is_waited_for_longer_than_the_most() -> None:
    patience = Patience(least_seconds=0.01)
    patience.seconds = 1.0
    async with patience.waiting() as seconds:
        pass
    assert seconds == 1.0
    patience = Patience(least_seconds=MOST_SECONDS)
    async with patience.waiting():
        patience.seconds = 2 * MOST_SECONDS
    assert patience.seconds == MOST_SECONDS


async def test_where_writes_are_fast_again_they_are_waited_for_as_at_first() -> None:
    patience = Patience(least_seconds=1.0)
    patience.seconds = 8.0
    found = []
    for _ in range(4):
        async with patience.waiting():
            pass
        found.append(patience.seconds)
    assert found == [4.0, 2.0, 1.0, 1.0]


async def test_an_error_that_is_an_answer_changes_nothing() -> None:
    patience = Patience(least_seconds=1.0)
    patience.seconds = 8.0
    with pytest.raises(ValueError, match="refused"):
        async with patience.waiting():
            raise ValueError("refused")
    assert patience.seconds == 8.0


async def test_when_the_connection_is_lost_nothing_is_waited_for_longer_than_at_first() -> None:
    patience = Patience(least_seconds=0.01)
    patience.seconds = 600.0
    waiting = asyncio.ensure_future(missed(patience))
    await asyncio.sleep(0.02)
    patience.lost()
    async with asyncio.timeout(10.0):
        await waiting
    assert patience.seconds == 600.0, "it says nothing of how long writes take"
