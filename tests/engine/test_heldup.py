"""What cannot be done at a release's end is said by what it is, for as long as somebody waits for it."""

import asyncio

import pytest

from daemon.engine.heldup import HeldUp
from tests.hand.waiting import until


def test_nothing_is_said_before_a_try_has_failed_nor_after_it_succeeds() -> None:
    held_up = HeldUp()
    with held_up.waiting("publish") as failed:
        assert (held_up.problem, held_up.verdicts) == (None, 0)
        failed("no room")
        failed("still no room")
        assert (held_up.problem, held_up.verdicts) == ("verdicts not published (1): still no room", 1)
    assert (held_up.problem, held_up.verdicts) == (None, 0)


def test_one_that_is_published_does_not_hide_another_that_waits_and_each_step_is_said() -> None:
    held_up = HeldUp()
    with held_up.waiting("publish") as large, held_up.waiting("audit") as audit:
        large("too large")
        audit("no room")
        with held_up.waiting("publish"):
            pass
        assert held_up.problem == "verdicts not published (1): too large; not told to the audit (1): no room"
        assert held_up.verdicts == 1


async def test_who_is_cancelled_waits_no_longer() -> None:
    held_up = HeldUp()

    async def waits() -> None:
        with held_up.waiting("record") as failed:
            failed("no room")
            await asyncio.Event().wait()

    task = asyncio.create_task(waits())
    await until(lambda: held_up.problem is not None)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert held_up.problem is None
