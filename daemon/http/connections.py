"""Who may be connected: so many in all, so many from one address, and nobody for long without asking for anything.

A connection costs a descriptor, and a revert needs some. So their number is bounded, and when there is no room for a new one,
the one that has been idle longest makes way: silent strangers cannot keep anybody out. One on which a request is being
answered that is there to its last byte never does; when all are, the newcomer is closed at once. Nothing of this is logged: a
flood would be told by a flood.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Middleware

from daemon.http.capacity import Capacity
from daemon.http.problems import Handler


class Connections:
    """The open ones. ``guarded`` wraps the protocol of each, ``middleware`` tells when one is being answered."""

    def __init__(self, capacity: Capacity, *, idle_seconds: float) -> None:
        self._capacity = capacity
        self._idle_seconds = idle_seconds
        self._open: dict[asyncio.BaseTransport, _Guarded] = {}
        self._by_peer: Counter[str] = Counter()
        # In the order in which they fell idle.
        self._idle: dict[_Guarded, asyncio.TimerHandle] = {}
        self._answering: set[_Guarded] = set()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._open)

    def guarded(self, make: Callable[[], asyncio.Protocol]) -> asyncio.Protocol:
        """A protocol for a connection that may not be let in; what it does once it is, is up to what ``make`` makes."""
        return _Guarded(self, make)

    def middleware(self) -> Middleware:
        """The outermost one: a connection whose whole request is being answered is not idle."""

        @web.middleware
        async def answering(request: web.Request, handler: Handler) -> web.StreamResponse:
            connection = self._open.get(request.transport) if request.transport is not None else None
            if connection is None:
                return await handler(request)
            self._answering.add(connection)
            if request.content.is_eof():
                self._whole(connection)
            else:
                request.content.on_eof(partial(self._whole, connection))
            try:
                return await handler(request)
            finally:
                self._answering.discard(connection)
                if connection.transport in self._open:
                    self._fell_idle(connection)

        return answering

    def admit(self, connection: "_Guarded") -> bool:
        """Let a connection in, if need be in place of one that is idle."""
        if self._by_peer[connection.peer] >= self._capacity.per_peer and not self._make_way(connection.peer):
            return False
        if len(self._open) >= self._capacity.connections and not self._make_way(None):
            return False
        self._open[connection.transport] = connection
        self._by_peer[connection.peer] += 1
        self._fell_idle(connection)
        return True

    def gone(self, connection: "_Guarded") -> None:
        """Forget a connection."""
        if self._open.pop(connection.transport, None) is None:
            return
        self._busy(connection)
        self._by_peer[connection.peer] -= 1
        if not self._by_peer[connection.peer]:
            del self._by_peer[connection.peer]

    def _make_way(self, peer: str | None) -> bool:
        """End the connection (of this peer) that has been idle longest; false when none is idle."""
        longest = next((one for one in self._idle if peer in (None, one.peer)), None)
        if longest is None:
            return False
        self._end(longest)
        return True

    def _end(self, connection: "_Guarded") -> None:
        # Not close(): that would wait for as long as the peer does not read what was written to it.
        self.gone(connection)
        connection.transport.abort()

    def _whole(self, connection: "_Guarded") -> None:
        """The request is there to its last byte. What comes after its answer is nothing to be busy with."""
        if connection in self._answering:
            self._busy(connection)

    def _busy(self, connection: "_Guarded") -> None:
        timer = self._idle.pop(connection, None)
        if timer is not None:
            timer.cancel()

    def _fell_idle(self, connection: "_Guarded") -> None:
        self._busy(connection)
        loop = asyncio.get_running_loop()
        self._idle[connection] = loop.call_later(self._idle_seconds, self._end, connection)


class _Guarded(asyncio.Protocol):
    """Passes on everything that happens to a connection, once it is let in."""

    def __init__(self, connections: Connections, make: Callable[[], asyncio.Protocol]) -> None:
        self._connections = connections
        self._make = make
        self._inner: asyncio.Protocol | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self.transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        self.peer = str(name[0]) if name else ""
        if not self._connections.admit(self):
            self.transport.abort()
            return
        self._inner = self._make()
        self._inner.connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio."""
        self._connections.gone(self)
        if self._inner is not None:
            self._inner.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        if self._inner is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """See asyncio."""
        return None if self._inner is None else self._inner.eof_received()

    def pause_writing(self) -> None:
        """See asyncio."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """See asyncio."""
        if self._inner is not None:
            self._inner.resume_writing()
