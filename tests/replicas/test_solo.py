"""A daemon that is alone and those that share the work, on a real broker: never both, and whoever leaves says why."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from daemon.aio.clock import SystemClock
from daemon.bus import subjects
from daemon.bus.opening import open_bus
from daemon.bus.store import KvStore
from daemon.errors import InvalidInput, Refused
from daemon.ports.durable import Store
from daemon.replicas.others import TABLE
from daemon.replicas.solo import ALONE, Solo
from daemon.replicas.table import Table
from tests.hand.broker import broker
from tests.hand.ports import MemoryMeter
from tests.hand.waiting import until
from tests.replicas.test_keeper import ALL, LEASE_SECONDS, Replica, Stopping

pytestmark = [pytest.mark.live, pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("solo")]

RENEWALS_IN_A_LEASE = 4
GAVE_WAY = r"^daemons that share the work .* have come to the same NATS and cluster"
ANOTHER = "another daemon that is alone (replicas.count of 1) watches this cluster through the same NATS"


class Lone:
    """A daemon that is alone, as far as others can tell."""

    def __init__(self, store: Store) -> None:
        self.store = Stopping(store)
        self.meter = MemoryMeter()
        self.solo = Solo(self.store, lease_seconds=LEASE_SECONDS, clock=SystemClock(), meter=self.meter)
        self.stop = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def runs(self) -> None:
        """From its start until it is told to stop, and has."""
        await self.solo.comes()
        async with self.solo.at_work(self.stop):
            await self.stop.wait()
            await self.may_end.wait()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[asyncio.Task[None]]:
        """Once it has begun; at the end it is told to stop."""
        task = asyncio.ensure_future(self.runs())
        await until(lambda: task.done() or self.solo._revision > 0)
        try:
            yield task
        finally:
            self.stop.set()
            with suppress(Refused, asyncio.CancelledError):
                await task


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stores(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Callable[[], Store]]:
    """A store of its own for each test, on one broker."""
    clusters = iter(range(100))
    folder: Path = tmp_path_factory.mktemp("nats")
    async with broker(folder) as running, open_bus(running.settings, cluster="prod") as bus:
        yield lambda: KvStore(bus.connection, bucket=subjects.SESSIONS, cluster=f"cluster-{next(clusters)}", section="replicas")


async def standing(store: Store) -> bytes:
    """What stands where one that is alone shows that it lives."""
    kept = await store.get(ALONE)
    assert kept is not None
    return kept.value


async def test_one_that_is_alone_shows_that_it_lives_and_says_when_it_has_gone(stores: Callable[[], Store]) -> None:
    lone = Lone(store := stores())
    async with lone.at_work():
        first = lone.solo._revision
        await until(lambda: lone.solo._revision > first)
        assert lone.solo.problem is None
    assert await standing(store) == b"gone"


async def test_one_that_is_alone_gives_way_to_those_that_share_the_work_and_they_begin_when_it_has_ended(
    stores: Callable[[], Store],
) -> None:
    lone = Lone(store := stores())
    lone.may_end.clear()
    async with lone.at_work() as task, Replica(store).at_work() as one, Replica(store).at_work() as other:
        await lone.stop.wait()
        assert (lone.solo.problem or "").startswith("daemons that share the work")
        for _ in range(2 * RENEWALS_IN_A_LEASE):  # for longer than a lease it is still ending, and shows that
            before = lone.solo._revision
            await until(lambda before=before: lone.solo._revision > before)  # type: ignore[misc]
        assert not one.part.has | other.part.has
        assert one.keeper.problem == "a daemon that is alone (replicas.count of 1) is still here; it was asked to give way"
        lone.may_end.set()
        with pytest.raises(Refused, match=GAVE_WAY):
            await task
        await until(lambda: one.part.has | other.part.has == ALL)
        assert not one.part.has & other.part.has
        await until(lambda: one.keeper.problem is None)
        assert await standing(store) == b"gone"


async def test_one_that_was_alone_and_has_died_is_waited_for_as_long_as_a_lease(stores: Callable[[], Store]) -> None:
    lone = Lone(store := stores())
    async with lone.at_work():
        lone.store.away = True  # neither a sign nor a word any more
        async with Replica(store).at_work() as one:
            await until(lambda: one.part.has == ALL)
        assert not lone.stop.is_set()
        lone.store.away = False
        await lone.stop.wait()
        assert lone.solo.problem is not None, "it was taken for dead, and gives way when it is back"
        assert lone.meter.failures


async def test_one_that_would_be_alone_does_not_begin_beside_living_ones_that_share(stores: Callable[[], Store]) -> None:
    store = stores()
    async with Replica(store).at_work() as one:
        await until(lambda: one.part.has == ALL)
        with pytest.raises(InvalidInput, match="1, and 1 that share the work watch the same cluster through this NATS") as refused:
            await Lone(store).solo.comes()
        assert (refused.value.path, refused.value.fix) == ("replicas.count", "set it to as many as they are, or end them first")
        assert one.part.has == ALL
        assert await store.get(ALONE) is None


async def test_one_that_would_be_alone_begins_when_those_that_shared_are_dead_and_these_find_that_out(
    stores: Callable[[], Store],
) -> None:
    store = stores()
    async with Replica(store).at_work() as one:
        await until(lambda: one.part.has == ALL)
        one.store.going_on.clear()
        async with Lone(store).at_work() as task:
            kept = await store.get(TABLE)
            assert kept is not None
            assert msgspec.json.decode(kept.value, type=Table).members == ()
            assert not one.keeper.is_sure()
            one.store.going_on.set()
            with pytest.raises(Refused, match=GAVE_WAY):  # it joins anew, as one that comes
                await task
        await until(lambda: one.part.has == ALL)
        assert one.part.losses == 1


async def test_of_two_that_start_at_the_same_moment_the_one_that_is_alone_leaves(stores: Callable[[], Store]) -> None:
    store = stores()
    lone = Lone(store)
    put = lone.store.put

    async with Replica(store).at_work() as one:
        one.store.going_on.clear()

        async def first_others(key: str, value: bytes, *, over: int | None = None) -> int:
            """The other one joins after the look at the table, and before this is written."""
            one.store.going_on.set()
            await until(lambda: one.keeper.is_sure() and one.part.has == ALL)
            return await put(key, value, over=over)

        lone.store.put = first_others  # type: ignore[method-assign]
        with pytest.raises(InvalidInput, match="that share the work"):
            await lone.solo.comes()
        assert await standing(store) == b"gone"
        assert one.part.has == ALL


async def test_two_that_are_alone_are_told_apart_until_one_has_gone(stores: Callable[[], Store]) -> None:
    first, second = Lone(store := stores()), Lone(store)
    async with first.at_work():
        async with second.at_work():
            await until(lambda: first.solo.problem is not None)
            assert (first.solo.problem or "").startswith(ANOTHER)
            assert second.solo.problem is None
            second.store.away = True
            await until(lambda: first.solo.problem is None)
            second.store.away = False
            await until(lambda: second.solo.problem is not None)
        assert not first.stop.is_set()


async def test_who_empties_the_bucket_is_no_reason_to_give_way(stores: Callable[[], Store]) -> None:
    lone = Lone(store := stores())
    async with lone.at_work() as task:
        await store.delete(ALONE)
        before = lone.solo._revision
        await until(lambda: lone.solo._revision > before)
        assert not task.done()
        assert lone.solo.problem is None
        lone.solo._revision = before  # as where the answer to a write was lost
        await until(lambda: lone.solo._revision > before)
        assert lone.solo.problem is None
