"""Whose turn it is."""

import asyncio

from daemon.replicas.turn import Alone, SlotTurn
from tests.hand.clock import HandClock


async def test_a_turn_begins_when_the_slot_is_held_and_ends_when_it_is_not() -> None:
    held: int | None = None
    clock = HandClock()
    turn = SlotTurn(lambda: held, clock=clock)
    begins = asyncio.ensure_future(turn.begins())
    await asyncio.sleep(0)
    assert not begins.done()
    held = 7
    await begins
    ends = asyncio.ensure_future(turn.ends())
    await asyncio.sleep(0)
    assert not ends.done()
    held = None
    await ends


async def test_a_slot_that_was_lost_and_is_held_again_is_another_turn() -> None:
    held = 7
    turn = SlotTurn(lambda: held, clock=HandClock())
    await turn.begins()
    held = 9
    await turn.ends()


async def test_the_only_replica_has_it_at_once_and_for_ever() -> None:
    turn = Alone()
    await turn.begins()
    ends = asyncio.ensure_future(turn.ends())
    await asyncio.sleep(0)
    assert not ends.done()
    ends.cancel()
