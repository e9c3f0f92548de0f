"""An API server that does wrong on purpose: each path answers what it is told, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from config.settings import Kubernetes
from daemon.kube.client import KubeClient
from tests.mesh.traffic import serving

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclasses.dataclass(slots=True)
class Stub:
    """Answers in order; the last one is repeated. ``requests`` holds what was asked: method, path with query, body."""

    kubeconfig: Path
    url: str = ""
    answers: list[Answer] = dataclasses.field(default_factory=list)
    requests: list[tuple[str, str, Any]] = dataclasses.field(default_factory=list)
    tokens: list[str] = dataclasses.field(default_factory=list)

    def client(self, *, timeout_seconds: float = 5.0) -> KubeClient:
        settings = Kubernetes(auth="kubeconfig", kubeconfig=str(self.kubeconfig), request_timeout_seconds=timeout_seconds)
        return KubeClient(settings)


def says(body: object, *, status: int = 200, **headers: str) -> Answer:
    """A JSON answer."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return answer


def text(body: str, *, status: int) -> Answer:
    """A proxy's plain text."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(text=body, status=status)

    return answer


def status(code: int, message: str = "no", **details: Any) -> Answer:
    """A Status object, as the API server answers errors."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message, "details": details}
    return says(body, status=code)


def silence() -> Answer:
    """A half-open connection: it was accepted, and nothing ever comes."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    return answer


def lines(*events: object, then: str = "close") -> Answer:
    """A watch that brings these lines and then closes, breaks, or goes silent."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_type = "application/json"
        await response.prepare(request)
        for event in events:
            line = event if isinstance(event, str) else json.dumps(event)
            await response.write(line.encode() + b"\n")
        if then == "silence":
            await asyncio.Event().wait()
        if then == "break" and request.transport is not None:
            request.transport.abort()
        return response

    return answer


@contextlib.asynccontextmanager
async def stub(folder: Path, *answers: Answer) -> AsyncIterator[Stub]:
    """Run it; ``Stub.client`` is a client of ours for it."""
    state = Stub(folder / "kubeconfig.json", answers=list(answers))

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        state.requests.append((request.method, request.path_qs, body))
        state.tokens.append(request.headers.get("Authorization", ""))
        answer = state.answers.pop(0) if len(state.answers) > 1 else state.answers[0]
        return await answer(request)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    async with serving(app) as port:
        state.url = f"http://127.0.0.1:{port}"
        write_kubeconfig(state.kubeconfig, port=port)
        yield state


def write_kubeconfig(path: Path, *, port: int, user: str = "one") -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "stub", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "stub", "user": {"token": user}}],
        "contexts": [{"name": "stub", "context": {"cluster": "stub", "user": "stub"}}],
        "current-context": "stub",
    }
    path.write_text(json.dumps(config))
