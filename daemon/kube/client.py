"""A small client of the API server: get, list, patch, and the lines of a watch. Every call has a time limit.

The status of every answer is looked at here, and becomes an error of ours. Nothing is tried again: whoever calls knows what a
second try is worth.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from config.settings import Kubernetes
from daemon.errors import Forbidden, NotFound, TimedOut, Unavailable
from daemon.kube import answers
from daemon.kube.credentials import Authenticated, Query
from daemon.kube.resources import Json, Resource
from daemon.kube.rights import Verb, rule
from daemon.kube.transport import Transport, connect
from daemon.kube.versions import ServedVersions

_PAGE = 500
# A million objects, more than an API server is built for.
_MOST_PAGES = 2_000
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
        self._server = Authenticated(settings, connector=connector)
        self._timeout = settings.request_timeout_seconds
        self._versions = ServedVersions(self.document)

    async def connect(self) -> None:
        """Read the credentials and open the session now. Raises as ``Authenticated.connect``."""
        await self._server.connect()

    async def close(self) -> None:
        """Close the session."""
        await self._server.close()

    async def get(self, resource: Resource, *, name: str, namespace: str | None = None) -> Json:
        """One object, as it is now."""
        served = await self._versions.of(resource)
        with _with_rule("get", resource, namespace=namespace):
            return await self._call("GET", served.path(namespace=namespace, name=name))

    async def list(self, resource: Resource, *, namespace: str | None = None, labels: str = "", fields: str = "") -> Listing:
        """All objects that these selectors fit, page by page.

        Raises:
            Expired: the list grew old between two pages.
            Unavailable: pages without end, as no API server has them.
        """
        served = await self._versions.of(resource)
        try:
            with _with_rule("list", resource, namespace=namespace):
                return await self._pages(served.path(namespace=namespace), labels=labels, fields=fields)
        except NotFound:
            if not self._versions.forget(resource):
                raise
        # Another version may be served since.
        served = await self._versions.of(resource)
        return await self._pages(served.path(namespace=namespace), labels=labels, fields=fields)

    async def _pages(self, path: str, *, labels: str, fields: str) -> Listing:
        items: list[Json] = []
        selectors = [(name, text) for name, text in (("labelSelector", labels), ("fieldSelector", fields)) if text]
        query = [("limit", str(_PAGE)), *selectors]
        more, seen = "", set[str]()
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
        path = (await self._versions.of(resource)).path(namespace=namespace, name=name)
        with _with_rule("patch", resource, namespace=namespace):
            return await self._call("PATCH", path, query=query, body=list(operations), content_type=_JSON_PATCH)

    async def create(self, resource: Resource, item: Json, *, namespace: str) -> Json:
        """Make an object, and return it as it is then.

        Raises:
            Conflict: there is one of its name.
            Refused: it would be invalid.
        """
        query = [("fieldValidation", "Strict"), ("fieldManager", "verdictd")]
        with _with_rule("create", resource, namespace=namespace):
            return await self._call("POST", resource.path(namespace=namespace), query=query, body=item)

    async def document(self, path: str) -> Json:
        """What stands at a path that is no object: ``/version``, or what a group of the API serves."""
        return await self._call("GET", path)

    async def review(self, resource: Resource, spec: Json) -> Json:
        """The API server's answer to a question about ourselves: ``status`` of a review, which is kept nowhere."""
        body = {"apiVersion": f"{resource.group}/{resource.version}", "kind": resource.kind, "spec": spec}
        status = (await self._call("POST", resource.path(), body=body)).get("status")
        return status if isinstance(status, dict) else {}

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
        path = (await self._versions.of(resource)).path(namespace=namespace)
        with _with_rule("watch", resource, namespace=namespace):
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
        await self._server.connect()
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._server.send(
                    "GET", path, query=query, read_seconds=idle_seconds, total_seconds=None, watch=True
                )
                try:
                    await _check(response, what=what)
                except BaseException:
                    response.close()  # nobody gets it
                    raise
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
        await self._server.connect()  # under a limit of its own: a call's time is the API server's
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._server.send(
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


@contextmanager
def _with_rule(verb: Verb, resource: Resource, *, namespace: str | None) -> Iterator[None]:
    """A right that is missing is said with the rule that gives it. What else forbids, as a webhook or a quota, no rule mends."""
    try:
        yield
    except Forbidden as error:
        if f'cannot {verb} resource "{resource.ruled}"' not in str(error):
            raise
        where = "a ClusterRole that is bound everywhere" if namespace is None else f"a role that is bound in namespace {namespace}"
        raise Forbidden(f"{error}; to allow it, add to {where}: - {rule(verb, resource)}") from error


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
