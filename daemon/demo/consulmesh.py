"""Consul as the demo's mesh: an agent, and an Envoy beside each version and beside the users, configured by it.

Each version is a subset of one service, told by its metadata; the users' sidecar splits the traffic as the service's splitter says,
and counts it. All of it is mutual TLS, as Consul does it.
"""

import asyncio
import json
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from daemon.aio import process as processes
from daemon.demo import commandlines
from daemon.demo.apiserver import http_ready
from daemon.demo.backends import Backend
from daemon.demo.children import START_SECONDS, Child, DemoError, child, tail
from daemon.demo.demomesh import DemoMesh, Shares
from daemon.demo.edge import envoy_path
from daemon.demo.freeports import LOOPBACK, free_ports
from daemon.demo.programs import environment, program, require
from daemon.demo.routes import FLUSH_INTERVAL, SERVICE, cluster
from daemon.model import ArmSpec

NAME = "consul"
_USERS = "users"
_ANSWER_SECONDS = 20.0
_STOP_SECONDS = 5.0
_SETTLE_SECONDS = 1.5
"""Consul gathers changes for 200 ms before it sends routes."""
_PASSING: dict[str, Any] = {"address": LOOPBACK, "checks": [{"name": "up", "ttl": "10m", "status": "passing"}]}
"""Consul's own check of a sidecar comes every ten seconds, and until it has passed there is nobody to ask."""


def require_programs() -> None:
    """Raises ``DemoError`` with what is missing, and how to get it."""
    envoy_path()
    require(["consul"])


@asynccontextmanager
async def consul_mesh(*, folder: Path, backends: Mapping[str, Backend], first: str) -> AsyncIterator[DemoMesh]:
    """Run it all for the length of a ``with`` block; all traffic goes to the version ``first``."""
    versions, (upstream, *own) = tuple(backends), free_ports(1 + len(backends) + 1)
    config = {
        "services": [*_services(backends, own), _users(own[-1], upstream)],
        "config_entries": {"bootstrap": entries(versions, first=first)},
    }
    async with AsyncExitStack() as stack:
        agent, url, grpc_port = await stack.enter_async_context(_agent(folder, config))
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS)))
        environ = environment(folder) | commandlines.consul_environment(url=url, grpc_port=grpc_port)
        names = (*map(cluster, versions), _USERS)
        sidecars = [await stack.enter_async_context(_sidecar(folder, name, environ)) for name in names]
        await sidecars[-1][0].until(lambda: http_ready(f"http://{LOOPBACK}:{upstream}/"))

        async def share(shares: Shares) -> None:
            await _put(session, url, _splitter(versions, shares))

        admin = sidecars[-1][1]
        yield DemoMesh(
            name=NAME,
            url=f"http://{LOOPBACK}:{upstream}",
            introduced=(
                (NAME, f"an agent on {url}, with a splitter of the service {SERVICE}; {len(sidecars)} Envoys, mTLS between them"),
                ("sidecar", f"that of the users on {LOOPBACK}:{upstream}, admin on {admin.removeprefix('http://')}"),
            ),
            children=(agent, *(sidecar for sidecar, _ in sidecars)),
            telemetry={"dialect": "consul", "endpoints": [admin], "histograms": "bins"},
            steering={"kind": "consul", "address": url},
            settle_seconds=_SETTLE_SECONDS,
            arm=arm,
            share=share,
        )


def arm(version: str) -> ArmSpec:
    """How a release names a version: a subset of the service."""
    return ArmSpec(subset=version, version=version)


def entries(versions: tuple[str, ...], *, first: str) -> list[dict[str, Any]]:
    """The config entries to begin with."""
    subsets = {version: {"filter": f"Service.Meta.version == {version}"} for version in versions}
    proxies = {"protocol": "http", "envoy_stats_flush_interval": FLUSH_INTERVAL}
    return [
        {"kind": "proxy-defaults", "name": "global", "config": proxies},
        {"kind": "service-defaults", "name": SERVICE, "protocol": "http"},
        {"kind": "service-resolver", "name": SERVICE, "default_subset": first, "subsets": subsets},
        _splitter(versions, {first: 100}),
    ]


def _splitter(versions: tuple[str, ...], shares: Shares) -> dict[str, Any]:
    """Every version is named, with a weight of 0 where it has no share: one that is not drops its counters at once."""
    splits = [{"weight": shares.get(version, 0), "service_subset": version} for version in versions]
    return {"kind": "service-splitter", "name": SERVICE, "splits": splits}


def _services(backends: Mapping[str, Backend], ports: list[int]) -> list[dict[str, Any]]:
    """A service for each version; ``ports``: of their sidecars."""
    return [
        {
            "name": SERVICE,
            "id": cluster(version),
            "address": LOOPBACK,
            "port": backend.port,
            "meta": {"version": version},
            "connect": {"sidecar_service": {"port": port, **_PASSING}},
        }
        for (version, backend), port in zip(backends.items(), ports, strict=False)
    ]


def _users(port: int, upstream: int) -> dict[str, Any]:
    """Those who ask, as a service: their sidecar takes their requests at the port ``upstream``."""
    proxy = {"upstreams": [{"destination_name": SERVICE, "local_bind_port": upstream}]}
    sidecar = {"port": port, "proxy": proxy, **_PASSING}
    return {"name": _USERS, "id": _USERS, "address": LOOPBACK, "port": 1, "connect": {"sidecar_service": sidecar}}


@asynccontextmanager
async def _agent(folder: Path, config: Mapping[str, Any]) -> AsyncIterator[tuple[Child, str, int]]:
    """The agent, the base URL of its API, and the port where sidecars ask for what they need."""
    http, grpc, server, serf = free_ports(4)
    url, file = f"http://{LOOPBACK}:{http}", folder / "consul.json"
    file.write_text(json.dumps(commandlines.consul_config(config, http=http, grpc=grpc, server=server, serf=serf), indent=1))
    argv = commandlines.consul(program("consul"), config=file)
    async with child("Consul", argv, log=folder / "consul.log", env=environment(folder)) as process:
        await process.until(lambda: http_ready(f"{url}/v1/config/proxy-defaults"))
        yield process, url, grpc


@asynccontextmanager
async def _sidecar(folder: Path, service: str, environ: Mapping[str, str]) -> AsyncIterator[tuple[Child, str]]:
    """An Envoy that is the sidecar of a service, and its admin's base URL; ready when it has its configuration."""
    (admin_port,) = free_ports(1)
    admin, file = f"http://{LOOPBACK}:{admin_port}", folder / f"{service}.json"
    file.write_bytes(await _bootstrap(service, admin_port, log=folder / f"{service}.log", environ=environ))
    argv = commandlines.envoy(envoy_path(), bootstrap=file)
    async with child(f"sidecar of {service}", argv, log=folder / f"{service}.log", env=environ) as process:
        await process.until(lambda: http_ready(f"{admin}/ready"))
        yield process, admin


async def _bootstrap(service: str, admin_port: int, *, log: Path, environ: Mapping[str, str]) -> bytes:
    """What the agent says such an Envoy must begin with."""
    argv = commandlines.consul_bootstrap(program("consul"), service, admin_port=admin_port)
    with log.open("ab") as said:
        asked = await processes.start(argv, stdout=PIPE, stderr=said, env=environ)
    try:
        async with asyncio.timeout(START_SECONDS):
            out, _ = await asked.communicate()
    except TimeoutError as error:
        raise DemoError(f"Consul gave no bootstrap for {service} within {START_SECONDS:g} s", fix="run the demo again") from error
    finally:
        await processes.end(asked, patience_seconds=_STOP_SECONDS)
    if asked.returncode != 0:
        raise DemoError(f"Consul gave no bootstrap for {service}", fix="read the log above", log_tail=tail(log))
    return out


async def _put(session: aiohttp.ClientSession, url: str, entry: Mapping[str, Any]) -> None:
    """Write a config entry, as a pipeline does: whatever is there."""
    try:
        async with session.put(f"{url}/v1/config", json=entry) as response:
            said = await response.text()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise DemoError(f"Consul did not answer: {error}", fix="run the demo again") from error
    if response.status != 200 or said.strip() != "true":
        raise DemoError(f"Consul answered {response.status} to a config entry: {said[:300]}", fix="report this")
