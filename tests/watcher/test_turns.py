"""Several replicas, of which one watches at a time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from daemon.aio.tasks import background
from tests.watcher.world import World, two_versions, virtual_service


class HandTurn:
    """A turn that a test gives and takes."""

    def __init__(self) -> None:
        self._own, self._others = asyncio.Event(), asyncio.Event()
        self._others.set()

    def give(self) -> None:
        self._own.set()
        self._others.clear()

    def take(self) -> None:
        self._own.clear()
        self._others.set()

    async def begins(self) -> None:
        await self._own.wait()

    async def ends(self) -> None:
        await self._others.wait()


@pytest.fixture
async def world() -> World:
    world = World(turn=HandTurn())
    world.cluster.around_objects += two_versions()
    return world


async def test_who_has_no_turn_asks_the_cluster_nothing_and_has_no_problem(world: World) -> None:
    world.cluster.routes.put(virtual_service(blue=100, green=0))
    watcher = world.watcher()
    async with background(world.follow(watcher=watcher)):
        await world.turns()
        assert (world.kept(), watcher.problem) == ([None], None)


async def test_whoever_has_the_next_turn_goes_on_from_what_the_last_one_kept(world: World) -> None:
    first, second = HandTurn(), HandTurn()
    world.cluster.routes.put(virtual_service(blue=100, green=0))
    one, other = (replace(world, turn=turn) for turn in (first, second))
    first.give()
    async with one.running(), other.running():
        await world.settled()
        first.take()
        await world.turns()
        world.cluster.routes.put(virtual_service(blue=90, green=10))
        await world.turns()
        assert not world.submitted, "nobody has the turn"
        second.give()
        await world.settled()
        world.cluster.routes.put(virtual_service(blue=50, green=50))
        await world.settled()
        second.take()
        first.give()
        await world.turns()
        world.cluster.routes.put(virtual_service(blue=20, green=80))
        await world.settled()
    assert [one.canary.subset for one in world.submitted.values()] == ["green"]


async def test_what_was_found_and_not_taken_when_a_turn_ends_is_found_again_once(world: World) -> None:
    turn = world.turn
    assert isinstance(turn, HandTurn)
    turn.give()
    names = ("web", "web-inside")
    for name in names:
        world.cluster.routes.put(virtual_service(name, blue=100, green=0))
    notices = world.watcher().announcements()
    reading = asyncio.ensure_future(anext(notices))
    await world.settled()
    for name in names:
        world.cluster.routes.put(virtual_service(name, blue=90, green=10))
    await reading  # the other one is found, and nobody takes it
    await world.turns()
    turn.take()
    await world.turns()
    turn.give()
    for _ in names:
        await anext(notices)
    reading = asyncio.ensure_future(anext(notices))
    await world.turns()
    assert not reading.done()
    reading.cancel()
    await asyncio.wait([reading])
    await notices.aclose()
