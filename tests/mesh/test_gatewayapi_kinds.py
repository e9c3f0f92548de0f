"""GRPCRoute, TCPRoute and TLSRoute on a real istiod and Envoy: their canary gets no request and no connection any more.

The Envoy is a Gateway, whose listeners and routes are what istiod pushes; only its clusters are its own, since pods are not there.
"""

import asyncio
import contextlib
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import pytest
import pytest_asyncio

from daemon.kube.client import KubeClient
from daemon.kube.resources import Json, Resource
from daemon.meshes.gatewayapi.mesh import GRPC_ROUTES, TCP_ROUTES, TLS_ROUTES
from daemon.meshes.gatewayapi.router import GatewayApiRouter
from daemon.model import Action
from tests.hand import gateway_objects, istio_objects
from tests.hand.gateway_objects import RELEASE, backend, route
from tests.hand.istio_cluster import client_of, gateway_cluster, post
from tests.hand.istio_objects import VERSIONS
from tests.hand.procedures import reverting
from tests.mesh.traffic import VERSION_HEADER
from tests.servers.envoy import envoy
from tests.servers.istiod import istiod
from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.locate import require
from tests.servers.run import LOOPBACK, free_ports, until

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("gatewayapi-kinds"),
]

IN_A_ROW = 100
HOST = "web.example.com"
CALL = f"POST /shop.Web/Get HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
SPLIT = [backend("web-v1", 50), backend("web-v2", 50)]
KINDS: Mapping[Resource, Json] = {
    GRPC_ROUTES: {"matches": [{"method": {"service": "shop.Web", "method": "Get"}}], "backendRefs": SPLIT},
    TCP_ROUTES: {"backendRefs": SPLIT},
    TLS_ROUTES: {"backendRefs": SPLIT},
}
PROTOCOLS: Mapping[Resource, Json] = {
    GRPC_ROUTES: {"protocol": "HTTP"},
    TCP_ROUTES: {"protocol": "TCP"},
    TLS_ROUTES: {"protocol": "TLS", "tls": {"mode": "Passthrough"}},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A cluster whose Gateway listens on a port for each kind of route."""

    api: KubeApiServer
    kube: KubeClient
    ports: Mapping[Resource, int]

    async def create(self, kind: Resource, rule: Json) -> None:
        """A route of this kind, for the listener of its name."""
        version = "v1" if kind is GRPC_ROUTES else "v1alpha2"
        parent = {**gateway_objects.ON_GATEWAY, "sectionName": kind.plural}
        item = route(rule, kind=kind.kind, parentRefs=[parent])
        if kind is TLS_ROUTES:
            item["spec"]["hostnames"] = [HOST]
        collection = gateway_objects.routes(kind.plural, version=version)
        await post(self.api, collection, {**item, "apiVersion": f"{gateway_objects.GROUP}/{version}"})

    async def answered(self, kind: Resource, *, times: int = IN_A_ROW) -> Counter[str]:
        """Which version answered how often; each call has a connection of its own."""
        asked = client_hello() if kind is TLS_ROUTES else CALL
        return Counter([await self._answer(self.ports[kind], asked) for _ in range(times)])

    async def _answer(self, port: int, asked: bytes) -> str:
        try:
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
        except ConnectionError:
            return "nobody"
        try:
            writer.write(asked)
            said = await asyncio.wait_for(reader.read(), 20.0)
        except ConnectionError:
            return "nobody"
        finally:
            await _closed(writer)
        return next((version for version in VERSIONS if f"{VERSION_HEADER}: {version}".encode() in said), "nobody")

    async def until_answered_by(self, kind: Resource, *versions: str) -> None:
        async def holds() -> bool:
            return set(await self.answered(kind)) == set(versions)

        await until(holds, within=60.0)


def client_hello() -> bytes:
    """How a client of TLS begins that wants this host."""
    sent = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname=HOST).do_handshake()
    return sent.read()


@contextlib.asynccontextmanager
async def _backend(version: str) -> AsyncIterator[int]:
    """Says its version to whatever is sent to it, as an answer in HTTP; gives its port."""
    answer = f"HTTP/1.1 200 OK\r\n{VERSION_HEADER}: {version}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if await reader.read(4096):
                writer.write(answer)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            await _closed(writer)

    async with await asyncio.start_server(handle, LOOPBACK, 0) as server:
        yield int(server.sockets[0].getsockname()[1])


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def _objects(ports: Mapping[Resource, int]) -> list[tuple[str, Json]]:
    """Those of the world with a Gateway, which has a listener for each kind, and a route of each."""
    *objects, (gateways, gateway), _ = gateway_objects.created_on_gateway()
    listeners = [{"name": kind.plural, "port": port, **PROTOCOLS[kind]} for kind, port in ports.items()]
    gateway["spec"]["listeners"] = listeners
    for _, item in objects:
        if item["kind"] == "Service" and item["metadata"]["name"] == "edge":
            item["spec"]["ports"] = [{"name": one["name"], "port": one["port"], "protocol": "TCP"} for one in listeners]
    return [*objects, (gateways, gateway)]


def _bootstrap(*, grpc: str, admin_port: int, backends: Mapping[str, int]) -> Json:
    """The world's Envoy without a listener of its own."""
    found: Json = istio_objects.bootstrap(
        istiod=grpc, admin_port=admin_port, proxy_port=0, backends=dict(backends), proxy=gateway_objects.EDGE
    )
    found["static_resources"]["listeners"] = []
    found["dynamic_resources"]["lds_config"] = {"ads": {}, "resource_api_version": "V3"}
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    require("envoy")
    folder = tmp_path_factory.mktemp("kinds")
    admin_port, *free = free_ports(1 + len(KINDS))
    ports = dict(zip(KINDS, free, strict=True))
    async with contextlib.AsyncExitStack() as stack:
        backends = {version: await stack.enter_async_context(_backend(version)) for version in VERSIONS}
        api = await stack.enter_async_context(gateway_cluster(folder / "cluster", istio=True, objects=_objects(ports)))
        # A plain Envoy has none of Istio's own filters, and routes of connections are an alpha of the Gateway API there.
        own_filters = dict.fromkeys(("PILOT_ENABLE_METADATA_EXCHANGE", "PILOT_ENABLE_ALPN_FILTER"), "false")
        env = {"PILOT_ENABLE_ALPHA_GATEWAY_API": "true", **own_filters}
        control_plane = await stack.enter_async_context(istiod(folder / "istiod", api, env=env))
        config = folder / "bootstrap.json"
        config.write_text(json.dumps(_bootstrap(grpc=control_plane.grpc, admin_port=admin_port, backends=backends)))
        await stack.enter_async_context(envoy(folder / "envoy", config, admin_port))
        kube = client_of(api, folder / "admin.json")
        stack.push_async_callback(kube.close)
        yield World(api=api, kube=kube, ports=ports)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
async def test_a_canary_is_sent_nothing_any_more_once_its_traffic_was_taken_back(kind: Resource, world: World) -> None:
    await world.create(kind, KINDS[kind])
    await world.until_answered_by(kind, *VERSIONS)
    router = GatewayApiRouter(world.kube)
    placement = await router.locate(RELEASE)
    outcome = await reverting(confirm_seconds=1.0).run(router, RELEASE, located=placement.located)
    assert outcome.action is Action.REVERT, outcome.reason
    await world.until_answered_by(kind, "v1")
    assert await world.answered(kind) == {"v1": IN_A_ROW}
