"""A real Envoy with clusters of any names, over which calls of gRPC, other requests and plain connections go to two backends."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.hand.servers import app_of, serving
from tests.live.telemetry_world import MANAGER, ROUTER
from tests.servers.envoy import envoy
from tests.servers.run import LOOPBACK, free_ports

GRPC_STATS = "type.googleapis.com/envoy.extensions.filters.http.grpc_stats.v3.FilterConfig"
TCP_PROXY = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"


@dataclass
class ClustersWorld:
    """Ports by arm, and what the backends were asked.

    Attributes:
        admin: URL of the admin page.
        port: where HTTP goes in; the path tells the arm.
        tcp_ports: where connections to each arm go in.
    """

    admin: str
    port: int
    tcp_ports: Sequence[int]
    client: aiohttp.ClientSession
    called: list[int] = field(default_factory=lambda: [0, 0])

    async def calls(self, arm: int, often: int, *, status: int = 0) -> None:
        """Calls of gRPC that the backend ends with this status, all under HTTP 200."""
        headers = {"content-type": "application/grpc", "te": "trailers", "ends-with": str(status)}
        for _ in range(often):
            async with self.client.post(f"http://{LOOPBACK}:{self.port}/v{arm + 1}.Shop/Buy", headers=headers) as response:
                assert response.status == 200
                await response.read()

    async def connects(self, arm: int, often: int) -> int:
        """Connections, one after the other; how many were answered."""
        answered = 0
        for _ in range(often):
            reader, writer = await asyncio.open_connection(LOOPBACK, self.tcp_ports[arm])
            try:
                writer.write(b"GET / HTTP/1.0\r\n\r\n")
                answered += bool(await reader.read())
            except ConnectionError:
                pass
            finally:
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()
        return answered


@asynccontextmanager
async def clusters_world(
    folder: Path, names: tuple[str, str], *, by_method: bool = False, dead_canary: bool = False
) -> AsyncIterator[ClustersWorld]:
    """Envoy with one cluster for each arm. ``by_method``: its statistics of gRPC are kept by method."""
    port, admin_port, one, other, *backends = free_ports(6)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(aiohttp.ClientSession())
        made = ClustersWorld(f"http://{LOOPBACK}:{admin_port}", port, (one, other), client)
        for arm, backend_port in enumerate(backends):
            if not (arm and dead_canary):
                await stack.enter_async_context(serving(app_of(_answering(made, arm)), port=backend_port))
        bootstrap = folder / "envoy.json"
        bootstrap.write_text(json.dumps(_bootstrap(made, names, backends, admin_port, by_method=by_method)), encoding="utf-8")
        await stack.enter_async_context(envoy(folder, bootstrap, admin_port))
        yield made


def _answering(world: ClustersWorld, arm: int) -> Any:
    async def answer(request: web.Request) -> web.Response:
        world.called[arm] += 1
        if "ends-with" not in request.headers:
            return web.Response(text="ok")
        # An answer without a message has its status among the headers.
        headers = {"content-type": "application/grpc", "grpc-status": request.headers["ends-with"]}
        return web.Response(headers=headers)

    return answer


def _bootstrap(
    world: ClustersWorld, names: tuple[str, str], backends: Sequence[int], admin_port: int, *, by_method: bool
) -> dict[str, Any]:
    routes = [{"match": {"prefix": f"/v{arm + 1}"}, "route": {"cluster": name}} for arm, name in enumerate(names)]
    counting = {"@type": GRPC_STATS, **({"stats_for_all_methods": True} if by_method else {})}
    manager = {
        "@type": MANAGER,
        "stat_prefix": "ingress",
        "route_config": {"virtual_hosts": [{"name": "web", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {"name": "envoy.filters.http.grpc_stats", "typed_config": counting},
            {"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}},
        ],
    }
    listeners = [_listener(world.port, "envoy.filters.network.http_connection_manager", manager)]
    for name, tcp_port in zip(names, world.tcp_ports, strict=True):
        proxy = {"@type": TCP_PROXY, "stat_prefix": "tcp", "cluster": name}
        listeners.append(_listener(tcp_port, "envoy.filters.network.tcp_proxy", proxy))
    return {
        "admin": {"address": _address(admin_port)},
        "stats_flush_on_admin": True,
        "static_resources": {
            "listeners": listeners,
            "clusters": [_cluster(name, port) for name, port in zip(names, backends, strict=True)],
        },
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": LOOPBACK, "port_value": port}}


def _listener(port: int, name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"address": _address(port), "filter_chains": [{"filters": [{"name": name, "typed_config": config}]}]}


def _cluster(name: str, port: int) -> dict[str, Any]:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}]
    return {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": endpoints}}
