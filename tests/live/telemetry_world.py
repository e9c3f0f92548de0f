"""A real Envoy between a client and two backends that count for themselves: what telemetry says can be checked."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from daemon.measurements import Reading
from tests.hand.servers import app_of, serving
from tests.servers.envoy import Envoy, envoy
from tests.servers.run import LOOPBACK, free_ports

MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
ARMS = ("web-v1", "web-v2")


@dataclass
class Backend:
    """One arm's backend: counts what it answered, and fails or dawdles as told."""

    port: int
    answered: int = 0
    failed: int = 0
    fail_every: int = 0
    delay_seconds: float = 0.0
    held_seconds: list[float] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(self.delay_seconds)
        self.held_seconds.append(asyncio.get_running_loop().time() - began)
        self.answered += 1
        if self.fail_every and self.answered % self.fail_every == 0:
            self.failed += 1
            return web.Response(status=503)
        return web.Response(text="ok")


@dataclass
class World:
    """Envoy's ports, its backends by arm, and a client."""

    port: int
    admin_port: int
    folder: Path
    bootstrap: Path
    client: aiohttp.ClientSession
    backends: dict[str, Backend]
    statuses: dict[str, list[int]] = field(default_factory=lambda: {arm: [] for arm in ARMS})
    waited_seconds: dict[str, list[float]] = field(default_factory=lambda: {arm: [] for arm in ARMS})

    @property
    def admin(self) -> str:
        return f"http://{LOOPBACK}:{self.admin_port}"

    def envoy(self) -> AbstractAsyncContextManager[Envoy]:
        """Start Envoy."""
        return envoy(self.folder, self.bootstrap, self.admin_port)

    async def send(self, arm: str, requests: int) -> None:
        """Send so many requests to one arm through Envoy, and wait for all answers."""

        async def one() -> None:
            began = asyncio.get_running_loop().time()
            async with self.client.get(f"http://{LOOPBACK}:{self.port}/{arm}") as response:
                await response.read()
                self.statuses[arm].append(response.status)
            self.waited_seconds[arm].append(asyncio.get_running_loop().time() - began)

        await asyncio.gather(*(one() for _ in range(requests)))

    async def has_histograms(self) -> bool:
        """Whether Envoy shows latencies of both arms by now."""
        async with self.client.get(f"{self.admin}/stats/prometheus", params={"filter": "upstream_rq_time"}) as response:
            page = await response.text()
        return all(f'upstream_rq_time_count{{envoy_cluster_name="{arm}"}}' in page for arm in ARMS)


class Sums:
    """What a watch has read so far."""

    def __init__(self) -> None:
        self.requests = [0, 0]
        self.errors = [0, 0]
        self.latencies = [0, 0]
        self.seconds = 0.0
        self.gaps: list[str] = []
        self.latency_ticks = 0

    def add(self, reading: Reading) -> None:
        """Fold one reading."""
        if reading.gap is not None:
            assert reading.baseline is None
            assert reading.canary is None
            self.gaps.append(reading.gap)
            return
        self.seconds += reading.seconds
        for index, arm in enumerate((reading.baseline, reading.canary)):
            assert arm is not None
            self.requests[index] += arm.requests
            self.errors[index] += arm.errors
            if arm.latency is not None:
                self.latencies[index] += sum(arm.latency.counts)
                self.latency_ticks += index


@asynccontextmanager
async def world(folder: Path, *, flush: dict[str, object] | None = None, dead_canary: bool = False) -> AsyncIterator[World]:
    """Backends and a bootstrap for Envoy, which a test starts itself."""
    port, admin_port, *backend_ports = free_ports(4)
    async with AsyncExitStack() as stack:
        backends = {}
        for arm, backend_port in zip(ARMS, backend_ports, strict=True):
            backends[arm] = Backend(backend_port)
            if not (dead_canary and arm == ARMS[1]):
                await stack.enter_async_context(serving(app_of(backends[arm].handle), port=backend_port))
        bootstrap = folder / "envoy.json"
        bootstrap.write_text(json.dumps(_bootstrap(port, admin_port, backends, flush or {})), encoding="utf-8")
        client = await stack.enter_async_context(aiohttp.ClientSession())
        yield World(port, admin_port, folder, bootstrap, client, backends)


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": LOOPBACK, "port_value": port}}


def static_cluster(name: str, port: int) -> dict[str, object]:
    """An Envoy cluster of one backend here."""
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}]
    return {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": endpoints}}


def static_bootstrap(
    *, port: int, admin_port: int, routes: Sequence[Mapping[str, object]], clusters: Sequence[Mapping[str, object]]
) -> dict[str, object]:
    """An Envoy that listens for HTTP and has these routes and clusters."""
    manager = {
        "@type": MANAGER,
        "stat_prefix": "ingress",
        "route_config": {"virtual_hosts": [{"name": "web", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {
        "admin": {"address": _address(admin_port)},
        "static_resources": {
            "listeners": [{"address": _address(port), "filter_chains": [{"filters": filters}]}],
            "clusters": clusters,
        },
    }


def _bootstrap(port: int, admin_port: int, backends: dict[str, Backend], flush: dict[str, object]) -> dict[str, object]:
    routes = [{"match": {"prefix": f"/{arm}"}, "route": {"cluster": arm}} for arm in backends]
    clusters = [static_cluster(arm, backend.port) for arm, backend in backends.items()]
    return static_bootstrap(port=port, admin_port=admin_port, routes=routes, clusters=clusters) | flush
