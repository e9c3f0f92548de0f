"""The map of releases: durable, apart by cluster, and quick to read as a whole."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from nats.aio.msg import Msg
from nats.js import api

from daemon.bus import reading, subjects
from daemon.bus.connection import Connection, PullSubscription
from daemon.bus.opening import Bus, open_bus
from daemon.bus.store import KvStore, RolledStore
from daemon.errors import Conflict, InvalidInput, Refused, TimedOut, TransientError, Unavailable
from daemon.ports.durable import Store
from tests.hand.broker import Broker
from tests.hand.waiting import until

pytestmark = pytest.mark.live


async def value_of(store: Store, key: str) -> bytes | None:
    kept = await store.get(key)
    return None if kept is None else kept.value


async def values(store: Store) -> dict[str, bytes]:
    return {key: kept.value for key, kept in await store.items()}


async def messages(bus: Bus) -> int:
    """How many messages the bucket has for keys, markers too."""
    info = await bus.connection.jetstream.stream_info("KV_verdictd_sessions", subjects_filter="$KV.verdictd_sessions.prod.>")
    return sum((info.state.subjects or {}).values())


async def test_what_is_put_is_got_and_what_is_deleted_is_gone(bus: Bus) -> None:
    store = bus.sessions
    assert await store.get("web-1") is None
    assert await store.items() == []
    await store.put("web-1", b"one")
    await store.put("web-1", b"two")
    await store.put("web-2", b"")
    assert await value_of(store, "web-1") == b"two"
    assert await value_of(store, "web-2") == b""
    assert await values(store) == {"web-1": b"two", "web-2": b""}
    await store.delete("web-1")
    await store.delete("web-1")
    assert await store.get("web-1") is None
    assert await values(store) == {"web-2": b""}


async def test_each_value_is_told_with_its_age_by_the_servers_clock(bus: Bus) -> None:
    await bus.sessions.put("web-1", b"one")
    began = time.monotonic()
    await asyncio.sleep(0.2)
    await bus.sessions.put("web-2", b"two")
    ages = {key: kept.age_seconds for key, kept in await bus.sessions.items()}
    elapsed = time.monotonic() - began
    assert ages["web-1"] is not None
    assert ages["web-2"] is not None
    assert ages["web-2"] + 0.15 <= ages["web-1"] <= elapsed + 0.5


async def test_a_deleted_key_leaves_nothing_in_the_stream(bus: Bus) -> None:
    await bus.sessions.put("web-1", b"one")
    await bus.sessions.delete("web-1")
    assert await messages(bus) == 0


async def test_markers_of_other_tools_count_as_absent(bus: Bus) -> None:
    await bus.sessions.put("web-1", b"one")
    await bus.sessions.put("web-2", b"two")
    bucket = await bus.connection.jetstream.key_value("verdictd_sessions")
    await bucket.delete("prod.web-1")
    assert await bus.sessions.get("web-1") is None
    assert await values(bus.sessions) == {"web-2": b"two"}


async def test_clusters_do_not_see_each_other(bus: Bus) -> None:
    other = KvStore(bus.connection, bucket="verdictd_sessions", cluster="prod-2")
    await bus.sessions.put("web-1", b"one")
    assert await other.get("web-1") is None
    assert await other.items() == []


@pytest.mark.parametrize("key", ["", ">", "*", "a.b", "a b", "Web", "a\r\nPUB x 0", "x" * 97])
async def test_a_key_that_is_no_release_id_is_refused(bus: Bus, key: str) -> None:
    for refused in (bus.sessions.get(key), bus.sessions.put(key, b""), bus.sessions.delete(key)):
        with pytest.raises(InvalidInput):
            await refused


async def test_values_up_to_a_mebibyte_are_kept_and_larger_ones_refused(bus: Bus) -> None:
    value = bytes(1024 * 1024)
    await bus.records.put("web-1", value)
    assert await value_of(bus.records, "web-1") == value
    with pytest.raises(Refused, match="max_payload"):
        await bus.records.put("web-1", value + b"x")
    assert bus.ready


@pytest.mark.broad
async def test_ten_thousand_keys_are_read_whole_while_others_are_written(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "READ_SECONDS", 600.0)  # it is about which are read, not about how fast

    async def write(first: int) -> None:
        for number in range(first, 10_000, 16):
            await bus.sessions.put(f"web-{number}", b"x" * 500)

    async def overwrite() -> None:
        for number in range(0, 10_000, 10):
            await bus.sessions.put(f"web-{number}", b"y")

    async with asyncio.TaskGroup() as group:
        for first in range(16):
            group.create_task(write(first))
    async with asyncio.TaskGroup() as group:
        listing = group.create_task(bus.sessions.items())
        group.create_task(overwrite())
    assert len(dict(listing.result())) == 10_000
    assert (await values(bus.sessions))["web-10"] == b"y"


async def test_what_was_acknowledged_survives_a_kill_of_the_server(nats_server: Broker, bus: Bus) -> None:
    written = 0

    async def write() -> None:
        nonlocal written
        with contextlib.suppress(TransientError):
            for number in range(100_000):
                await bus.sessions.put(f"web-{number}", b"state")
                written += 1

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        await until(lambda: written > 200)
        await nats_server.kill()
    await nats_server.start()
    await until(lambda: bus.ready)
    kept = await values(bus.sessions)
    assert {f"web-{number}" for number in range(written)} <= set(kept)


async def test_without_a_connection_a_write_fails_at_once_and_is_not_sent_later(nats_server: Broker, bus: Bus) -> None:
    await nats_server.kill()
    await until(lambda: not bus.ready)
    with pytest.raises(Unavailable, match="no connection to NATS"):
        await bus.sessions.put("web-1", b"late")
    await nats_server.start()
    await until(lambda: bus.ready)
    assert await bus.sessions.get("web-1") is None


async def test_a_reader_that_gives_up_halfway_leaves_nothing_that_delays_the_end(nats_server: Broker) -> None:
    async with open_bus(nats_server.settings, cluster="prod") as bus:
        for number in range(2 * reading.BATCH):
            await bus.sessions.put(f"web-{number}", b"x")
        batches = reading.read_to_end(bus.connection, "KV_verdictd_sessions", api.ConsumerConfig(filter_subject="$KV.>"))
        assert await anext(batches)
        began = time.monotonic()
    assert time.monotonic() - began < 5.0  # the library drains for longer while one reads
    await batches.aclose()


async def test_a_reading_that_takes_too_long_is_given_up(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    await bus.sessions.put("web-1", b"x")
    monkeypatch.setattr(reading, "READ_SECONDS", 0.0)
    with pytest.raises(TimedOut):
        await bus.sessions.items()


async def test_a_server_killed_in_the_middle_of_a_reading_fails_it_and_the_next_is_whole(nats_server: Broker, bus: Bus) -> None:
    for number in range(2 * reading.BATCH):
        await bus.sessions.put(f"web-{number}", b"x")
    newest = api.ConsumerConfig(filter_subject="$KV.>", deliver_policy=api.DeliverPolicy.LAST_PER_SUBJECT)
    async with contextlib.aclosing(reading.read_to_end(bus.connection, "KV_verdictd_sessions", newest)) as batches:
        assert 0 < len(await anext(batches)) <= reading.BATCH
        await nats_server.kill()
        await nats_server.start()
        await until(lambda: bus.ready)
        with pytest.raises(TransientError):
            await anext(batches)
    assert len(await bus.sessions.items()) == 2 * reading.BATCH


async def test_messages_lost_on_the_way_fail_a_reading(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(2 * reading.BATCH):
        await bus.sessions.put(f"web-{number}", b"x")
    fetch = PullSubscription.fetch

    async def losing(self: PullSubscription, *args: Any, **kwargs: Any) -> list[Msg]:
        return (await fetch(self, *args, **kwargs))[1:]

    monkeypatch.setattr(PullSubscription, "fetch", losing)
    with pytest.raises(Unavailable, match="lost on the way"):
        await bus.sessions.items()


async def test_a_last_message_lost_on_the_way_fails_a_reading(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        await bus.sessions.put(f"web-{number}", b"x")
    fetch = PullSubscription.fetch

    async def losing(self: PullSubscription, *args: Any, **kwargs: Any) -> list[Msg]:
        return (await fetch(self, *args, **kwargs))[:-1]

    monkeypatch.setattr(PullSubscription, "fetch", losing)
    monkeypatch.setattr(reading, "FETCH_SECONDS", 0.2)
    with pytest.raises(Unavailable, match="lost on the way"):
        await bus.sessions.items()


@pytest.mark.broad
async def test_values_of_a_mebibyte_are_all_listed(bus: Bus) -> None:
    value = bytes(1024 * 1024)
    for number in range(120):
        await bus.sessions.put(f"web-{number}", value)
    assert {len(found) for found in (await values(bus.sessions)).values()} == {1024 * 1024}
    assert len(await bus.sessions.items()) == 120


@pytest.mark.usefixtures("unkept")
async def test_a_bucket_that_is_gone_is_trouble_that_can_pass(bus: Bus) -> None:
    await bus.connection.jetstream.delete_stream("KV_verdictd_sessions")
    await bus.sessions.delete("web-1")
    for asked in (bus.sessions.get("web-1"), bus.sessions.put("web-1", b""), bus.sessions.items()):
        with pytest.raises(Unavailable):
            await asked


async def test_over_a_revision_only_whoever_knows_the_newest_one_writes(bus: Bus) -> None:
    store = bus.sessions
    first = await store.put("web-1", b"one", over=0)
    with pytest.raises(Conflict):
        await store.put("web-1", b"another", over=0)
    kept = await store.get("web-1")
    assert kept is not None
    assert (kept.value, kept.revision) == (b"one", first)
    second = await store.put("web-1", b"two", over=first)
    with pytest.raises(Conflict):
        await store.put("web-1", b"late", over=first)
    assert second > first
    assert await value_of(store, "web-1") == b"two"
    await store.delete("web-1")
    assert await store.put("web-1", b"anew", over=0) > second


async def test_where_another_tool_has_left_a_marker_there_is_nothing_to_write_over(bus: Bus) -> None:
    await bus.records.put("web-1", b"one")
    bucket = await bus.connection.jetstream.key_value("verdictd_records")
    await bucket.delete("prod.web-1")
    await bus.records.put("web-1", b"two", over=0)
    assert await value_of(bus.records, "web-1") == b"two"


async def test_a_key_that_was_deleted_stays_so_however_often_the_server_is_killed(nats_server: Broker, bus: Bus) -> None:
    await bus.sessions.put("lasting", b"state")
    for number in range(50):
        for step in range(5):
            await bus.sessions.put(f"web-{number}", f"step {step}".encode())
        await bus.sessions.delete(f"web-{number}")
    for _ in range(4):
        await nats_server.kill()
        await nats_server.start()
        await until(lambda: bus.ready)
        assert await bus.sessions.get("web-7") is None
        assert await values(bus.sessions) == {"lasting": b"state"}
        await bus.sessions.delete("web-7")
        assert await messages(bus) == 1  # what came back were markers, and they are gone again


async def test_sessions_that_somebody_has_removed_are_known_to_be_missing(nats_server: Broker) -> None:
    async with open_bus(nats_server.settings, cluster="prod") as bus:
        for key in ("web-1", "web-2", "web-3"):
            await bus.sessions.put(key, b"state")
        await bus.sessions.delete("web-2")
        assert await bus.sessions.lost() == []
        await bus.connection.jetstream.purge_stream("KV_verdictd_sessions")
    async with open_bus(nats_server.settings, cluster="prod") as bus:
        assert await bus.sessions.items() == []
        assert await bus.sessions.lost() == ["web-1", "web-3"]
        assert await bus.records.items() == []
        await bus.sessions.delete("web-1")
        assert await bus.sessions.lost() == ["web-3"]


async def test_what_is_listed_has_the_revision_that_a_write_may_stand_on(bus: Bus) -> None:
    revisions = {key: await bus.sessions.put(key, key.encode()) for key in ("web-1", "web-2")}
    listed = dict(await bus.sessions.items())
    assert {key: kept.revision for key, kept in listed.items()} == revisions
    await bus.sessions.put("web-1", b"newer", over=listed["web-1"].revision)
    with pytest.raises(Conflict):
        await bus.sessions.put("web-1", b"other", over=listed["web-1"].revision)


class Killed(Exception):
    """The process is gone."""


class Dying:
    """The connection of a process that is killed at its n-th word to the broker: before it is sent, or before its answer comes."""

    def __init__(self, connection: Connection, *, at: int, sent: bool) -> None:
        self._connection = connection
        self._left = at
        self._sent = sent
        self.client = connection.client
        self.jetstream = self

    async def write(self, *args: Any, **options: Any) -> Any:
        return await self._said(lambda: self._connection.write(*args, **options))

    async def get_msg(self, *args: Any, **options: Any) -> Any:
        return await self._said(lambda: self._connection.jetstream.get_msg(*args, **options))

    async def purge_stream(self, *args: Any, **options: Any) -> Any:
        return await self._said(lambda: self._connection.jetstream.purge_stream(*args, **options))

    async def _said(self, word: Callable[[], Awaitable[Any]]) -> Any:
        self._left -= 1
        if self._left < 0:
            if self._sent:
                await word()
            raise Killed
        return await word()


def sessions_over(connection: Connection | Dying) -> RolledStore:
    """The sessions as a bus opens them."""
    over = cast("Connection", connection)
    roll = KvStore(over, bucket=subjects.RECORDS, cluster="prod", section="running")
    return RolledStore(KvStore(over, bucket=subjects.SESSIONS, cluster="prod"), roll=roll)


@pytest.mark.parametrize("sent", [False, True])
async def test_a_first_write_that_is_interrupted_at_any_step_is_there_or_not_and_is_no_loss(bus: Bus, sent: bool) -> None:
    for step in itertools.count():
        key, ended = f"web-{step}", True
        try:
            await sessions_over(Dying(bus.connection, at=step, sent=sent)).put(key, b"state", over=0)
        except Killed:
            ended = False
        anew = sessions_over(bus.connection)
        assert await anew.lost() == []
        kept = await anew.get(key)
        assert kept is None or kept.value == b"state"
        await anew.put(key, b"anew", over=0 if kept is None else kept.revision)
        await anew.delete(key)
        if ended:
            break
    assert step > 0


@pytest.mark.parametrize("sent", [False, True])
async def test_a_delete_that_is_interrupted_at_any_step_leaves_a_whole_session_or_none_and_is_no_loss(bus: Bus, sent: bool) -> None:
    for step in itertools.count():
        key, ended = f"web-{step}", True
        await sessions_over(bus.connection).put(key, b"state")
        try:
            await sessions_over(Dying(bus.connection, at=step, sent=sent)).delete(key)
        except Killed:
            ended = False
        anew = sessions_over(bus.connection)
        left = await anew.get(key)
        assert await values(anew) in ([{}] if left is None else [{key: b"state"}])
        assert await anew.lost() == []
        # Where it is gone on with, or announced again, it is missed as any other.
        await anew.put(key, b"anew", over=0 if left is None else left.revision)
        await bus.connection.jetstream.purge_stream("KV_verdictd_sessions")
        assert await anew.lost() == [key]
        await anew.delete(key)
        assert await anew.lost() == []
        assert await messages(bus) == 0
        if ended:
            break
    assert step > 5
