"""How many requests of one kind are read at a time: what is sent to us by many at once must not fill the memory.

A connection alone costs little, and connections have a bound of their own; a body that is being read costs what it holds. So
whoever is one too many waits before its body is read, and after a while is told to come again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from daemon.errors import Unavailable
from daemon.http.problems import Handler

PATIENCE_SECONDS: Final = 3.0
"""Less than any sender has, of those that we know."""


class Bound:
    """So many at a time, and who waits for its turn longer than ``patience_seconds`` gets none."""

    def __init__(self, most: int, *, what: str, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._places = asyncio.Semaphore(most)
        self._most = most
        self._what = what
        self._patience_seconds = patience_seconds

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """One of the places, while the body runs. Raises ``Unavailable`` when there is none in time."""
        try:
            async with asyncio.timeout(self._patience_seconds):
                await self._places.acquire()
        except TimeoutError as error:
            raise Unavailable(f"{self._most} {self._what} are being read already; send it again") from error
        try:
            yield
        finally:
            self._places.release()


BoundOf = Callable[[web.Request], Bound | None]
"""Which bound a request is under; null: none."""


def middleware(bound_of: BoundOf) -> Middleware:
    """The bound before the guard, which may read the body already."""

    @web.middleware
    async def bounded(request: web.Request, handler: Handler) -> web.StreamResponse:
        bound = bound_of(request)
        if bound is None:
            return await handler(request)
        async with bound.place():
            return await handler(request)

    return bounded
