"""A way to the API server that is open when it is needed, with credentials that are renewed when they have run out.

It connects at the first request. An answer of 401 means that nothing was done, and so does a certificate of an authority that we do
not know: the credentials, the authority's certificate among them, are read anew, at most once in three seconds, and the request is
sent a second time. Whatever else is answered goes to whoever asked.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import aiohttp

from config.settings import Kubernetes
from daemon.errors import TimedOut
from daemon.kube.transport import Transport, Untrusted, connect

Query = Sequence[tuple[str, str]]

_RENEW_SECONDS = 3.0
"""All tries of a revert take some nine: a token that is renewed meanwhile is to be read while there is one left."""
# Importing a library, and asking a plug-in for credentials, which may go over the network.
_CONNECT_SECONDS = 30.0


class Authenticated:
    """A connection with credentials of its own. Close it in the event loop that it was used in."""

    def __init__(self, settings: Kubernetes, *, connector: Callable[[Kubernetes], Awaitable[Transport]] = connect) -> None:
        self._settings = settings
        self._connector = connector
        self._transport: Transport | None = None
        self._replaced: Transport | None = None
        self._renewed_at = -_RENEW_SECONDS
        self._connecting = asyncio.Lock()

    async def connect(self) -> None:
        """Read the credentials and open the session now, if that is not done.

        Raises:
            NotFound, Refused: there are none to use.
            TimedOut: whatever gives them does not end.
        """
        await self._connected()

    async def close(self) -> None:
        """Close the session."""
        transports, self._transport, self._replaced = (self._transport, self._replaced), None, None
        for transport in transports:
            if transport is not None:
                await transport.close()

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Query,
        read_seconds: float,
        total_seconds: float | None,
        body: object = None,
        content_type: str = "application/json",
        watch: bool = False,
    ) -> aiohttp.ClientResponse:
        """The head of the answer to one request, or to a second one with fresh credentials. Raises as ``Transport.send``."""
        transport: Transport | None = await self._connected()
        while True:
            assert transport is not None  # the loop ends before it could be
            try:
                response = await transport.send(
                    method,
                    path,
                    query=query,
                    body=body,
                    content_type=content_type,
                    read_seconds=read_seconds,
                    total_seconds=total_seconds,
                    watch=watch,
                )
            except Untrusted:
                if (transport := await self._renewed(transport)) is None:
                    raise
                continue
            if response.status != 401:
                return response
            try:
                transport = await self._renewed(transport)
            except BaseException:
                response.close()  # nobody gets it
                raise
            if transport is None:
                return response
            response.close()

    async def _connected(self) -> Transport:
        """The connection, made if there is none."""
        async with self._connecting:
            if self._transport is None:
                try:
                    async with asyncio.timeout(_CONNECT_SECONDS):
                        self._transport = await self._connector(self._settings)
                except TimeoutError as error:
                    raise TimedOut(f"there are no credentials for Kubernetes after {_CONNECT_SECONDS:g} s") from error
            return self._transport

    async def _renewed(self, stale: Transport) -> Transport | None:
        """A connection with credentials read anew; null when they have just been.

        The old one is closed at the next renewal only: other requests may be under way on it.
        """
        async with self._connecting:
            now = asyncio.get_running_loop().time()
            if self._transport is not stale:
                return self._transport
            if now - self._renewed_at < _RENEW_SECONDS:
                return None
            self._renewed_at = now
            if self._replaced is not None:
                await self._replaced.close()
            try:
                fresh = await self._connector(self._settings)
            except asyncio.CancelledError:
                # It takes longer than a call may: the next one waits for it, as for the first ones, under a limit of its own.
                self._transport, self._replaced = None, stale
                raise
            self._transport, self._replaced = fresh, stale
            return self._transport
