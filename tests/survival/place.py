"""Where it all happens: the services and their users, the broker, the daemon's settings, and who of them can be struck."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from tests.hand.broker import Broker, broker, cluster
from tests.hand.istio_cluster import post
from tests.hand.istio_objects import created
from tests.hand.timeofday import TimeOfDay
from tests.mesh.istio_world import IstioWorld, istio_world
from tests.servers.crds import install_crds
from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.locate import require_crds
from tests.servers.run import free_ports
from tests.survival.flow import CLUSTER
from tests.survival.victims import ApiServer, Daemon, OwnBroker, SharedBroker, Victim, api_server, urls
from tests.survival.world import BehindIstio, Edge, Service, edge

Arrangement = Literal["embedded", "external", "replicas", "cluster"]
ARRANGEMENTS: Final[tuple[Arrangement, ...]] = ("embedded", "external", "replicas")
"""A broker of the daemon's own and no Kubernetes; a broker beside it, and Istio on a real API server too; that for several daemons.

Only where it is asked for, *cluster*: several daemons, and three brokers that keep everything three times.
"""

POLICY: Final[dict[str, Any]] = {
    "window_seconds": 240.0,
    "warmup_seconds": 0.0,
    "promotion": {"min_seconds": 6.0, "min_requests": 60},
    "tolerances": {"errors": {"max_rate": 0.05, "above_baseline": 0.05}, "latency": {"typical": 10.0, "slow_end": 50.0}},
}
"""A canary that fails four of ten requests is found out by it, and no machine is so busy that a good one is."""
ISTIO_PER_SECOND = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """All of it. ``victims``: who else can be struck than daemons, their samplers and brokers."""

    services: tuple[Service, ...]
    daemons: tuple[Daemon, ...]
    brokers: tuple[OwnBroker, ...] | tuple[SharedBroker, ...]
    victims: dict[str, Victim]
    have_samplers: bool


@asynccontextmanager
async def place(
    folder: Path, arrangement: Arrangement, *, replicas: int, clock_library: Path | None, with_samplers: bool
) -> AsyncIterator[Place]:
    """Run it, all but the daemons.

    Args:
        clock_library: what can give a daemon another time of day.
        with_samplers: have Prometheus' answers read in a process beside each daemon, where there is one.
    """
    async with AsyncExitStack() as stack:
        behind: Edge = await stack.enter_async_context(edge(folder))
        services: list[Service] = [*behind.services]
        telemetry, meshes = {"edge": behind.telemetry}, {**behind.meshes}
        more: dict[str, Any] = {}
        victims: dict[str, Victim] = {}
        brokers: tuple[OwnBroker, ...] | tuple[SharedBroker, ...]
        nats: dict[str, Any]
        if arrangement == "embedded":
            brokers, nats = (OwnBroker(folder=folder / "nats"),), {"url": "embedded", "data_dir": str(folder / "nats")}
        else:
            running = cluster(folder / "nats") if arrangement == "cluster" else _alone(folder / "nats")
            brokers = tuple(SharedBroker(broker=one) for one in await stack.enter_async_context(running))
            nats = {"url": ",".join(urls(brokers)), "replicas": len(brokers)}
            struck, world = await stack.enter_async_context(_istio(folder / "istio"))
            seen = await stack.enter_async_context(world.traffic(per_second=ISTIO_PER_SECOND))
            services.append(BehindIstio(world=world, seen=seen))
            victims["api server"] = struck
            more = {"kubernetes": {"auth": "kubeconfig", "kubeconfig": str(world.kubeconfig)}}
            store = {"kind": "prometheus", "url": world.prometheus_url, "dialect": "istio", "tick_seconds": 3.0}
            process = "own" if with_samplers else "shared"
            telemetry["mesh"] = {**store, "timeout_seconds": 2.9, "process": process}
            meshes["istio"] = {"kind": "istio", "telemetry": "mesh"}
        settings = {
            "cluster": CLUSTER,
            "nats": nats,
            "telemetry": telemetry,
            "meshes": meshes,
            "policies": {"default": POLICY},
            "limits": {"guard_seconds": 2.0},
            **more,
        }
        number = replicas if arrangement in {"replicas", "cluster"} else 1
        if number > 1:
            settings["replicas"] = {"count": number}
        daemons = tuple(
            _daemon(folder / f"daemon-{at + 1}", settings, port=port, clock_library=clock_library)
            for at, port in enumerate(free_ports(number))
        )
        yield Place(
            services=tuple(services),
            daemons=daemons,
            brokers=brokers,
            victims=victims,
            have_samplers=with_samplers and "mesh" in telemetry,
        )


@asynccontextmanager
async def _alone(folder: Path) -> AsyncIterator[list[Broker]]:
    async with broker(folder) as running:
        yield [running]


def _daemon(folder: Path, settings: Mapping[str, Any], *, port: int, clock_library: Path | None) -> Daemon:
    folder.mkdir()
    own = {"http": {"listen": f"127.0.0.1:{port}"}, "recordings": {"directory": str(folder / "recordings")}}
    clock = None
    if clock_library is not None:
        clock = TimeOfDay(file=folder / "clock", library=clock_library)
        clock.be_off(0.0)
    return Daemon(port=port, folder=folder, settings={**settings, **own}, clock=clock)


@asynccontextmanager
async def _istio(folder: Path) -> AsyncIterator[tuple[ApiServer, IstioWorld]]:
    """A whole Istio whose API server can be struck."""
    struck: list[ApiServer] = []

    @asynccontextmanager
    async def cluster(inside: Path) -> AsyncIterator[KubeApiServer]:
        async with api_server(inside) as (server, api):
            await install_crds(api, require_crds("istio"))
            for collection, item in created():
                await post(api, collection, item)
            struck.append(server)
            yield api

    async with istio_world(folder, cluster=cluster) as world:
        yield struck[0], world
