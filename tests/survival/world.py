"""What is released: services behind a real Envoy, each with routes in a file of its own, and one behind a real istiod.

Users ask all of them all the time. Between releases a service's routes and its canary are set up anew by hand, as a pipeline does.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from daemon.demo import routes
from daemon.model import ArmSpec, Release
from tests.hand import istio_objects
from tests.mesh.istio_world import IstioWorld
from tests.mesh.traffic import Backend, Fault, Traffic, backend, traffic
from tests.servers.envoy import envoy
from tests.servers.run import LOOPBACK, free_ports

SERVICES = 5
PERCENT = 50.0
"""What a canary has at the beginning."""
BAD = Fault(error_rate=0.4)
MEAN_SECONDS = 0.004
REQUESTS_PER_SECOND = 40.0
OF_LAST = 25
"""So many answers in a row without the canary's, and it has no traffic."""
_KEPT_ANSWERS = 2_000
_PATIENCE_SECONDS = 90.0


class Service(Protocol):
    """One that is released again and again."""

    @property
    def release(self) -> Release:
        """What its deployments announce."""
        ...

    @property
    def seen(self) -> Traffic:
        """What its users were answered."""
        ...

    async def begin(self, *, bad: bool) -> None:
        """Deploy: give the canary its behaviour and its traffic."""
        ...

    async def percent(self) -> float:
        """What the routes give the canary now."""
        ...


async def answers_still(service: Service, *, percent: float) -> bool:
    """Whether the canary still has users, after all that were under way have their answers; ``percent``: what the routes give it.

    Where they give it nothing, the mesh is waited for: istiod's watch of an API server that was killed again and again comes back
    after up to a minute.
    """
    del service.seen.answers[:-_KEPT_ANSWERS]
    if percent:
        return any(one.version == "v2" for one in service.seen.answers[-OF_LAST:])
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await service.seen.only("v1", of_last=OF_LAST)
    except TimeoutError:
        return True
    return False


async def _served(service: Service) -> None:
    """Until users have answers of the canary again."""
    since = len(service.seen.answers)
    await service.seen.until(lambda seen: any(one.version == "v2" for one in seen.answers[since:]))


@dataclass(frozen=True, slots=True, kw_only=True)
class BehindEnvoy:
    """Routes in a file, which the daemon writes too."""

    name: str
    file: Path
    canary: Backend
    seen: Traffic

    @property
    def release(self) -> Release:
        """By the clusters of Envoy."""
        arms = [ArmSpec(service=f"{self.name}-{version}") for version in ("v1", "v2")]
        return Release(service=self.name, namespace="shop", mesh=self.name, baseline=arms[0], canary=arms[1], weight=PERCENT)

    async def begin(self, *, bad: bool) -> None:
        """Write the routes."""
        self.canary.fault = BAD if bad else Fault()
        routes.install(self.file, json.dumps(_routes(self.name)))
        await _served(self)

    async def percent(self) -> float:
        """As the file has it."""
        return routes.shares(self.file.read_text()).get(f"{self.name}-v2", 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class BehindIstio:
    """A VirtualService, which istiod makes routes of."""

    world: IstioWorld
    seen: Traffic

    @property
    def release(self) -> Release:
        """By the subsets of its DestinationRule."""
        release = self.world.release
        return Release(
            service=release.service, namespace=release.namespace, mesh="istio", baseline=release.baseline, canary=release.canary
        )

    async def begin(self, *, bad: bool) -> None:
        """Write the VirtualService, as soon as there is an API server."""
        self.world.break_canary(error_rate=BAD.error_rate if bad else 0.0)
        await self.world.replace_spec(istio_objects.virtual_service(canary_weight=int(PERCENT))["spec"])
        await _served(self)

    async def percent(self) -> float:
        """As the API server has it."""
        return float((await self.world.weights()).get("v2", 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """An Envoy with the services behind it. ``telemetry`` and ``meshes`` are for the daemon's settings."""

    services: tuple[BehindEnvoy, ...]
    telemetry: dict[str, Any]
    meshes: dict[str, Any]


@asynccontextmanager
async def edge(folder: Path) -> AsyncIterator[Edge]:
    """Run it, with the users of its services."""
    names = [f"s{number}" for number in range(SERVICES)]
    admin, *ports = free_ports(1 + len(names))
    listeners: list[Any] = []
    clusters: list[Any] = []
    async with AsyncExitStack() as stack:
        canaries = {}
        for name, port in zip(names, ports, strict=True):
            arms = {
                version: await stack.enter_async_context(backend(version, mean_seconds=MEAN_SECONDS)) for version in ("v1", "v2")
            }
            canaries[name] = arms["v2"]
            clusters += [routes.static_cluster(f"{name}-{version}", arm.port) for version, arm in arms.items()]
            listeners.append(_listener(name, port, _file(folder, name)))
        bootstrap = folder / "envoy.json"
        document = routes.edge_document(clusters, route_config="", source={})
        document["admin"]["address"] = _address(admin)
        document["static_resources"]["listeners"] = listeners
        bootstrap.write_text(json.dumps(document))
        await stack.enter_async_context(envoy(folder, bootstrap, admin))
        services = []
        for name, port in zip(names, ports, strict=True):
            seen = await stack.enter_async_context(traffic(f"http://{LOOPBACK}:{port}", per_second=REQUESTS_PER_SECOND))
            services.append(BehindEnvoy(name=name, file=_file(folder, name), canary=canaries[name], seen=seen))
        url = f"http://{LOOPBACK}:{admin}"
        yield Edge(
            services=tuple(services),
            telemetry={"kind": "envoy", "endpoints": [url], "histograms": "bins", "tick_seconds": 0.5},
            meshes={
                name: {"kind": "envoy", "telemetry": "edge", "routes_file": str(_file(folder, name)), "admin": url}
                for name in names
            },
        )


def _file(folder: Path, name: str) -> Path:
    file = folder / "routes" / name / "routes.json"
    if not file.exists():
        file.parent.mkdir(parents=True)
        routes.install(file, json.dumps(_routes(name)))
    return file


def _routes(name: str) -> dict[str, Any]:
    arms = [{"name": f"{name}-v1", "weight": int(100 - PERCENT)}, {"name": f"{name}-v2", "weight": int(PERCENT)}]
    route = {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": arms}}}
    hosts = [{"name": name, "domains": ["*"], "routes": [route]}]
    return {"resources": [{"@type": routes.TYPE_URL, "name": name, "virtual_hosts": hosts}]}


def _listener(name: str, port: int, file: Path) -> dict[str, Any]:
    source = {"path_config_source": {"path": str(file), "watched_directory": {"path": str(file.parent)}}}
    [listener] = routes.edge_document([], route_config=name, source=source)["static_resources"]["listeners"]
    return {**listener, "name": name, "address": _address(port)}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": LOOPBACK, "port_value": port}}
