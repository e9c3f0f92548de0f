"""Two replicas on a real broker: each slot is one's, whoever comes, goes, dies or is stopped for a while."""

import asyncio
from collections.abc import AsyncIterator, Callable
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from daemon.aio.clock import SystemClock
from daemon.aio.tasks import background
from daemon.bus import subjects
from daemon.bus.opening import open_bus
from daemon.bus.store import KvStore
from daemon.errors import Unavailable
from daemon.ports.durable import Kept, Store
from daemon.replicas.keeper import Keeper
from daemon.replicas.others import DEAD, TABLE, sign
from daemon.replicas.slots import SLOTS
from daemon.replicas.table import Table
from tests.hand.broker import broker
from tests.hand.ports import MemoryMeter
from tests.hand.samples import RELEASE
from tests.hand.waiting import until

ALL = frozenset(range(SLOTS))
LEASE_SECONDS = 1.0

pytestmark = [pytest.mark.live, pytest.mark.asyncio(loop_scope="module")]


class Part:
    """``Moves`` that notes what it has; ``together`` is told of all that both have."""

    def __init__(self) -> None:
        self.has: frozenset[int] = frozenset()
        self.given_up = self.losses = 0

    def gained(self, slots: AbstractSet[int]) -> None:
        assert not self.has & slots
        self.has |= slots

    async def give_up(self, slots: AbstractSet[int]) -> None:
        await asyncio.sleep(0.01)
        self.has -= slots
        self.given_up += bool(slots)

    def lost(self, slots: AbstractSet[int]) -> None:
        assert self.has >= slots
        self.has -= slots
        self.losses += 1


class Stopping:
    """A store that a test can take away from one replica, as SIGSTOP does: its calls wait until it goes on."""

    def __init__(self, store: Store) -> None:
        self.inner = store
        self.going_on = asyncio.Event()
        self.going_on.set()
        self.away = False
        self.writing = asyncio.Event()
        self.writing.set()
        self.looks = 0
        self.answers_to_lose = 0
        self.lost: list[str] = []

    async def _turn(self) -> None:
        await self.going_on.wait()
        if self.away:
            raise Unavailable("no connection to NATS")

    async def put(self, key: str, value: bytes, *, over: int | None = None) -> int:
        await self._turn()
        if value != DEAD:
            await self.writing.wait()
        revision = await self.inner.put(key, value, over=over)
        if self.answers_to_lose and key.startswith(sign("")):
            self.answers_to_lose -= 1
            self.lost.append(key)
            await asyncio.Event().wait()
        return revision

    async def get(self, key: str) -> Kept | None:
        await self._turn()
        self.looks += 1
        return await self.inner.get(key)

    async def delete(self, key: str) -> None:
        await self._turn()
        await self.inner.delete(key)

    async def items(self) -> list[tuple[str, Kept]]:
        await self._turn()
        return await self.inner.items()


class SetClock(SystemClock):
    """Its time of day can be set."""

    off_seconds = 0.0

    def now(self) -> float:
        return super().now() + self.off_seconds


class Replica:
    """A keeper at work."""

    def __init__(self, store: Store, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self.store = Stopping(store)
        self.clock = SetClock()
        self.part = Part()
        self.meter = MemoryMeter()
        self.keeper = Keeper(self.store, lease_seconds=lease_seconds, clock=self.clock, meter=self.meter)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator["Replica"]:
        async with background(self.keeper.run(self.part)):
            yield self


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nats")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stores(folder: Path) -> AsyncIterator[Callable[[], Store]]:
    """A store of its own for each test, on one broker."""
    clusters = iter(range(100))
    async with broker(folder) as running, open_bus(running.settings, cluster="prod") as bus:
        yield lambda: KvStore(bus.connection, bucket=subjects.SESSIONS, cluster=f"cluster-{next(clusters)}", section="replicas")


def shared(*replicas: Replica) -> bool:
    """Whether each has its even part, and all of them everything."""
    parts = [one.part.has for one in replicas]
    return sum(map(len, parts)) == SLOTS and frozenset().union(*parts) == ALL and max(map(len, parts)) - min(map(len, parts)) <= 1


async def test_the_second_is_handed_its_part_and_hands_it_back_at_once_when_it_leaves(stores: Callable[[], Store]) -> None:
    store = stores()
    async with Replica(store).at_work() as first:
        await until(lambda: first.part.has == ALL)
        assert first.keeper.problem is None
        async with Replica(store).at_work() as second:
            await until(lambda: shared(first, second))
            assert first.part.given_up == 1
            assert not first.part.losses
            mine, other = (first, second) if first.keeper.holder_of(RELEASE) == first.keeper.me else (second, first)
            await until(lambda: other.keeper.holder_of(RELEASE) == mine.keeper.me)
            assert mine.keeper.number_of(RELEASE) > 0
            assert other.keeper.number_of(RELEASE) == 0
        before = asyncio.get_running_loop().time()
        await second.keeper.leave()
        await until(lambda: first.part.has == ALL)
        assert asyncio.get_running_loop().time() - before < LEASE_SECONDS, "nobody waited for its lease to end"
        assert await store.get(f"sign-{second.keeper.name}") is None


async def test_what_a_dead_one_had_is_the_others_when_its_lease_has_ended_and_not_before(stores: Callable[[], Store]) -> None:
    store = stores()
    async with Replica(store).at_work() as first:
        async with Replica(store).at_work() as second:
            await until(lambda: shared(first, second))
            assert second.keeper.is_sure()
        while second.keeper.is_sure():
            assert shared(first, second)
            await asyncio.sleep(0.01)
        await until(lambda: first.part.has == ALL)


@pytest.mark.parametrize("seconds", [-7200.0, 7200.0])
async def test_a_clock_that_is_set_ends_no_lease_and_moves_nothing(stores: Callable[[], Store], seconds: float) -> None:
    store = stores()
    slow = 4 * LEASE_SECONDS  # so that a sign of life is looked at more than once
    async with Replica(store, lease_seconds=slow).at_work() as first, Replica(store, lease_seconds=slow).at_work() as second:
        await until(lambda: shared(first, second))
        parts = first.part.has, second.part.has
        second.clock.off_seconds = seconds
        sign = f"sign-{second.keeper.name}"
        shown, began = 0, await store.get(sign)
        while shown < 3:
            await asyncio.sleep(0.01)
            if (newest := await store.get(sign)) != began:
                shown, began = shown + 1, newest
            assert (first.part.has, second.part.has) == parts
        assert not first.part.losses
        assert not second.part.losses


async def test_one_that_was_stopped_for_longer_than_its_lease_is_not_sure_then_loses_everything_and_joins_anew(
    stores: Callable[[], Store],
) -> None:
    store = stores()
    async with Replica(store).at_work() as first, Replica(store).at_work() as second:
        await until(lambda: shared(first, second))
        name, had = second.keeper.name, second.part.has
        second.store.going_on.clear()
        await until(lambda: first.part.has == ALL)
        assert not second.keeper.is_sure()
        waiting = asyncio.ensure_future(second.keeper.sure())
        assert second.part.has == had, "it cannot know yet"
        second.store.going_on.set()
        await until(lambda: second.keeper.name != name)
        assert second.part.losses == 1
        await until(lambda: shared(first, second))
        await waiting
        assert [number for number in [one.number for one in (await table(store)).slots] if not number] == []


async def test_while_the_store_is_away_nobody_is_sure_nobody_is_taken_for_dead_and_all_go_on_with_what_they_have_after_it(
    stores: Callable[[], Store],
) -> None:
    store = stores()
    async with Replica(store).at_work() as first, Replica(store).at_work() as second:
        await until(lambda: shared(first, second))
        names, had = (first.keeper.name, second.keeper.name), (first.part.has, second.part.has)
        first.store.away = second.store.away = True
        await until(lambda: not first.keeper.is_sure() and not second.keeper.is_sure())
        await asyncio.sleep(LEASE_SECONDS)
        assert first.keeper.problem == "no connection to NATS"
        first.store.away = second.store.away = False
        await until(lambda: first.keeper.is_sure() and second.keeper.is_sure())
        await asyncio.sleep(LEASE_SECONDS)
        assert (first.keeper.name, second.keeper.name) == names
        assert (first.part.has, second.part.has) == had
        assert first.part.losses == second.part.losses == 0


async def test_who_has_no_answer_to_its_own_sign_of_life_takes_nobody_for_dead(stores: Callable[[], Store]) -> None:
    """As where a disk is slow: a sign of life waits there, and a word that somebody is dead might come before it."""
    store = stores()
    async with Replica(store).at_work() as first, Replica(store).at_work() as second:
        await until(lambda: shared(first, second))
        before = first.part.has, second.part.has
        for one in (first, second):
            one.store.writing.clear()
        await until(lambda: not first.keeper.is_sure() and not second.keeper.is_sure())
        enough = [one.store.looks + 40 for one in (first, second)]  # two a look, four looks a second
        await until(lambda: first.store.looks > enough[0] and second.store.looks > enough[1])
        for one in (first, second):
            kept = await store.get(sign(one.keeper.name))
            assert kept is not None
            assert kept.value != DEAD
            one.store.writing.set()
        await until(lambda: first.keeper.is_sure() and second.keeper.is_sure())
        assert (first.part.has, second.part.has) == before
        assert not first.part.losses + second.part.losses


async def test_a_renewal_whose_answer_was_lost_counts_from_when_it_was_sent(stores: Callable[[], Store]) -> None:
    store = stores()
    async with Replica(store).at_work() as only:
        await until(lambda: only.part.has == ALL)
        name, revision = only.keeper.name, only.keeper._own_revision
        await until(lambda: only.keeper._own_revision > revision)
        only.keeper._own_revision = revision
        await until(lambda: only.keeper._own_revision > revision)
        assert only.keeper.name == name
        assert only.keeper.is_sure()


@pytest.mark.parametrize("words", [b"\xff{", b'"soon"', b"1e300"], ids=["no JSON", "no time", "a time to come"])
async def test_a_sign_of_life_that_somebody_else_has_written_is_written_over_and_lengthens_no_lease(
    stores: Callable[[], Store], words: bytes
) -> None:
    store = stores()
    async with Replica(store).at_work() as first, Replica(store).at_work() as second:
        await until(lambda: shared(first, second))
        name = first.keeper.name
        revision = await store.put(sign(name), words)
        await until(lambda: first.keeper._own_revision > revision)
        assert (first.keeper.name, first.part.losses, second.part.losses) == (name, 0, 0)
        first.store.away = True
        await until(lambda: not first.keeper.is_sure())


async def test_an_answer_that_is_lost_costs_nobody_its_lease_however_long_the_store_would_wait_for_it(
    stores: Callable[[], Store],
) -> None:
    store = stores()
    slow = 3 * LEASE_SECONDS  # as it is by default
    async with Replica(store, lease_seconds=slow).at_work() as first, Replica(store, lease_seconds=slow).at_work() as second:
        await until(lambda: shared(first, second))
        name, had = second.keeper.name, second.part.has
        second.store.answers_to_lose = 1
        await until(lambda: second.store.lost == [sign(name)])
        revision = second.keeper._own_revision
        while second.keeper._own_revision == revision:
            assert second.keeper.is_sure()
            await asyncio.sleep(0.01)
        assert (second.keeper.name, second.part.has, second.part.losses) == (name, had, 0)


async def test_who_empties_the_bucket_ends_nobodys_work_and_everything_stands_there_again(stores: Callable[[], Store]) -> None:
    store = stores()
    async with Replica(store).at_work() as first, Replica(store).at_work() as second:
        await until(lambda: shared(first, second))
        await until(lambda: first.keeper.holder_of(RELEASE) == second.keeper.holder_of(RELEASE) is not None)
        before = await table(store)
        for key, _ in await store.items():
            await store.delete(key)
        signs = {f"sign-{one.keeper.name}" for one in (first, second)}
        async with asyncio.timeout(30):
            while {key for key, _ in await store.items()} != {TABLE, *signs}:
                await asyncio.sleep(0.02)
        await asyncio.sleep(2 * LEASE_SECONDS)
        assert shared(first, second)
        assert await table(store) == before
        assert (first.part.losses, second.part.losses) == (0, 0)
        assert first.keeper.is_sure()
        assert second.keeper.is_sure()


@pytest.mark.parametrize(
    "words",
    [b"\xff{", b'{"members":["\xff"]}', b'{"more":' + b"[" * 10_000, b"{}", b'{"number":7}'],
    ids=["no JSON", "no UTF-8", "too deep", "without a number", "of a smaller number"],
)
async def test_a_table_that_somebody_has_spoiled_is_put_there_again_and_a_dead_one_is_taken_over_from(
    stores: Callable[[], Store], words: bytes
) -> None:
    store = stores()
    async with Replica(store).at_work() as first:
        async with Replica(store).at_work() as second:
            await until(lambda: shared(first, second))
            before = await table(store)
            await store.put(TABLE, words)
        await until(lambda: first.part.has == ALL)
        assert first.part.losses == 0
        after = await table(store)
        assert after.members == (first.keeper.name,)
        assert after.number > before.number, "what was given later has the larger number"


async def test_an_empty_table_that_nobody_can_put_right_is_refused_with_what_mends_it(stores: Callable[[], Store]) -> None:
    store = stores()
    await store.put(TABLE, b"{}")
    async with Replica(store).at_work() as only:
        await until(lambda: "remove that key" in (only.keeper.problem or "") or bool(only.meter.failures))
        assert "remove that key" in str(only.meter.failures[0][1])
        await store.delete(TABLE)
        await until(lambda: only.part.has == ALL)


async def test_a_table_of_another_form_is_left_as_it_is_and_said_once(
    stores: Callable[[], Store], caplog: pytest.LogCaptureFixture
) -> None:
    store = stores()
    async with Replica(store).at_work() as only:
        await until(lambda: only.part.has == ALL)
        await store.put(TABLE, b'{"slots":7}')
        await until(lambda: any("remove that key" in str(error) for _, error in only.meter.failures))
        kept = await store.get(TABLE)
        assert kept is not None
        assert kept.value == b'{"slots":7}'
        assert only.part.has == ALL
        await asyncio.sleep(2 * LEASE_SECONDS)  # signs of life go out meanwhile
        assert [one.message for one in caplog.records if one.name == "daemon.standing"] == ["does not work"]


async def test_who_is_not_sure_when_the_bucket_is_emptied_joins_anew_with_larger_numbers(stores: Callable[[], Store]) -> None:
    store = stores()
    async with Replica(store).at_work() as only:
        await until(lambda: only.part.has == ALL)
        before, name = await table(store), only.keeper.name
        only.store.going_on.clear()
        await until(lambda: not only.keeper.is_sure())
        for key, _ in await store.items():
            await store.delete(key)
        only.store.going_on.set()
        await until(lambda: only.keeper.name != name and only.part.has == ALL)
        assert only.part.losses == 1
        assert min(one.number for one in (await table(store)).slots) > before.number


async def table(store: Store) -> Table:
    kept = await store.get(TABLE)
    assert kept is not None
    return msgspec.json.decode(kept.value, type=Table)
