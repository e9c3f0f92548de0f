"""Who follows the releases sees each change or hears what was missed, and holds up nobody."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import msgspec
import pytest

from daemon.engine import feed
from daemon.engine.feed import Changes
from daemon.engine.lifecycle import admitted
from daemon.engine.session import Session
from daemon.errors import Refused
from daemon.model import Stage
from daemon.ports.service import ReleaseChange
from tests.hand.ports import HandTelemetry, Scene, running, until, verdict_of
from tests.hand.samples import ID, OTHER, POLICY, RELEASE, failing


def session(release_id: str, *, ticks: int = 0) -> Session:
    made = admitted(
        RELEASE, release_id=release_id, policy=POLICY, policy_hash="", cluster="test", tick_seconds=1.0, split=False, now=0.0
    )
    return replace(made, ticks=ticks)


async def read(changes: AsyncIterator[ReleaseChange]) -> tuple[int, str, int, int]:
    """The next change in short: its number, the release, its ticks, and how many were missed before it."""
    async with asyncio.timeout(40.0):
        change = await anext(changes)
    return change.number, change.release.id, change.release.ticks, change.missed


async def test_changes_come_in_their_order_from_when_one_subscribes() -> None:
    changes = Changes()
    changes.tell(session("before"))
    with changes.subscribe(limit=10) as following:
        for number in range(3):
            changes.tell(session(f"web-{number}"))
        assert [await read(following) for _ in range(3)] == [(2, "web-0", 0, 0), (3, "web-1", 0, 0), (4, "web-2", 0, 0)]


async def test_of_each_release_only_the_newest_state_waits() -> None:
    changes = Changes()
    with changes.subscribe(limit=2) as following:
        for tick in range(1_000):
            changes.tell(session("web-1", ticks=tick))
            changes.tell(session("web-2", ticks=tick))
        assert [await read(following) for _ in range(2)] == [(1_999, "web-1", 999, 0), (2_000, "web-2", 999, 0)]


async def test_who_reads_too_slowly_keeps_a_bounded_number_and_is_told_what_was_missed() -> None:
    changes = Changes()
    with changes.subscribe(limit=3) as slow, changes.subscribe(limit=1_000) as quick:
        for number in range(10):
            changes.tell(session(f"web-{number}"))
        assert [await read(slow) for _ in range(3)] == [(8, "web-7", 0, 7), (9, "web-8", 0, 0), (10, "web-9", 0, 0)]
        assert [await read(quick) for _ in range(10)] == [(number + 1, f"web-{number}", 0, 0) for number in range(10)]


async def test_a_reader_waits_for_the_next_change_and_ends_with_the_engine() -> None:
    changes = Changes()
    with changes.subscribe(limit=3) as following:
        waiting = asyncio.ensure_future(read(following))
        await asyncio.sleep(0)
        assert not waiting.done()
        changes.tell(session("web-1"))
        assert await waiting == (1, "web-1", 0, 0)
        changes.tell(session("web-2"))
        changes.close()
        assert [change.release.id async for change in following] == ["web-2"]
    with changes.subscribe(limit=3) as late:
        assert [change async for change in late] == []


async def test_so_many_may_follow_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MOST_SUBSCRIBERS", 1)
    changes = Changes()
    with changes.subscribe(limit=1), pytest.raises(Refused), changes.subscribe(limit=1):
        pass
    with changes.subscribe(limit=1):
        pass
    with pytest.raises(ValueError, match="a limit of 0"), changes.subscribe(limit=0):
        pass


async def test_a_release_can_be_followed_from_its_admission_to_its_end() -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    seen: list[Stage] = []

    async def follow(following: AsyncIterator[ReleaseChange]) -> None:
        async for change in following:
            seen.append(change.release.stage)  # noqa: PERF401 - each when it comes: the test looks at them meanwhile

    async with asyncio.timeout(40.0), running(scene) as engine:
        with engine.subscribe(limit=10) as following:
            reader = asyncio.ensure_future(follow(following))
            await asyncio.sleep(0)
            await engine.submit(RELEASE, release_id=ID)
            verdict = await verdict_of(engine)
            await until(lambda: seen and seen[-1] is Stage.ENDED)
            engine.stop()
            await reader
    assert seen[0] is Stage.LOCATING
    assert {Stage.WATCHING, Stage.REVERTING} & set(seen)
    assert verdict in scene.sink.verdicts


async def test_readers_that_never_read_hold_up_no_release() -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    async with running(scene) as engine:
        with engine.subscribe(limit=1), engine.subscribe(limit=1) as asleep:
            await engine.submit(RELEASE, release_id=ID)
            await engine.submit(msgspec.structs.replace(OTHER), release_id="other-1")
            await verdict_of(engine)
            await verdict_of(engine, "other-1")
            change = await anext(asleep)
            assert (change.release.stage, change.missed > 0) == (Stage.ENDED, True)


async def test_who_comes_back_reads_what_has_changed_meanwhile_and_who_comes_first_reads_everything() -> None:
    kept = {name: session(name) for name in ("web-1", "web-2", "web-3")}
    changes = Changes(lambda: list(kept.values()))
    for one in kept.values():
        changes.tell(one)
    changes.tell(kept["web-1"])
    with changes.subscribe(limit=10, after=2) as back, changes.subscribe(limit=10, after=0) as first:
        assert [await read(back) for _ in range(2)] == [(3, "web-3", 0, 0), (4, "web-1", 0, 0)]
        assert [(await read(first))[1] for _ in range(3)] == ["web-2", "web-3", "web-1"]
    changes.forget("web-2")
    del kept["web-2"]
    with changes.subscribe(limit=10, after=0) as later:
        assert [(await read(later))[1] for _ in range(2)] == ["web-3", "web-1"]


async def test_one_release_may_be_followed_alone() -> None:
    changes = Changes()
    with changes.subscribe(limit=1, release_id="web-1") as following:
        changes.tell(session("web-1"))
        changes.tell(session("web-2"))
        assert await read(following) == (1, "web-1", 0, 0)
