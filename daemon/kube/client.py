"""A small client of the API server: get, list, patch, and the lines of a watch. Every call has a time limit.

The status of every answer is looked at here, and becomes an error of ours. Credentials that have run out (401) are read
anew once; nothing else is retried: whoever calls knows what a second try is worth.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from config.settings import Kubernetes
from daemon.errors import TimedOut, Unavailable
from daemon.kube import answers
from daemon.kube.resources import Json, Resource
from daemon.kube.transport import Transport, connect

Query = Sequence[tuple[str, str]]

_PAGE = 500
# A million objects, more than an API server is built for.
_MOST_PAGES = 2_000
_RENEW_SECONDS = 10.0
# Importing a library, and asking a plug-in for credentials, which may go over the network.
_CONNECT_SECONDS = 30.0
_ERROR_BYTES = 4 * 1024 * 1024
# A page of objects, each of them at most as large as etcd takes (1.5 MiB), and few of them so large.
_ANSWER_BYTES = 256 * 1024 * 1024
_JSON_PATCH = "application/json-patch+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """All objects of a kind, and the version of the collection from which a watch can go on."""

    items: tuple[Json, ...]
    resource_version: str


class KubeClient:
    """A client of one API server. It connects at the first call; close it in the event loop that it was used in."""

    def __init__(self, settings: Kubernetes, *, connector: Callable[[Kubernetes], Awaitable[Transport]] = connect) -> None:
        self._settings = settings
        self._connector = connector
        self._timeout = settings.request_timeout_seconds
        self._transport: Transport | None = None
        self._replaced: Transport | None = None
        self._renewed_at = -_RENEW_SECONDS
        self._connecting = asyncio.Lock()

    async def connect(self) -> None:
        """Read the credentials and open the session now.

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

    async def get(self, resource: Resource, *, name: str, namespace: str | None = None) -> Json:
        """One object, as it is now."""
        return await self._call("GET", resource.path(namespace=namespace, name=name))

    async def list(self, resource: Resource, *, namespace: str | None = None, labels: str = "") -> Listing:
        """All objects, page by page.

        Raises:
            Expired: the list grew old between two pages.
            Unavailable: pages without end, as no API server has them.
        """
        items: list[Json] = []
        query = [("limit", str(_PAGE)), *([("labelSelector", labels)] if labels else [])]
        path, more, seen = resource.path(namespace=namespace), "", set[str]()
        while len(seen) < _MOST_PAGES:
            page = await self._call("GET", path, query=[*query, *([("continue", more)] if more else [])])
            items += [item for item in page.get("items") or () if isinstance(item, dict)]
            metadata = page.get("metadata") or {}
            more = str(metadata.get("continue") or "")
            if not more:
                return Listing(items=tuple(items), resource_version=str(metadata.get("resourceVersion", "")))
            if more in seen:
                raise Unavailable(f"GET {path}: the same page comes again")
            seen.add(more)
        raise Unavailable(f"GET {path}: there are more than {_MOST_PAGES} pages of {_PAGE}")

    async def patch(
        self,
        resource: Resource,
        *,
        name: str,
        operations: Sequence[Json],
        namespace: str | None = None,
    ) -> Json:
        """Apply a JSON Patch and return the object as it is then. Unknown fields are refused, not dropped in silence.

        Raises:
            Conflict: the resourceVersion is another one (409), or a ``test`` or a path did not hold (422 without causes).
            Refused: the object would be invalid.
        """
        query = [("fieldValidation", "Strict"), ("fieldManager", "verdictd")]
        path = resource.path(namespace=namespace, name=name)
        return await self._call("PATCH", path, query=query, body=list(operations), content_type=_JSON_PATCH)

    @asynccontextmanager
    async def watch(
        self,
        resource: Resource,
        *,
        resource_version: str,
        timeout_seconds: int,
        idle_seconds: float,
        namespace: str | None = None,
        labels: str = "",
    ) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
        """Open a watch; gives a function for the next line, which is empty when the server has closed the watch.

        Args:
            resource_version: where to go on.
            timeout_seconds: when the server should close the watch.
            idle_seconds: a connection that is silent for so long is taken for dead (``TimedOut``).

        Raises:
            Expired: the resource version is too old.
        """
        query = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", resource_version),
            ("timeoutSeconds", str(timeout_seconds)),
            *([("labelSelector", labels)] if labels else []),
        ]
        what = f"watch of {resource}"
        path = resource.path(namespace=namespace)
        response = await self._opened(path, query=query, idle_seconds=idle_seconds, what=what)
        try:

            async def line() -> bytes:
                with _translated(what):
                    return await response.content.readline()

            yield line
        finally:
            response.close()

    async def _opened(self, path: str, *, query: Query, idle_seconds: float, what: str) -> aiohttp.ClientResponse:
        """The head of a watch's answer, within the time of an ordinary call."""
        await self._connected()
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._send("GET", path, query=query, read_seconds=idle_seconds, total_seconds=None)
                await _check(response, what=what)
        except TimeoutError as error:
            raise TimedOut(f"{what}: no answer within {self._timeout:g} s") from error
        return response

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: object = None,
        content_type: str = "application/json",
    ) -> Json:
        what = f"{method} {path}"
        await self._connected()  # under a limit of its own: a call's time is the API server's
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._send(
                    method,
                    path,
                    query=query,
                    body=body,
                    content_type=content_type,
                    read_seconds=self._timeout,
                    total_seconds=self._timeout,
                )
                async with response:
                    await _check(response, what=what)
                    with _translated(what):
                        return answers.decoded(await _whole(response, what=what), what=what)
        except TimeoutError as error:
            raise TimedOut(f"{what}: no answer within {self._timeout:g} s") from error

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Query,
        read_seconds: float,
        total_seconds: float | None,
        body: object = None,
        content_type: str = "application/json",
    ) -> aiohttp.ClientResponse:
        """One request, and a second one with fresh credentials when the first is answered 401 (nothing was done then)."""
        transport: Transport | None = await self._connected()
        while True:
            assert transport is not None  # the loop ends before it could be
            response = await transport.send(
                method,
                path,
                query=query,
                body=body,
                content_type=content_type,
                read_seconds=read_seconds,
                total_seconds=total_seconds,
            )
            if response.status != 401 or (transport := await self._renewed(transport)) is None:
                return response
            response.close()

    async def _connected(self) -> Transport:
        """The connection, made if there is none. Raises ``TimedOut`` when a plug-in that gives credentials does not end."""
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
            self._transport, self._replaced = await self._connector(self._settings), stale
            return self._transport


async def _whole(response: aiohttp.ClientResponse, *, what: str) -> bytes:
    """The body, unpacked. Raises ``Unavailable`` for one that is longer than anything an API server has to say."""
    body = bytearray()
    while chunk := await response.content.readany():
        body += chunk
        if len(body) > _ANSWER_BYTES:
            response.close()
            raise Unavailable(f"{what}: the answer is longer than {_ANSWER_BYTES >> 20} MiB")
    return bytes(body)


async def _check(response: aiohttp.ClientResponse, *, what: str) -> None:
    """Raise what a status other than 2xx means, and be done with the answer then."""
    if 200 <= response.status < 300:
        return
    body = b""
    with _translated(what):
        while len(body) < _ERROR_BYTES and (chunk := await response.content.readany()):
            body += chunk
    response.close()
    raise answers.error_of(status=response.status, body=body, headers=response.headers, what=what)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """What reading an answer raises, in our words. A line too long for the buffer is an ``HttpProcessingError``."""
    try:
        yield
    except TimeoutError as error:
        raise TimedOut(f"{what}: the answer stopped") from error
    except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
        raise Unavailable(f"{what}: {str(error) or type(error).__name__}") from error
