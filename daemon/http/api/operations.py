"""What operators and their machines read: probes, metrics, the description of the API, the thin client of it.

Is the process alive, and does everything it needs work? Two questions: a broker that is away is no reason to restart.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web
from prometheus_client.exposition import choose_encoder

from config.settings import Scope
from daemon import thinclient
from daemon.aio.stretches import in_stretches
from daemon.http.endpoint import JSON, TEXT, ApiPorts, Endpoint, Group, reply
from daemon.http.guard import Open
from daemon.http.openapi import DOCUMENT
from daemon.http.problems import Handler

_PARTS: Final = ("_bucket", "_count", "_sum")
"""Of a histogram: who names one means these samples, of which none has its name."""


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Whether every component works that is needed; each with ``ok`` or the reason, also those that are only missed."""

    ready: bool
    components: dict[str, str]


_PYTHON: Final = "text/x-python"
_READY = Ready(ready=True, components={"nats": "ok", "engine": "ok", "telemetry prom": "ok"})
_NOT_READY = Ready(ready=False, components={"nats": "no write has succeeded for 12 s", "engine": "ok", "telemetry prom": "ok"})


def endpoints(ports: ApiPorts) -> list[Endpoint]:
    """Everything that is no part of /v1; anybody may read it, but for the metrics where reading takes a token."""
    handlers = _Operations(ports)
    works = "Every component works; otherwise which one does not, and why."
    return [
        _open(handlers.alive, name="getHealth", path="/healthz", summary="The process answers.", answers={200: TEXT}),
        _open(
            handlers.ready,
            name="getReadiness",
            path="/readyz",
            summary=works,
            answers={200: _READY, 503: _NOT_READY},
            about={503: "At least one component does not."},
        ),
        _open(
            handlers.metrics,
            name="getMetrics",
            path="/metrics",
            summary="Metrics in the Prometheus format.",
            answers={200: TEXT},
            scope="read",
        ),
        _open(_describe, name="getDescription", path="/openapi.json", summary="This document.", answers={200: JSON}),
        _open(
            handlers.client,
            name="getClient",
            path="/client",
            summary="The thin client: one file that needs Python 3.9 and nothing else.",
            answers={200: _PYTHON},
        ),
    ]


GROUP: Final = Group(name="operations", about="Probes, metrics, this document, the thin client.", endpoints=endpoints)


class _Operations:
    """The handlers. One scrape at a time: a second one waits, so that scrapes cannot crowd out the daemon."""

    def __init__(self, ports: ApiPorts) -> None:
        self._ports = ports
        self._one_scrape = asyncio.Lock()
        self._client = Path(thinclient.__file__).read_bytes()

    async def alive(self, _request: web.Request) -> web.Response:
        """The event loop turns: that is all a liveness probe should ask."""
        return web.Response(text="ok\n")

    async def ready(self, _request: web.Request) -> web.Response:
        """200 when every component that is needed works, else 503; with the reasons, those of the others too."""
        found = self._ports.readiness()
        components = {name: reason or "ok" for name, reason in found.needed.items()}
        components |= {name: f"degraded: {reason}" if reason else "ok" for name, reason in found.helpful.items()}
        ready = not any(found.needed.values())
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return reply(Ready(ready=ready, components=components), status=status)

    async def client(self, _request: web.Request) -> web.Response:
        """The file, as it was when the daemon started: client and daemon are of one version."""
        return web.Response(body=self._client, content_type=_PYTHON)

    async def metrics(self, request: web.Request) -> web.Response:
        """All metrics, or those that are named, in the format that the scraper asks for.

        They are written in a thread: with thousands of releases it takes most of a second, and a revert must not wait for it.
        """
        async with self._one_scrape:
            # The service belongs to the event loop: it is asked here, and only the numbers go to the thread.
            stages = {view.id: view.stage async for view in in_stretches(self._ports.releases.views())}
            self._ports.metrics.set_stages(stages)
            self._ports.metrics.set_frozen(freeze.namespace or "" for freeze in self._ports.freezes.freezes)
            found = self._ports.readiness()
            self._ports.metrics.set_components({name: why is None for name, why in {**found.needed, **found.helpful}.items()})
            encoder, content_type = choose_encoder(request.headers.get("Accept", ""))
            registry, names = self._ports.metrics.registry, request.query.getall("name[]", [])
            samples = [name + part for name in names for part in ("", *_PARTS)]
            body = await asyncio.to_thread(encoder, registry.restricted_registry(samples) if names else registry)
        response = web.Response(body=body, headers={"Content-Type": content_type})
        response.enable_compression()
        return response


async def _describe(request: web.Request) -> web.Response:
    """The OpenAPI document of the application that is asked."""
    return reply(request.app[DOCUMENT])


def _open(
    handler: Handler,
    *,
    name: str,
    path: str,
    summary: str,
    answers: Mapping[int, msgspec.Struct | str | None],
    about: Mapping[int, str] | None = None,
    scope: Scope | None = None,
) -> Endpoint:
    """Something to read, whatever the prober or scraper adds to the address."""
    return Endpoint(
        name=name,
        method="GET",
        path=path,
        handler=handler,
        guard=Open(scope=scope),
        summary=summary,
        answers=answers,
        about=about or {},
        strict=False,
    )
