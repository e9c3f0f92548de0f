"""Who may be connected: so many in all, so many from one address, and nobody for long without asking for anything.

A connection costs a descriptor, and a revert needs some. So their number is bounded, and when there is no room for a new one,
the one that has been idle longest makes way: silent strangers cannot keep anybody out. One on which a request is being
answered that is there to its last byte never does; when all are, the newcomer is closed at once. Nothing of this is logged: a
flood would be told by a flood. With TLS, a connection is one of them from before its handshake.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Final, cast

from aiohttp import web
from aiohttp.typedefs import Middleware

from daemon.http.capacity import Capacity
from daemon.http.problems import Handler

_HANDSHAKE_SECONDS: Final = 10.0
_GOODBYE_SECONDS: Final = 1.0
"""For the other side's word that it has heard that a connection ends."""

Context = Callable[[], ssl.SSLContext]
"""What a new connection is secured by."""


class Connections:
    """The open ones. ``guarded`` wraps the protocol of each, ``middleware`` tells when one is being answered."""

    def __init__(self, capacity: Capacity, *, idle_seconds: float) -> None:
        self._capacity = capacity
        self._idle_seconds = idle_seconds
        # By socket: what a request knows as its transport may be one of TLS, on top of that of the connection.
        self._open: dict[object, _Guarded] = {}
        self._by_peer: Counter[str] = Counter()
        # In the order in which they fell idle.
        self._idle: dict[_Guarded, asyncio.TimerHandle] = {}
        self._answering: set[_Guarded] = set()
        self._shaking_hands: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._open)

    def guarded(self, make: Callable[[], asyncio.Protocol], *, tls: Context | None = None) -> asyncio.Protocol:
        """A protocol for a connection that may not be let in; what it does once it is, is up to what ``make`` makes."""
        return _Guarded(self, make, tls=tls)

    async def close(self) -> None:
        """End all that are left: of those that are still shaking hands, nobody else knows."""
        for handshake in (shaking := tuple(self._shaking_hands)):
            handshake.cancel()
        await asyncio.gather(*shaking, return_exceptions=True)
        for connection in tuple(self._open.values()):
            self._end(connection)

    def middleware(self) -> Middleware:
        """The outermost one: a connection whose whole request is being answered is not idle."""

        @web.middleware
        async def answering(request: web.Request, handler: Handler) -> web.StreamResponse:
            connection = None if request.transport is None else self._open.get(request.transport.get_extra_info("socket"))
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
                if connection.socket in self._open:
                    self._fell_idle(connection)

        return answering

    def admit(self, connection: "_Guarded") -> bool:
        """Let a connection in, if need be in place of one that is idle."""
        if self._by_peer[connection.peer] >= self._capacity.per_peer and not self._make_way(connection.peer):
            return False
        if len(self._open) >= self._capacity.connections and not self._make_way(None):
            return False
        self._open[connection.socket] = connection
        self._by_peer[connection.peer] += 1
        self._fell_idle(connection)
        return True

    def gone(self, connection: "_Guarded") -> None:
        """Forget a connection."""
        if self._open.pop(connection.socket, None) is None:
            return
        self._busy(connection)
        self._by_peer[connection.peer] -= 1
        if not self._by_peer[connection.peer]:
            del self._by_peer[connection.peer]

    def shake_hands(self, handshake: Coroutine[None, None, None]) -> None:
        """Have a handshake done beside everything else."""
        task = asyncio.get_running_loop().create_task(handshake, name="TLS handshake")
        self._shaking_hands.add(task)
        task.add_done_callback(self._shaking_hands.discard)

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
    """Passes on everything that happens to a connection, once it is let in, and with TLS once hands are shaken."""

    def __init__(self, connections: Connections, make: Callable[[], asyncio.Protocol], *, tls: Context | None) -> None:
        self._connections = connections
        self._make = make
        self._tls = tls
        self._inner: asyncio.Protocol | None = None
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self.transport = cast("asyncio.Transport", transport)
        self.socket: object = transport.get_extra_info("socket")
        name = transport.get_extra_info("peername")
        self.peer = str(name[0]) if name else ""
        if not self._connections.admit(self):
            self.transport.abort()
        elif self._tls is None:
            self._begin(transport)
        else:
            self._connections.shake_hands(self._secured(self._tls()))

    async def _secured(self, context: ssl.SSLContext) -> None:
        """From the handshake on, what is passed on here is what was said under TLS."""
        try:
            secured = await asyncio.get_running_loop().start_tls(
                *(self.transport, self, context),
                server_side=True,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=_GOODBYE_SECONDS,
            )
        except OSError:  # no TLS, none in time, or gone; the transport is closed
            self._connections.gone(self)
            return
        if secured is not None and not secured.is_closing():
            self._begin(secured)

    def _begin(self, transport: asyncio.BaseTransport) -> None:
        self._inner = self._make()
        self._inner.connection_made(transport)
        if self._early:
            self._inner.data_received(self._early)
            self._early = b""

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio."""
        self._connections.gone(self)
        if self._inner is not None:
            self._inner.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        if self._inner is not None:
            self._inner.data_received(data)
        else:
            self._early += data  # came with the end of the handshake, in whose turn of the loop nothing has begun yet

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
