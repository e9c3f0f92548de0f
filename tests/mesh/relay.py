"""A controller's way to its API server, on which an answer can be held up: it is done, and who sent it does not know."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
from aiohttp import web
from yarl import URL

from tests.hand.servers import app_of, serving
from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.run import LOOPBACK

_PASSED_ON = ("Accept", "Content-Type", "User-Agent")
_TAKEN_IN_SECONDS = 0.2
"""In which whoever was told of something by a watch has taken it in."""

Matches = Callable[[web.Request, bytes], bool]


class Relay:
    """What comes and goes. ``held``: an answer waits."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.held = asyncio.Event()
        self._session = session
        self._holds: Matches | None = None
        self._until = b""
        self._passed = asyncio.Event()

    def hold(self, matches: Matches, *, until: bytes) -> None:
        """Hold up the answer to the next request of which that is so, until an answer with these words has passed, as a watch's."""
        self._holds, self._until = matches, until

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """One request, and its answer bit by bit."""
        body = await request.read()
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        url, endless = URL(request.raw_path, encoded=True), aiohttp.ClientTimeout(total=None)
        async with self._session.request(request.method, url, data=body or None, headers=headers, timeout=endless) as found:
            if self._holds is not None and self._holds(request, body):
                self._holds = None
                self.held.set()
                await self._passed.wait()
                await asyncio.sleep(_TAKEN_IN_SECONDS)
            response = web.StreamResponse(status=found.status, headers={"Content-Type": found.content_type})
            await response.prepare(request)
            async for part in found.content.iter_any():
                await response.write(part)
                if self.held.is_set() and self._until in part:
                    self._passed.set()
            return response


@asynccontextmanager
async def relay(api: KubeApiServer) -> AsyncIterator[tuple[Relay, KubeApiServer]]:
    """Run one; gives it, and the API server as it is found there, by the administrator."""
    async with api.session() as session:
        way = Relay(session)
        async with serving(app_of(way.pass_on)) as port:
            yield way, replace(api, url=f"http://{LOOPBACK}:{port}")
