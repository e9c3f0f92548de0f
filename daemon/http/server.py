"""The API as one owned thing: made from ports and settings, bound to an address, gone in under two seconds.

Its connections are bounded (``daemon/http/connections.py``).

The order at the end: no new connection, long polls answered, what is still being answered given a second, the rest cut.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

from aiohttp import web

from config import address
from config.address import Address
from config.settings import Http
from daemon.aio.tasks import background
from daemon.errors import Unavailable
from daemon.http import bounds, guard, measuring, openapi
from daemon.http.api import GROUPS
from daemon.http.bounds import BoundOf
from daemon.http.callers import Callers
from daemon.http.capacity import ACCEPTED_AT_ONCE, Capacity
from daemon.http.connections import Connections
from daemon.http.endpoint import ApiPorts, Endpoint, Group
from daemon.http.guard import Guard
from daemon.http.intake import only_parameters
from daemon.http.permitted import PermittedEvents, PermittedFreezes, PermittedReleases
from daemon.http.problems import Handler, expected, problems
from daemon.http.ratelimits import RateLimits
from daemon.http.tls import Certificate

_SHUTDOWN_SECONDS = 1.0
_QUEUE = 128
"""Connections that wait in the kernel to be taken."""


def create_app(ports: ApiPorts, *, groups: Sequence[Group] = GROUPS) -> web.Application:
    """The API: every endpoint of the groups, behind its guard, and the document that describes them.

    Raises:
        ConfigError: naming ``http.token_file`` when there must be a token and is none, or ``http.listen``.
    """
    callers = Callers(ports.http)
    callers.read()
    ports = replace(
        ports,
        releases=PermittedReleases(ports.releases),
        freezes=PermittedFreezes(ports.freezes),
        event_log=PermittedEvents(ports.event_log),
    )
    guards: dict[web.AbstractRoute, Guard] = {}
    limits = RateLimits(ports.http.requests_per_second)
    guarded = guard.middleware(lambda request: guards.get(request.match_info.route), callers=callers, limits=limits)
    of_routes: dict[web.AbstractRoute, BoundOf] = {}
    bounded = bounds.middleware(lambda request: of_routes.get(request.match_info.route, _unbounded)(request))
    measured = measuring.middleware(ports.metrics.answered)
    app = web.Application(client_max_size=ports.http.max_body_bytes, middlewares=[measured, problems, bounded, guarded])
    table = [(group, group.endpoints(ports)) for group in groups]
    app[openapi.DOCUMENT] = openapi.document(table)
    for endpoint in (one for _, of_group in table for one in of_group):
        handler = _strict(endpoint) if endpoint.strict else endpoint.handler
        for method in ("GET", "HEAD") if endpoint.method == "GET" else (endpoint.method,):
            route = app.router.add_route(method, endpoint.path, handler, expect_handler=expected)
            guards[route] = endpoint.guard
            of_routes[route] = endpoint.bound or _unbounded

    async def let_go(_app: web.Application) -> None:
        ports.waiting.close()

    async def close(_app: web.Application) -> None:
        await callers.close()

    app.on_shutdown.append(let_go)
    app.on_cleanup.append(close)
    return app


def _unbounded(_request: web.Request) -> None:
    """Of most endpoints: what they read is little, or the guard's word comes first."""


def _strict(endpoint: Endpoint) -> Handler:
    """Query parameters that would be ignored are refused, before anything is done."""
    known = [one.name for one in endpoint.parameters if one.where == "query"]

    async def handle(request: web.Request) -> web.StreamResponse:
        only_parameters(request, known)
        return await endpoint.handler(request)

    return handle


class HttpServer:
    """An async context manager: listens inside, and not outside.

    ``address`` is where it really listens (port 0 becomes the one taken).

    Raises:
        ConfigError: naming ``http.tls``, when its files cannot be used.
    """

    def __init__(self, app: web.Application, *, http: Http, capacity: Capacity) -> None:
        self._wanted = address.parse(http.listen)
        self.connections = Connections(capacity, idle_seconds=http.idle_seconds)
        app.middlewares.insert(0, self.connections.middleware())
        # Bodies are not unpacked: nobody needs it, and a small body could become a large one.
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_SECONDS, auto_decompress=False
        )
        self.address = self._wanted
        self.certificate = None if http.tls is None else Certificate(http.tls)
        self._opened = AsyncExitStack()

    @property
    def url(self) -> str:
        """Where it can be asked, on this machine."""
        return self.address.url if self.certificate is None else self.address.url.replace("http:", "https:", 1)

    async def __aenter__(self) -> Self:
        """Listen. Raises ``Unavailable`` when the address cannot be had."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.connections.close)
            stack.push_async_callback(self._runner.cleanup)
            await self._runner.setup()
            try:
                await _Site(self._runner, self._wanted, self._protocol).start()
            except OSError as error:
                raise Unavailable(f"http.listen: {self._wanted.url} cannot be listened on: {error.strerror}") from error
            if self.certificate is not None:
                await stack.enter_async_context(background(self.certificate.renewed()))
            self.address = Address(self._wanted.host, self._runner.addresses[0][1])
            self._opened = stack.pop_all()
        return self

    def _protocol(self) -> asyncio.Protocol:
        make = self._runner.server
        assert make is not None  # the runner has been set up
        certificate = self.certificate
        return self.connections.guarded(make, tls=None if certificate is None else lambda: certificate.context)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop listening and end what is open."""
        await self._opened.aclose()


class _Site(web.BaseSite):
    """As ``web.TCPSite``, but for the guard before each connection."""

    def __init__(self, runner: web.AppRunner, wanted: Address, protocol: Callable[[], asyncio.Protocol]) -> None:
        super().__init__(runner)
        self._wanted = wanted
        self._protocol = protocol

    @property
    def name(self) -> str:
        """Where it listens."""
        return self._wanted.url

    async def start(self) -> None:
        """Listen. Raises ``OSError``."""
        await super().start()
        server = await asyncio.get_running_loop().create_server(
            self._protocol, self._wanted.host, self._wanted.port, backlog=ACCEPTED_AT_ONCE
        )
        self._server = server
        for listening in server.sockets:
            # For asyncio the backlog is also how many it accepts in one turn; the kernel's queue may be longer.
            with socket.fromfd(listening.fileno(), listening.family, listening.type) as same:
                same.listen(_QUEUE)
