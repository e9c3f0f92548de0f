"""What changes, as it changes: server-sent events of all releases or of one, and how a watch went so far.

A stream that is cut is taken up where it was: an event's id says which change it is, and of which run of the daemon. Whoever reads
too slowly is cut off and may come again; a stream that has nothing to say beats, so that silence means that the daemon is away.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Final

import msgspec
from aiohttp import web

from daemon.courses.shapes import Allowed, ArmCourse, Course, Estimated, Now
from daemon.errors import Refused, Unavailable
from daemon.http import intake, slowreaders
from daemon.http.api.releases import ID
from daemon.http.endpoint import ApiPorts, Endpoint, Group, Parameter, reply
from daemon.http.guard import Open
from daemon.model import Stage
from daemon.ports.service import ReleaseChange
from daemon.releaseview import ReleaseView

EVENT_STREAM: Final = "text/event-stream"
BEAT_SECONDS: Final = 10.0
_SLOWEST_SECONDS: Final = 10.0
_RETRY_MS: Final = 2000
_MOST_WAITING: Final = 20_000
_LAST: Final = Parameter(
    name="Last-Event-ID",
    where="header",
    description="Go on after this event, where it is one of this run of the daemon; else with everything that is in memory.",
    schema={"type": "string", "maxLength": 64},
)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The data of an event ``release``: how it stands, and its last tick in short."""

    release: ReleaseView
    now: Now | None = None


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """The data of the first event, ``opened``. ``resumed``: what was read before still holds; ``now``: seconds since 1970."""

    resumed: bool
    now: float


def endpoints(ports: ApiPorts) -> list[Endpoint]:
    """Reading is open."""
    streams = _Streams(ports)
    full = {503: "As many as may follow at a time do already."}
    course = Course(
        t=[5.0],
        seconds=[5.0],
        gaps=[False],
        log_evidence=[0.93],
        boundary=100.0,
        legs={"errors": [0.93]},
        beyond={"errors": [0.2]},
        beyond_boundary=5.0,
        weight=[10.0],
        stretches=[5.0],
        bounds_ms=[10.0, 20.0],
        baseline=ArmCourse(
            per_second=[180.0],
            failed_share=Estimated(value=[0.001], low=[0.0002], high=[0.0063]),
            median_ms=Estimated(value=[12.6], low=[10.0], high=[20.0]),
            p99_ms=Estimated(value=[26.0], low=[20.0], high=[None]),
            buckets=[250, 600, 50],
        ),
        canary=ArmCourse(per_second=[20.0], failed_share=Estimated(value=[0.05], low=[0.022], high=[0.11]), buckets=[20, 70, 10]),
        allowed=Allowed(failed_share=[0.005], median_ms=[13.9], p99_ms=[28.6]),
    )
    return [
        Endpoint(
            name="followReleases",
            method="GET",
            path="/v1/events",
            handler=streams.of_all,
            guard=Open(),
            summary="Server-sent events: `opened`, `release` (as it stands, and at each change), `missed` (read anew), `beat`.",
            parameters=(_LAST,),
            answers={200: EVENT_STREAM, 503: None},
            about=full,
        ),
        Endpoint(
            name="followRelease",
            method="GET",
            path="/v1/releases/{id}/events",
            handler=streams.of_one,
            guard=Open(),
            summary="The same of one release with its steps; `end` after its last change.",
            parameters=(ID,),
            answers={200: EVENT_STREAM, 400: None, 404: None, 409: None, 503: None},
            about=full,
        ),
        Endpoint(
            name="getCourse",
            method="GET",
            path="/v1/releases/{id}/course",
            handler=streams.course,
            guard=Open(),
            summary="The watch over time as far as it is in memory: evidence, requests, failures, latency.",
            parameters=(ID,),
            answers={200: course, 400: None, 404: None, 409: None},
        ),
    ]


GROUP: Final = Group(name="events", about="What changes, as it changes, and how a watch went.", endpoints=endpoints)


class _Streams:
    """The handlers. ``run`` tells the ids of this daemon's events from an earlier one's."""

    def __init__(self, ports: ApiPorts) -> None:
        self._ports = ports
        self._run = secrets.token_hex(4)

    async def of_all(self, request: web.Request) -> web.StreamResponse:
        """All releases, from those that the reader has not seen on."""
        after = self._seen(request)
        with self._subscribed(limit=_MOST_WAITING, after=after or 0) as changes:
            stream = await _opened(request)
            if request.method != "HEAD":
                await self._follow(stream, changes, resumed=after is not None)
        return stream.response

    async def of_one(self, request: web.Request) -> web.StreamResponse:
        """One release until its last change."""
        asked = intake.release_id(request)
        first = await self._ports.releases.view(asked)
        with self._subscribed(limit=1, release_id=first.id) as changes:
            # Once more: it may have changed before its changes were followed.
            first = await self._ports.releases.view(first.id)
            stream = await _opened(request)
            if request.method != "HEAD":
                await self._follow(stream, changes, of=first)
        return stream.response

    async def course(self, request: web.Request) -> web.Response:
        """How a watch went."""
        view = await self._ports.releases.view(intake.release_id(request))
        return reply(self._ports.metrics.courses.course(view.id))

    def _seen(self, request: web.Request) -> int | None:
        """Up to which change the reader has seen all of this run; null where it has not."""
        run, _, number = request.headers.get("Last-Event-ID", "").partition(".")
        return int(number) if run == self._run and number.isascii() and number.isdecimal() and len(number) < 20 else None

    @contextlib.contextmanager
    def _subscribed(
        self, *, limit: int, after: int | None = None, release_id: str | None = None
    ) -> Iterator[AsyncIterator[ReleaseChange]]:
        try:
            with self._ports.feed.subscribe(limit=limit, after=after, release_id=release_id) as changes:
                yield changes
        except Refused as error:
            raise Unavailable(str(error)) from error

    async def _follow(
        self, stream: "_Stream", changes: AsyncIterator[ReleaseChange], *, resumed: bool = False, of: ReleaseView | None = None
    ) -> None:
        # A reader that has gone is no news.
        with contextlib.suppress(ConnectionError):
            async with self._ports.waiting.open():
                await stream.send("opened", Opened(resumed=resumed, now=self._ports.now()), more=f"retry: {_RETRY_MS}\n")
                await self._told_on(stream, changes, of=of)

    async def _told_on(self, stream: "_Stream", changes: AsyncIterator[ReleaseChange], *, of: ReleaseView | None) -> None:
        if of is not None and await self._tell_one(stream, of):
            return
        async with contextlib.aclosing(_with_beats(changes, seconds=BEAT_SECONDS)) as following:
            async for change in following:
                if change is None:
                    await stream.send("beat", {"now": self._ports.now()})
                elif of is not None:
                    if await self._tell_one(stream, await self._ports.releases.view(of.id)):
                        return
                else:
                    await self._tell(stream, change)

    async def _tell(self, stream: "_Stream", change: ReleaseChange) -> None:
        if change.missed:
            await stream.send("missed", {"releases": change.missed})
        await stream.send("release", self._told(change.release), more=f"id: {self._run}.{change.number}\n")

    async def _tell_one(self, stream: "_Stream", view: ReleaseView) -> bool:
        """Whether that was the last of it."""
        await stream.send("release", self._told(view))
        if view.stage is Stage.ENDED:
            await stream.send("end", {})
        return view.stage is Stage.ENDED

    def _told(self, view: ReleaseView) -> Told:
        return Told(release=view, now=self._ports.metrics.courses.now(view.id) if view.verdict is None else None)


async def _opened(request: web.Request) -> "_Stream":
    headers = {"Content-Type": EVENT_STREAM, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    stream = _Stream(request, web.StreamResponse(headers=headers))
    await stream.response.prepare(request)
    return stream


class _Stream:
    """One open answer. A reader that does not take what was sent for a while is cut off."""

    def __init__(self, request: web.Request, response: web.StreamResponse) -> None:
        self._request = request
        self.response = response

    async def send(self, event: str, data: object, *, more: str = "") -> None:
        """One event. Raises ``ConnectionError`` when the reader is gone, or too slow."""
        body = f"{more}event: {event}\ndata: ".encode() + msgspec.json.encode(data) + b"\n\n"
        await slowreaders.write(body, request=self._request, response=self.response, within_seconds=_SLOWEST_SECONDS)


async def _with_beats(changes: AsyncIterator[ReleaseChange], *, seconds: float) -> AsyncGenerator[ReleaseChange | None]:
    """The changes, and null whenever none has come for so long."""
    coming: asyncio.Future[ReleaseChange] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(changes))
            await asyncio.wait([coming], timeout=seconds)
            if not coming.done():
                yield None
                continue
            try:
                change = coming.result()
            except StopAsyncIteration:
                return
            coming = None
            yield change
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.wait([coming])
            # Asked for, so that one that had come to its end meanwhile is no news.
            _ = coming.cancelled() or coming.exception()
