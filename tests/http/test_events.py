"""Streams of what changes: whole at first, taken up where they were cut, beating while nothing happens, and bounded."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import msgspec
import pytest

from daemon.http.api import events
from daemon.model import Stage
from daemon.ports.service import ReleaseChange
from tests.hand.api import NOW, Api, Engine, serving, view

Event = tuple[str, str, Any]


class Followed(Engine):
    """Knows when nobody follows its changes any more."""

    def __init__(self) -> None:
        super().__init__()
        self.no_more = asyncio.Event()

    @contextmanager
    def subscribe(
        self, *, limit: int, after: int | None = None, release_id: str | None = None
    ) -> Iterator[AsyncIterator[ReleaseChange]]:
        try:
            with super().subscribe(limit=limit, after=after, release_id=release_id) as changes:
                yield changes
        finally:
            self.no_more.set()


class Reader:
    """Reads a stream as a browser does."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def next(self) -> Event:
        """Its name, id and data."""
        async with asyncio.timeout(30):
            fields: dict[str, str] = {}
            while "data" not in fields:
                block = await self._reader.readuntil(b"\n\n")
                fields = dict(line.split(": ", 1) for line in block.decode().splitlines() if ": " in line)
        return fields["event"], fields.get("id", ""), json.loads(fields["data"])

    async def rest(self) -> bytes:
        async with asyncio.timeout(30):
            return await self._reader.read()


@asynccontextmanager
async def following(api: Api, path: str = "/v1/events", *, last: str = "") -> AsyncIterator[Reader]:
    """An open stream, past its headers. HTTP/1.0, so that nothing is in chunks."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.server.address.port)
    try:
        header = f"Last-Event-ID: {last}\r\n" if last else ""
        writer.write(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n{header}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"200 OK" in head
        assert b"text/event-stream" in head
        yield Reader(reader)
    finally:
        writer.close()
        await writer.wait_closed()


def engine(*ids: str) -> Engine:
    return Engine(releases={one: view(one) for one in ids})


async def test_a_stream_begins_with_everything_and_goes_on_with_each_change() -> None:
    async with serving(engine("shop-1")) as api, following(api) as stream:
        assert await stream.next() == ("opened", "", {"resumed": False, "now": NOW})
        name, _, data = await stream.next()
        assert (name, data["release"]["id"], data["release"]["stage"]) == ("release", "shop-1", "watching")
        api.engine.coming.put_nowait(ReleaseChange(number=2, release=view("shop-2", stage=Stage.GUARDING)))
        name, event_id, data = await stream.next()
        assert (name, data["release"]["id"], data["release"]["stage"]) == ("release", "shop-2", "guarding")
        assert event_id.endswith(".2")


async def test_a_stream_that_was_cut_goes_on_after_what_was_read() -> None:
    async with serving(engine("shop-1", "shop-2")) as api:
        async with following(api) as stream:
            await stream.next()
            _, last, _ = await stream.next()
        async with following(api, last=last) as stream:
            assert (await stream.next())[2]["resumed"] is True
            assert (await stream.next())[2]["release"]["id"] == "shop-1"


@pytest.mark.parametrize("last", ["other.7", "nonsense", "0000.²"])
async def test_an_id_of_another_run_begins_anew(last: str) -> None:
    async with serving(engine("shop-1")) as api, following(api, last=last.encode().decode("latin-1")) as stream:
        assert (await stream.next())[2]["resumed"] is False
        assert (await stream.next())[2]["release"]["id"] == "shop-1"


async def test_a_stream_with_nothing_to_say_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "BEAT_SECONDS", 0.01)
    async with serving() as api, following(api) as stream:
        await stream.next()
        assert await stream.next() == ("beat", "", {"now": NOW})
        api.engine.coming.put_nowait(ReleaseChange(number=1, release=view("shop-1")))
        while (event := await stream.next())[0] == "beat":
            pass
        assert event[2]["release"]["id"] == "shop-1", "no change is lost to a beat"


async def test_who_read_too_slowly_is_told_to_read_anew() -> None:
    async with serving() as api, following(api) as stream:
        await stream.next()
        api.engine.coming.put_nowait(ReleaseChange(number=9, release=view("shop-1"), missed=4))
        assert (await stream.next())[::2] == ("missed", {"releases": 4})
        assert (await stream.next())[0] == "release"


async def test_who_takes_nothing_of_what_is_sent_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_SLOWEST_SECONDS", 0.1)
    one = view("shop-1")
    long = msgspec.structs.replace(one, release=msgspec.structs.replace(one.release, service="x" * 1_000_000))
    followed = Followed()
    async with serving(followed) as api, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", api.server.address.port, limit=1)
        writer.write(b"GET /v1/events HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        # More than the buffers of both sides hold; of it nothing is read.
        for number in range(1, 40):
            api.engine.coming.put_nowait(ReleaseChange(number=number, release=long))
        await followed.no_more.wait()
        with suppress(ConnectionResetError):
            while await reader.read(1_000_000):
                pass  # what was on the way; then it ends
        writer.transport.abort()
    assert not followed.coming.empty()


async def test_a_stream_of_one_release_ends_with_it() -> None:
    async with serving(engine("shop-1", "shop-2")) as api, following(api, "/v1/releases/shop-1/events") as stream:
        await stream.next()
        assert (await stream.next())[2]["release"]["stage"] == "watching"
        api.engine.coming.put_nowait(ReleaseChange(number=2, release=view("shop-2")))
        api.engine.releases["shop-1"] = view("shop-1", stage=Stage.ENDED)
        api.engine.coming.put_nowait(ReleaseChange(number=3, release=view("shop-1", stage=Stage.ENDED)))
        assert (await stream.next())[2]["release"]["stage"] == "ended"
        assert (await stream.next())[0] == "end"
        assert await stream.rest() == b""


async def test_streams_are_let_go_when_the_daemon_stops() -> None:
    async with asyncio.timeout(40), asyncio.TaskGroup() as group:
        async with serving() as api:
            # Not closed by us: the end is the daemon's.
            reader, writer = await asyncio.open_connection("127.0.0.1", api.server.address.port)
            writer.write(b"GET /v1/events HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            await reader.readuntil(b"event: opened")
            rest = group.create_task(reader.read())
        assert (await rest).endswith(b"\n\n")
        writer.close()
        await writer.wait_closed()


async def test_what_cannot_be_followed_is_refused() -> None:
    async with serving(engine("shop-1")) as api:
        assert (await api.call("GET", "/v1/releases/shop-9/events"))[0] == 404
        assert (await api.call("GET", "/v1/releases/shop-9/course"))[0] == 404
        async with api.client.head("/v1/events") as response:
            assert (response.status, response.content_type) == (200, "text/event-stream")
        api.engine.full = True
        status, problem = await api.call("GET", "/v1/events")
        assert (status, problem["title"]) == (503, "Service Unavailable")
