"""The writer of checkpoints: newest states only, in order, waited-for ones first, whatever the store does."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from analyzers.judge import start, terms_of
from daemon.engine import lifecycle
from daemon.engine.checkpoints import Checkpoints
from daemon.engine.keptforms import decode, encode
from daemon.engine.session import Session
from daemon.errors import Refused, Unavailable, VerdictdError
from tests.hand.clock import HandClock
from tests.hand.ports import MemoryMeter, MemoryStore, until
from tests.hand.samples import POLICY, RELEASE


class Journal(MemoryStore):
    """Remembers the order of the writes, and how many were under way for one key."""

    def __init__(self) -> None:
        super().__init__()
        self.journal: list[tuple[str, int]] = []
        self.under_way: list[str] = []

    async def put(self, key: str, value: bytes, *, over: int | None = None) -> int:
        assert key not in self.under_way
        self.under_way.append(key)
        try:
            revision = await super().put(key, value, over=over)
            self.journal.append((key, decode(value, now=0.0).session.ticks))
        finally:
            self.under_way.remove(key)
        return revision


def session(release_id: str, ticks: int = 0) -> Session:
    made = lifecycle.admitted(
        RELEASE, release_id=release_id, policy=POLICY, policy_hash="x", cluster="test", tick_seconds=1.0, split=False, now=1.0
    )
    return replace(made, ticks=ticks)


def of(store: MemoryStore, meter: MemoryMeter, *, records: MemoryStore | None = None, left: list[str] | None = None) -> Checkpoints:
    """A writer; ``left`` gets the releases that it leaves to others."""
    leave = ([] if left is None else left).append
    return Checkpoints(store, records=records or MemoryStore(), clock=HandClock(), meter=meter, leave=leave)


@asynccontextmanager
async def writing(store: MemoryStore) -> AsyncIterator[tuple[Checkpoints, MemoryMeter]]:
    meter = MemoryMeter()
    checkpoints = of(store, meter)
    task = asyncio.ensure_future(checkpoints.run())
    yield checkpoints, meter
    task.cancel()
    await asyncio.wait([task])


async def test_a_state_that_is_waiting_is_replaced_by_a_newer_one_also_in_the_middle_of_a_turn() -> None:
    store = Journal()
    store.open.clear()
    async with writing(store) as (checkpoints, _):
        for n in range(100):
            checkpoints.save(session(f"web-{n}", ticks=1))
        await until(lambda: store.under_way)
        for n in range(100):
            checkpoints.save(session(f"web-{n}", ticks=2))
        store.open.set()
        assert await checkpoints.flush(seconds=40.0)
    last = dict(store.journal)
    assert set(last.values()) == {2}
    assert len(store.journal) < 200


async def test_what_somebody_waits_for_does_not_wait_for_a_long_turn() -> None:
    store = Journal()
    async with writing(store) as (checkpoints, _):
        for n in range(1000):
            checkpoints.save(session(f"web-{n}"))
        await until(lambda: len(store.journal) > 40)
        await checkpoints.saved(session("urgent-1"))
        assert len(store.journal) < 200
        assert await checkpoints.flush(seconds=40.0)


async def test_a_removal_after_a_save_is_the_last_word_whatever_fails_between() -> None:
    store = Journal()
    async with writing(store) as (checkpoints, _):
        store.failing = Unavailable("away")
        checkpoints.save(session("web-1"))
        for _ in range(10):
            await asyncio.sleep(0)
        checkpoints.remove("web-1")
        store.failing = None
        assert await checkpoints.flush(seconds=40.0)
    assert store.data == {}


async def test_a_waiter_is_woken_by_a_newer_state_and_after_failures_too() -> None:
    store = Journal()
    async with writing(store) as (checkpoints, meter):
        store.failing = Unavailable("away")
        waiting = asyncio.ensure_future(checkpoints.saved(session("web-1", ticks=1)))
        gone = asyncio.ensure_future(checkpoints.saved(session("web-1", ticks=2)))
        await until(lambda: len(meter.failures) > 2)
        gone.cancel()
        checkpoints.save(session("web-1", ticks=3))
        store.failing = None
        await waiting
    assert store.journal[-1] == ("web-1", 3)


async def test_a_refusal_reaches_who_waits_and_nobody_else() -> None:
    store = Journal()
    store.refused = {"web-1": Refused("too large"), "web-2": ZeroDivisionError("a defect of ours")}
    async with writing(store) as (checkpoints, meter):
        with pytest.raises(Refused, match="too large"):
            await checkpoints.saved(session("web-1"))
        with pytest.raises(VerdictdError, match="ZeroDivisionError: a defect of ours"):
            await checkpoints.saved(session("web-2"))
        await checkpoints.saved(session("web-3"))
    assert [what for what, _ in meter.failures] == ["store"] * 2


async def test_a_flush_that_takes_too_long_says_so() -> None:
    store = Journal()
    store.open.clear()
    async with writing(store) as (checkpoints, _):
        checkpoints.save(session("web-1"))
        assert not await checkpoints.flush(seconds=0.01)


async def test_evidence_of_another_version_is_gathered_anew_and_the_watch_goes_on() -> None:
    """A rolling update: the pipeline that waits for this verdict must get one."""
    store, meter = MemoryStore(), MemoryMeter()
    terms = terms_of(POLICY, tick_seconds=1.0, window_seconds=60.0)
    kept = encode(replace(session("a", ticks=7), judge=start(terms)))
    old = base64.b64encode(b"vdj1" + start(terms).save()[4:])
    store.data["a"] = kept.replace(base64.b64encode(start(terms).save()), old)
    (back,) = await of(store, meter).kept.load()
    assert (back.ticks, back.judge) == (7, None)
    assert [what for what, _ in meter.failures] == ["checkpoint"]


async def test_a_store_that_refuses_after_it_was_away_is_there_again() -> None:
    store = MemoryStore()
    store.failing = Unavailable("nats is away")
    async with writing(store) as (checkpoints, meter):
        checkpoints.save(session("web-1"))
        await until(lambda: checkpoints.standing.problem)
        store.refused["web-1"] = Refused("too large")
        store.failing = None
        await until(lambda: len(meter.failures) > 1 and isinstance(meter.failures[-1][1], Refused))
        assert checkpoints.standing.problem is None
