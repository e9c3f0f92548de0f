"""An HTTP server that misbehaves as a test wants it to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class Stub:
    """Answers with ``answer`` and remembers what it was asked."""

    url: str = ""
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    def says(self, body: str | bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Answer everything with this."""

        async def answer(request: web.Request) -> web.Response:
            return web.Response(body=body, status=status, headers=headers)

        self.answer = answer

    def dawdles(self, seconds: float) -> None:
        """Take so long to answer."""

        async def answer(request: web.Request) -> web.Response:
            await asyncio.sleep(seconds)
            return web.Response(body=b"")

        self.answer = answer

    def stops_half_way(self, body: bytes) -> None:
        """Promise more than ``body``, send it, then say nothing more and keep the connection."""

        async def answer(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Length": str(len(body) + 100)})
            await response.prepare(request)
            await response.write(body)
            await asyncio.sleep(60)
            return response

        self.answer = answer

    def hangs_up(self) -> None:
        """Close the connection without an answer."""

        async def answer(request: web.Request) -> web.Response:
            assert request.transport is not None
            request.transport.close()
            return web.Response()

        self.answer = answer

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        self.asked.append({**request.query, **{key: str(value) for key, value in (await request.post()).items()}})
        self.paths.append(request.path)
        self.headers.append(dict(request.headers))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            assert self.answer is not None
            return await self.answer(request)
        finally:
            self.at_once -= 1


@asynccontextmanager
async def stub(*, addresses: int = 1) -> AsyncIterator[Stub]:
    """A stub on a port of the system's choice, on 127.0.0.1 and as many of the loopback addresses after it as asked for."""
    made = Stub()
    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        port = 0
        for number in range(1, addresses + 1):
            await web.TCPSite(runner, f"127.0.0.{number}", port).start()
            port = runner.addresses[0][1]
        made.url = f"http://127.0.0.1:{port}"
        yield made
    finally:
        await runner.cleanup()
