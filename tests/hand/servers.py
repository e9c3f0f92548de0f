"""An HTTP server that does wrong on purpose, over real sockets: it answers what a test tells it to, and keeps what it was asked."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from tests.servers.run import free_ports

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def says(body: object = b"", *, status: int = 200, **headers: str) -> Answer:
    """Text or bytes as they are, anything else as JSON."""

    async def answer(request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, str | bytes):
            return web.Response(body=body, status=status, headers=named)
        return web.json_response(body, status=status, headers=named)

    return answer


def silence() -> Answer:
    """A half-open connection: it was accepted, and nothing ever comes."""

    async def answer(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    return answer


def half(body: bytes) -> Answer:
    """Promise more than ``body``, send it, then say nothing more and keep the connection."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(body) + 100)})
        await response.prepare(request)
        await response.write(body)
        await asyncio.Event().wait()
        raise AssertionError

    return answer


def hang_up() -> Answer:
    """Close the connection without an answer."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    return answer


def lines(*events: object, then: str = "close") -> Answer:
    """These lines, one after the other; then it closes, breaks, or goes silent."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_type = "application/json"
        await response.prepare(request)
        for event in events:
            line = event if isinstance(event, str) else json.dumps(event)
            await response.write(line.encode() + b"\n")
        if then == "silence":
            await asyncio.Event().wait()
        if then == "break" and request.transport is not None:
            request.transport.abort()
        return response

    return answer


@dataclass
class Stub:
    """Answers in order; the last one is repeated.

    Attributes:
        requests: what was asked: method, path with query, JSON body.
        asked: the parameters of each request, in its query or its form.
        paths, headers: of each request.
        most_at_once: how many requests were there at the same time.
    """

    answers: list[Answer] = field(default_factory=list)
    url: str = ""
    port: int = 0
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    def says(self, body: object = b"", *, status: int = 200, **headers: str) -> None:
        """Answer everything with this."""
        self.answers = [says(body, status=status, **headers)]

    def does(self, answer: Answer) -> None:
        """Answer everything so."""
        self.answers = [answer]

    @asynccontextmanager
    async def running(self, *, addresses: int = 1) -> AsyncIterator[Self]:
        """Run it; its port is of the system's choice."""
        async with serving(app_of(self.handle), addresses=addresses) as self.port:
            self.url = f"http://127.0.0.1:{self.port}"
            yield self

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        form = await request.post()
        body = await request.json() if request.can_read_body and not form else None
        self.requests.append((request.method, request.path_qs, body))
        self.asked.append({**request.query, **{key: str(value) for key, value in form.items()}})
        self.paths.append(request.path)
        self.headers.append(dict(request.headers))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])(request)
        finally:
            self.at_once -= 1


@asynccontextmanager
async def stub(*answers: Answer, addresses: int = 1) -> AsyncIterator[Stub]:
    """A stub that runs; for ``addresses`` see ``serving``."""
    async with Stub(list(answers)).running(addresses=addresses) as made:
        yield made


def app_of(handle: Answer) -> web.Application:
    """An application with one handler for everything."""
    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", handle)
    return app


@asynccontextmanager
async def serving(app: web.Application, *, port: int = 0, addresses: int = 1) -> AsyncIterator[int]:
    """Run an application on 127.0.0.1 and as many of the loopback addresses after it as asked for; gives its port.

    It is of the system's choice, but for several addresses: what it finds free on one may be taken on another.
    """
    if addresses > 1 and port == 0:
        [port] = free_ports(1)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        for number in range(1, addresses + 1):
            await web.TCPSite(runner, f"127.0.0.{number}", port).start()
            port = runner.addresses[0][1]
        yield port
    finally:
        await runner.cleanup()
