"""Why announcements came to nothing: read by everybody, for a week, and no more of them than a thousand."""

import pytest

from daemon.errors import Unavailable
from daemon.watcher.lapsed import KEPT_SECONDS, MOST_KEPT, Lapsed
from tests.hand.clock import HandClock
from tests.hand.ports import MemoryStore


async def why(lapsed: Lapsed, release_id: str) -> str | None:
    found = await lapsed.find(release_id)
    return None if found is None else found.why


async def test_the_reason_that_one_has_kept_is_found_by_another_and_after_a_restart() -> None:
    store, clock = MemoryStore(), HandClock()
    here, there = Lapsed(store, clock=clock), Lapsed(store, clock=clock)
    assert await there.find("web-1") is None
    await here.keep("web-1", why="no canary took traffic", since=clock.now() - 60.0)
    found = await there.find("web-1")
    assert found is not None
    assert (found.why, found.since, found.at) == ("no canary took traffic", clock.now() - 60.0, clock.now())
    await there.remove("web-1")
    assert await here.find("web-1") is None


async def test_it_is_kept_for_a_week_and_goes_when_another_comes() -> None:
    store, clock = MemoryStore(), HandClock()
    await Lapsed(store, clock=clock).keep("web-1", why="old", since=0.0)
    clock.time += KEPT_SECONDS - 1.0
    lapsed = Lapsed(store, clock=clock)
    await lapsed.keep("web-2", why="newer", since=0.0)
    assert await why(lapsed, "web-1") == "old"
    clock.time += 2.0
    assert await lapsed.find("web-1") is None
    await lapsed.keep("web-3", why="new", since=0.0)
    assert sorted(store.data) == ["web-2", "web-3"]


async def test_of_more_than_a_thousand_the_oldest_go_also_those_of_others() -> None:
    store, clock = MemoryStore(), HandClock()
    here, there = Lapsed(store, clock=clock), Lapsed(store, clock=clock)
    for number in range(MOST_KEPT + 2):
        clock.time += 1.0
        await (here if number % 2 else there).keep(f"web-{number}", why="x", since=0.0)
    clock.time += 3_601.0
    await here.keep("web-last", why="x", since=0.0)
    assert len(store.data) == MOST_KEPT
    assert not {"web-0", "web-1", "web-2"} & store.data.keys()


async def test_what_cannot_be_kept_is_said_to_whoever_keeps_it_and_what_cannot_be_removed_goes_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store, clock = MemoryStore(), HandClock()
    lapsed = Lapsed(store, clock=clock)
    store.failing = Unavailable("no store")
    with pytest.raises(Unavailable):
        await lapsed.keep("web-1", why="x", since=0.0)
    store.failing = None
    await lapsed.keep("web-1", why="x", since=0.0)
    clock.time += KEPT_SECONDS + 1.0
    with monkeypatch.context() as patched:

        async def away(_key: str) -> None:
            raise Unavailable("away")

        patched.setattr(store, "delete", away)
        await lapsed.keep("web-2", why="x", since=0.0)
    await lapsed.keep("web-3", why="x", since=0.0)
    assert sorted(store.data) == ["web-2", "web-3"]
    store.data["web-4"] = b"{"
    assert await lapsed.find("web-4") is None
    assert "why an announcement came to nothing cannot be read" in caplog.text


async def test_a_reason_of_any_length_is_kept_short() -> None:
    lapsed = Lapsed(MemoryStore(), clock=HandClock())
    await lapsed.keep("web-1", why="x" * 5_000, since=0.0)
    assert await why(lapsed, "web-1") == "x" * 2_000 + "..."
