"""A whole Consul mesh on one machine: an agent, sidecars of two versions of a service and of their client, and requests."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.hand.servers import app_of, serving
from tests.mesh.traffic import VERSION_HEADER, Traffic, traffic
from tests.servers.consul import consul
from tests.servers.envoy import envoy
from tests.servers.run import LOOPBACK, free_ports, until

READY_SECONDS = 60.0


@dataclass
class ConsulWorld:
    """The client's way into the mesh, its sidecar's admin page, and what each version answered.

    Attributes:
        agent: base URL of the agent's API.
        fail_every: which of the canary's answers are failures.
    """

    upstream_port: int
    admin: str
    agent: str
    client: aiohttp.ClientSession
    served: list[int] = field(default_factory=lambda: [0, 0])
    failed: list[int] = field(default_factory=lambda: [0, 0])
    fail_every: int = 0

    async def asks(self, often: int) -> None:
        """Requests to the service, one after the other; the splitter says which version has them."""
        for _ in range(often):
            async with self.client.get(f"http://{LOOPBACK}:{self.upstream_port}/") as response:
                await response.read()

    def traffic(self, *, per_second: float) -> AbstractAsyncContextManager[Traffic]:
        """Requests at a fixed rate, also to testers, whom a router knows by their header."""
        paths = {"/": {}, "/testers": {"x-canary": "always"}}
        return traffic(f"http://{LOOPBACK}:{self.upstream_port}", per_second=per_second, paths=paths)

    async def put(self, entry: dict[str, Any]) -> None:
        """Write a config entry, whatever is there."""
        async with self.client.put(f"{self.agent}/v1/config", json=entry) as response:
            assert await response.json() is True

    async def get(self, kind: str) -> Any:
        """The service's config entry of a kind."""
        async with self.client.get(f"{self.agent}/v1/config/{kind}/web") as response:
            return await response.json()

    async def reaches_both(self) -> bool:
        """Whether both versions have answered by now."""
        before = list(self.served)
        await self.asks(10)
        return all(now > then for now, then in zip(self.served, before, strict=True))


@asynccontextmanager
async def consul_world(folder: Path) -> AsyncIterator[ConsulWorld]:
    """Up, with both versions reached through the mesh."""
    upstream, *backends = free_ports(3)
    admins, sidecars = free_ports(3), free_ports(3)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(aiohttp.ClientSession())
        config = {"services": _services(backends, sidecars, upstream), "config_entries": {"bootstrap": _entries()}}
        agent = await stack.enter_async_context(consul(folder / "consul", config))
        made = ConsulWorld(upstream, f"http://{LOOPBACK}:{admins[2]}", agent.url, client)
        for version, port in enumerate(backends):
            await stack.enter_async_context(serving(app_of(_answering(made, version)), port=port))
        for service, admin in zip(("web-1", "web-2", "client"), admins, strict=True):
            bootstrap = await agent.bootstrap(service, admin_port=admin)
            await stack.enter_async_context(envoy(folder / service, bootstrap, admin))
        await until(lambda: _reached(made), within=READY_SECONDS)
        yield made


async def _reached(world: ConsulWorld) -> bool:
    try:
        return await world.reaches_both()
    except aiohttp.ClientError:
        return False


def _answering(world: ConsulWorld, version: int) -> Any:
    said = {VERSION_HEADER: f"v{version + 1}"}

    async def answer(request: web.Request) -> web.Response:
        del request
        world.served[version] += 1
        if version and world.fail_every and world.served[version] % world.fail_every == 0:
            world.failed[version] += 1
            return web.Response(status=503, headers=said)
        return web.Response(text="ok", headers=said)

    return answer


def _services(backends: list[int], sidecars: tuple[int, ...], upstream: int) -> list[dict[str, Any]]:
    # Its own check of a sidecar comes every ten seconds, and until it has passed there is nobody to ask.
    passing = {"address": LOOPBACK, "checks": [{"name": "up", "ttl": "10m", "status": "passing"}]}
    web_services = [
        {
            "name": "web",
            "id": f"web-{place + 1}",
            "address": LOOPBACK,
            "port": port,
            "meta": {"version": f"v{place + 1}"},
            "connect": {"sidecar_service": {"port": sidecars[place], **passing}},
        }
        for place, port in enumerate(backends)
    ]
    proxy = {"upstreams": [{"destination_name": "web", "local_bind_port": upstream}]}
    asking = {
        "name": "client",
        "id": "client",
        "address": LOOPBACK,
        "port": 1,
        "connect": {"sidecar_service": {"port": sidecars[2], "proxy": proxy, **passing}},
    }
    return [*web_services, asking]


def _entries() -> list[dict[str, Any]]:
    subsets = {name: {"filter": f"Service.Meta.version == {name}"} for name in ("v1", "v2")}
    splits = [{"weight": 70, "service_subset": "v1"}, {"weight": 30, "service_subset": "v2"}]
    return [
        {"kind": "proxy-defaults", "name": "global", "config": {"protocol": "http"}},
        {"kind": "service-defaults", "name": "web", "protocol": "http"},
        {"kind": "service-resolver", "name": "web", "default_subset": "v1", "subsets": subsets},
        {"kind": "service-splitter", "name": "web", "splits": splits},
    ]
