"""List and watch, turned by hand: what is missed is made up for, and what is broken is tried again, later and later."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import Forbidden, TimedOut, Unavailable, VerdictdError
from daemon.kube.answers import Expired
from daemon.kube.client import Listing
from daemon.kube.listwatch import ApiSource, ListWatch, ObjectChange
from daemon.kube.resources import PODS
from tests.hand.clock import HandClock
from tests.hand.servers import lines, says
from tests.kube.stub import kube_stub, status

Json = dict[str, Any]


def pod(name: str, version: int, *, uid: str = "") -> Json:
    return {"metadata": {"namespace": "shop", "name": name, "uid": uid or name, "resourceVersion": str(version)}}


def event(kind: str, item: Json) -> bytes:
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


def listing(version: int, *items: Json) -> Listing:
    return Listing(items=items, resource_version=str(version))


@dataclass
class FakeSource:
    """Listings and watches from lists; an error in a list is raised at its place, one of ``refused`` in place of a watch."""

    listings: list[Listing | VerdictdError]
    watches: list[list[bytes | VerdictdError]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    refused: list[VerdictdError] = field(default_factory=list)

    async def listing(self) -> Listing:
        self.asked.append("list")
        answer = self.listings.pop(0)
        if isinstance(answer, VerdictdError):
            raise answer
        return answer

    @contextlib.asynccontextmanager
    async def lines(self, *, resource_version: str, timeout_seconds: int) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
        self.asked.append(resource_version)
        assert 240 <= timeout_seconds < 290
        if self.refused:
            raise self.refused.pop(0)
        if not self.watches:
            await asyncio.Event().wait()
        script = self.watches.pop(0)

        async def line() -> bytes:
            answer = script.pop(0) if script else b""
            if isinstance(answer, VerdictdError):
                raise answer
            return answer

        yield line


def loop(source: FakeSource, clock: HandClock | None = None) -> ListWatch:
    return ListWatch(source=source, clock=clock or HandClock(), random=lambda: 0.5)


async def turned(loop: ListWatch) -> list[tuple[str, str]]:
    return [brief(change) async for change in loop.cycle()]


def brief(change: ObjectChange) -> tuple[str, str]:
    return change.kind, change.object["metadata"]["name"]


async def test_the_first_turn_lists_and_the_next_watches_from_there() -> None:
    source = FakeSource([listing(7, pod("a", 5))], [[event("ADDED", pod("b", 8)), event("MODIFIED", pod("a", 9))]])
    watching = loop(source)
    assert await turned(watching) == [("added", "a")]
    assert await turned(watching) == [("added", "b"), ("modified", "a")]
    assert source.asked == ["list", "7"]


async def test_a_watch_goes_on_from_the_last_event_or_bookmark() -> None:
    bookmark = {"metadata": {"resourceVersion": "30"}}
    source = FakeSource([listing(7)], [[event("ADDED", pod("a", 8))], [event("BOOKMARK", bookmark)], []])
    watching = loop(source)
    results = [await turned(watching) for _ in range(4)]
    assert results == [[], [("added", "a")], [], []]
    assert source.asked == ["list", "7", "8", "30"]


async def test_what_a_relist_shows_is_told_as_the_changes_that_were_missed() -> None:
    again = listing(20, pod("same", 1), pod("changed", 9), pod("new", 10), pod("remade", 11, uid="other"))
    before = listing(7, pod("same", 1), pod("changed", 2), pod("gone", 3), pod("remade", 4))
    source = FakeSource([before, again], [[Expired("410")]])
    watching = loop(source)
    await turned(watching)
    with pytest.raises(Expired):
        await turned(watching)
    assert await turned(watching) == [
        ("deleted", "gone"),
        ("modified", "changed"),
        ("added", "new"),
        ("deleted", "remade"),
        ("added", "remade"),
    ]


async def test_an_expiry_told_in_an_event_is_an_expiry() -> None:
    source = FakeSource([listing(7), listing(9)], [[event("ERROR", {"kind": "Status", "code": 410, "message": "too old"})]])
    watching = loop(source)
    await turned(watching)
    with pytest.raises(Expired, match="too old"):
        await turned(watching)
    await turned(watching)
    assert source.asked == ["list", "7", "list"]


async def test_an_event_that_is_known_already_is_not_told_twice() -> None:
    events = [event("ADDED", pod("a", 5)), event("DELETED", pod("a", 8)), event("ADDED", pod("a", 9))]
    source = FakeSource([listing(7, pod("a", 5))], [list(events)])
    watching = loop(source)
    await turned(watching)
    assert await turned(watching) == [("deleted", "a"), ("added", "a")]


@pytest.mark.parametrize(
    "line",
    [b"<html>bad gateway</html>\n", b"[]\n", b'"text"\n', b'{"type":"NEWS","object":{}}\n', b'{"type":"ADDED"}\n', b"\xff\n"],
)
async def test_what_is_no_event_is_an_error_and_the_watch_goes_on_from_where_it_was(line: bytes) -> None:
    source = FakeSource([listing(7)], [[event("ADDED", pod("a", 8)), line], []])
    watching = loop(source)
    await turned(watching)
    with pytest.raises(Unavailable, match="no event"):
        await turned(watching)
    await turned(watching)
    assert source.asked == ["list", "7", "8"]


async def test_the_age_is_that_of_the_last_word_from_the_server() -> None:
    clock = HandClock()
    watching = loop(FakeSource([listing(7)], [[event("BOOKMARK", pod("", 8))]]), clock)
    assert watching.age_seconds is None
    await turned(watching)
    clock.time += 10.0
    assert watching.age_seconds == 10.0
    await turned(watching)
    assert watching.age_seconds == 0.0


async def test_failures_are_told_and_tried_again_later_and_later() -> None:
    errors: list[VerdictdError] = []
    clock = HandClock()
    faults: list[Listing | VerdictdError] = [Unavailable("502"), Forbidden("upgrade"), TimedOut("silent")]
    source = FakeSource([*faults, listing(7, pod("a", 5))])
    watching = ListWatch(source=source, clock=clock, random=lambda: 0.5, failed=errors.append)
    async with contextlib.aclosing(watching.changes()) as changes:
        assert brief(await anext(changes)) == ("added", "a")
    assert clock.slept == [0.375, 0.75, 1.5]
    assert [type(error) for error in errors] == [Unavailable, Forbidden, TimedOut]


async def test_a_watch_that_always_closes_at_once_is_not_asked_in_a_tight_loop() -> None:
    clock = HandClock()
    source = FakeSource([listing(7)], [*([] for _ in range(8)), [event("ADDED", pod("a", 8))]])
    async with contextlib.aclosing(loop(source, clock).changes()) as changes:
        assert brief(await anext(changes)) == ("added", "a")
    assert clock.slept == [0.375, 0.75, 1.5, 3.0, 6.0, 12.0, 22.5, 22.5]


async def test_an_expiry_leads_to_a_new_listing_by_itself() -> None:
    source = FakeSource([listing(7, pod("a", 5)), listing(9, pod("b", 9))], [[Expired("410")]])
    async with contextlib.aclosing(loop(source).changes()) as changes:
        assert [brief(await anext(changes)) for _ in range(3)] == [("added", "a"), ("deleted", "a"), ("added", "b")]


@pytest.mark.parametrize("ends", [[], [TimedOut("silent")]], ids=["closed", "silent"])
async def test_watches_that_stay_silent_for_long_lead_to_a_new_listing(ends: list[bytes | VerdictdError]) -> None:
    """An API server that was set back to an older state waits for a version that was never there, and says nothing until then."""
    clock = HandClock()
    source = FakeSource([listing(90, pod("a", 85), pod("b", 86)), listing(60, pod("a", 40))], [[*ends], [*ends]])
    watching = loop(source, clock)
    await turned(watching)
    for seconds in (45.0, 45.0):
        clock.time += seconds
        with contextlib.suppress(TimedOut):
            await turned(watching)
    assert await turned(watching) == [("deleted", "b"), ("modified", "a")]
    assert source.asked == ["list", "90", "90", "list"]


async def test_an_api_server_that_was_away_for_long_is_not_asked_for_everything_again() -> None:
    """It does not let a watch in; what has changed since comes by the next one."""
    clock = HandClock()
    source = FakeSource([listing(90)], [])
    watching = loop(source, clock)
    await turned(watching)
    clock.time += 600.0
    source.refused = [Unavailable("nobody listens")]
    with pytest.raises(Unavailable, match="nobody listens"):
        await turned(watching)
    source.watches = [[event("ADDED", pod("a", 91))]]
    assert await turned(watching) == [("added", "a")]
    assert source.asked == ["list", "90", "90"]


_NAMES = st.sampled_from("abc")


@given(steps=st.lists(st.tuples(st.sampled_from(["put", "delete", "expire", "drop"]), _NAMES), max_size=30))
async def test_whatever_is_missed_the_changes_add_up_to_what_there_is(steps: list[tuple[str, str]]) -> None:
    """A model of a server; the client may lose its watch, or its place, between any two events."""
    there: dict[str, Json] = {}
    seen: set[str] = set()
    source = FakeSource([listing(0)], [])
    watching = loop(source)

    async def follow(*, fails: bool = False) -> None:
        with contextlib.suppress(Expired):
            async for change in watching.cycle():
                name = change.object["metadata"]["name"]
                assert (change.kind == "added") == (name not in seen)
                seen.discard(name) if change.kind == "deleted" else seen.add(name)

    await follow()
    for version, (what, name) in enumerate(steps, start=1):
        missed = what in {"expire", "drop"}
        if name in there and what != "put":
            line = event("DELETED", there.pop(name))
        else:
            line = event("MODIFIED" if name in there else "ADDED", pod(name, version))
            there[name] = pod(name, version)
        source.watches = [[Expired("410")] if missed else [line]]
        await follow()
        if missed:
            source.listings = [listing(version, *there.values())]
            await follow()
        assert seen == set(there)


async def test_over_a_real_socket(tmp_path: Path) -> None:
    """A plain-text 502, a listing, a watch that closes, one that expires, and the listing after it."""
    first = {"metadata": {"resourceVersion": "7"}, "items": [pod("a", 5)]}
    second = {"metadata": {"resourceVersion": "9"}, "items": [pod("b", 9)]}
    watch = lines({"type": "ADDED", "object": pod("c", 8)})
    answers = [says("bad gateway", status=502), says(first), watch, status(410, "too old"), says(second), lines(then="silence")]
    async with kube_stub(tmp_path, *answers) as server:
        client = server.client()
        source = ApiSource(kube=client, resource=PODS, namespace="shop", idle_seconds=5.0)
        watching = ListWatch(source=source, clock=HandClock(), random=lambda: 0.5)
        async with contextlib.aclosing(watching.changes()) as changes:
            told = [brief(await anext(changes)) for _ in range(5)]
        await client.close()
    assert told == [("added", "a"), ("added", "c"), ("deleted", "a"), ("deleted", "c"), ("added", "b")]


async def test_what_was_known_before_the_first_listing_and_is_gone_by_then_is_told_and_what_is_there_is_told_once() -> None:
    source = FakeSource([listing(7, pod("a", 3), pod("b", 4, uid="b-2"))])
    known = {("shop", "a"): "a", ("shop", "b"): "b-1", ("shop", "c"): "c"}
    loop = ListWatch(source=source, clock=HandClock(), random=lambda: 0.5, known=known)
    found = [(one.kind, one.object["metadata"]["name"], one.object["metadata"]["uid"]) async for one in loop.cycle()]
    assert found == [("deleted", "c", "c"), ("modified", "a", "a"), ("deleted", "b", "b-1"), ("added", "b", "b-2")]
