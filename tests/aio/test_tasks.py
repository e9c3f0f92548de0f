"""Tasks and their owners."""

import asyncio

import pytest

from daemon.aio.tasks import TaskGroup, background, cancel_all, cancellations, cancelled_for_sure, until_set
from daemon.errors import InvalidInput, Unavailable


@pytest.mark.parametrize("turns", range(8))
async def test_an_owner_that_tries_again_after_a_failure_can_be_cancelled_in_any_turn(turns: int) -> None:
    began = asyncio.Event()

    async def fails() -> None:
        began.set()
        await asyncio.sleep(0)
        raise Unavailable("again")

    async def tries() -> None:
        for _ in range(100):
            try:
                async with TaskGroup() as group:
                    group.create_task(fails())
            except* Unavailable:
                pass

    owner = asyncio.ensure_future(tries())
    await began.wait()
    for _ in range(turns):
        await asyncio.sleep(0)
    assert not owner.done()
    owner.cancel()
    await asyncio.wait([owner])
    assert owner.cancelled()


async def test_a_group_that_has_failed_leaves_no_cancellation_of_its_owner() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise Unavailable("theirs")

    with pytest.raises(ExceptionGroup):
        async with TaskGroup() as group:
            group.create_task(fails())
    assert cancellations() == 0
    await asyncio.sleep(0)


@pytest.mark.parametrize("turns", range(3))
async def test_an_owner_that_is_cancelled_as_a_child_fails_can_tidy_up(turns: int) -> None:
    began, tidied = asyncio.Event(), asyncio.Event()

    async def fails() -> None:
        began.set()
        await asyncio.sleep(0)
        raise Unavailable("theirs")

    async def owns() -> None:
        try:
            async with TaskGroup() as group:
                group.create_task(fails())
        finally:
            await asyncio.sleep(0)
            tidied.set()

    owner = asyncio.ensure_future(owns())
    await began.wait()
    for _ in range(turns):
        await asyncio.sleep(0)
    owner.cancel()
    await asyncio.wait([owner])
    assert owner.cancelled()
    assert tidied.is_set()


async def test_an_owner_that_was_asked_to_end_before_hears_what_failed() -> None:
    """Who has heard of the cancellation and tidies up by a group of its own is not ended again by it."""

    async def fails() -> None:
        raise Unavailable("while tidying up")

    async def tidies_up() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            with pytest.raises(ExceptionGroup) as caught:
                async with TaskGroup() as group:
                    group.create_task(fails())
            await asyncio.sleep(0)
            return str(caught.value.exceptions[0])
        return "never"

    owner = asyncio.ensure_future(tidies_up())
    await asyncio.sleep(0)
    owner.cancel()
    assert await owner == "while tidying up"


async def test_a_body_keeps_its_own_error_and_its_work_ends_with_it() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def body() -> None:
        async with background(work()):
            await asyncio.sleep(0)
            raise InvalidInput("mine")

    with pytest.raises(InvalidInput, match="mine"):
        await body()
    assert ended.is_set()


async def test_work_that_fails_ends_the_body() -> None:
    async def work() -> None:
        raise Unavailable("theirs")

    async def body() -> None:
        async with background(work()):
            await asyncio.sleep(60)

    with pytest.raises(ExceptionGroup) as caught:
        await body()
    assert caught.group_contains(Unavailable)


async def test_a_body_is_left_when_the_event_is_set() -> None:
    stop = asyncio.Event()
    async with until_set(stop) as limit:
        stop.set()
        await asyncio.Event().wait()
    assert limit.expired()


async def test_a_time_out_of_the_bodys_own_is_its_error() -> None:
    async def body() -> None:
        async with until_set(asyncio.Event()):
            raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        await body()


async def test_all_are_cancelled_and_have_ended() -> None:
    async def failing() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise Unavailable("at the end")

    tasks = [asyncio.ensure_future(asyncio.Event().wait()), asyncio.ensure_future(failing())]
    await asyncio.sleep(0)
    await cancel_all(tasks)
    assert tasks[0].cancelled()
    assert isinstance(tasks[1].exception(), Unavailable)
    await cancel_all([])


async def test_work_that_loses_a_cancellation_is_cancelled_again() -> None:
    lost = 0

    async def losing() -> None:
        nonlocal lost
        while lost < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
        await asyncio.Event().wait()

    task = asyncio.ensure_future(cancelled_for_sure(losing()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await cancel_all([task])
    assert task.cancelled()
    assert lost == 2


async def test_what_the_work_raises_is_raised() -> None:
    async def failing() -> None:
        raise Unavailable("theirs")

    with pytest.raises(Unavailable, match="theirs"):
        await cancelled_for_sure(failing())


async def test_a_work_that_a_stray_cancellation_ends_ends_the_body() -> None:
    stray = asyncio.get_running_loop().create_future()

    async def work() -> None:
        await stray

    async def owner() -> None:
        async with background(work()):
            stray.cancel()
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as raised:
        await owner()
    assert raised.group_contains(RuntimeError, match="cancelled, and not by us")


async def test_a_work_whose_body_ends_at_once_leaves_no_coroutine_behind() -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    async with background(work()):
        pass
