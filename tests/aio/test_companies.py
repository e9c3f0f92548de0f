"""Companies: who goes together, who waits, and that nobody waits for ever."""

import asyncio
from collections.abc import Hashable

import pytest

from daemon.aio.companies import Companies


class Walk:
    """Members that stay until they are let go; remembers who began in which turn of the loop."""

    def __init__(self, companies: Companies) -> None:
        self.companies = companies
        self.inside: list[str] = []
        self.begun: list[str] = []
        self.open = asyncio.Event()

    async def member(self, group: Hashable, name: str) -> None:
        async with self.companies.joined(group):
            self.begun.append(name)
            self.inside.append(name)
            opened = self.open
            try:
                await opened.wait()
            finally:
                self.inside.remove(name)

    def send(self, *names: str) -> list[asyncio.Task[None]]:
        """The first letter is the group."""
        return [asyncio.ensure_future(self.member(name[0], name)) for name in names]

    async def release(self) -> None:
        """Let those go who are inside now."""
        opened, self.open = self.open, asyncio.Event()
        opened.set()
        await turns()


async def turns() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


async def test_who_comes_when_there_is_no_line_goes_at_once() -> None:
    walk = Walk(Companies(at_once=2))
    tasks = walk.send("a1")
    await turns()
    tasks += walk.send("b1")
    await turns()
    assert walk.inside == ["a1", "b1"]
    walk.open.set()
    await asyncio.gather(*tasks)


async def test_neighbours_who_wait_begin_together_and_in_the_order_of_the_first_of_them() -> None:
    walk = Walk(Companies(at_once=1, least=2))
    tasks = walk.send("a1")
    await turns()
    tasks += walk.send("b1", "c1", "b2", "a2", "b3")
    await turns()
    assert walk.inside == ["a1"]
    await walk.release()
    assert walk.inside == ["b1", "b2", "b3"]
    await walk.release()
    assert walk.inside == ["c1", "a2"], "small groups fill a company up"
    walk.open.set()
    await asyncio.gather(*tasks)


async def test_a_large_group_goes_in_several_companies_by_turns_with_the_others() -> None:
    walk = Walk(Companies(at_once=1, least=2, most=3))
    tasks = walk.send("a1", "a2", "a3", "a4", "b1", "b2", "b3")
    await turns()
    assert walk.inside == ["a1", "a2", "a3"]
    await walk.release()
    assert walk.inside == ["b1", "b2", "b3"]
    await walk.release()
    assert walk.inside == ["a4"]
    walk.open.set()
    await asyncio.gather(*tasks)


async def test_a_company_is_filled_up_with_no_more_of_the_next_group_than_it_has_room_for() -> None:
    walk = Walk(Companies(at_once=1, least=3, most=4))
    tasks = walk.send("a1", "a2", "b1", "b2", "b3")
    await turns()
    assert walk.inside == ["a1", "a2", "b1", "b2"]
    await walk.release()
    assert walk.inside == ["b3"]
    walk.open.set()
    await asyncio.gather(*tasks)


async def test_a_large_group_that_keeps_coming_back_keeps_nobody_waiting_for_ever() -> None:
    walk = Walk(Companies(at_once=1, least=1, most=2))
    tasks = walk.send("a1", "a2", "a3", "a4", "a5")
    await turns()
    tasks += walk.send("b1")
    await walk.release()
    tasks += walk.send("a1", "a2")
    await walk.release()
    tasks += walk.send("a3", "a4")
    await walk.release()
    assert "b1" in walk.begun
    walk.open.set()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("waits", [True, False])
async def test_who_is_cancelled_leaves_the_line_or_the_company(*, waits: bool) -> None:
    walk = Walk(Companies(at_once=1))
    tasks = walk.send("a1")
    await turns()
    tasks += walk.send("b1", "c1")
    await turns()
    tasks[1 if waits else 0].cancel()
    await turns()
    if waits:
        assert walk.inside == ["a1"]
        await walk.release()
    assert walk.inside == (["c1"] if waits else ["b1", "c1"])
    walk.open.set()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_who_is_cancelled_in_the_turn_in_which_its_company_begins_takes_no_place_along() -> None:
    walk = Walk(Companies(at_once=1))
    for steps in range(6):
        tasks = walk.send("a1")
        for _ in range(steps):
            await asyncio.sleep(0)
        tasks[0].cancel()
        await turns()
        after = walk.send("b1")
        await turns()
        assert walk.inside == ["b1"]
        await walk.release()
        await asyncio.gather(*after)


async def test_a_member_that_fails_leaves_as_any_other() -> None:
    companies = Companies(at_once=1)

    async def fails() -> None:
        async with companies.joined("a"):
            raise ValueError("mine")

    for _ in range(3):
        with pytest.raises(ValueError, match="mine"):
            await fails()


async def test_a_company_that_is_kept_waiting_does_not_keep_the_others_waiting() -> None:
    walk = Walk(Companies(at_once=1, place_seconds=0.01))
    tasks = walk.send("a1")
    await turns()
    tasks += walk.send("b1")
    async with asyncio.timeout(10.0):
        while walk.inside != ["a1", "b1"]:
            await asyncio.sleep(0.001)
    walk.open.set()
    await asyncio.gather(*tasks)
    assert walk.begun == ["a1", "b1"]
