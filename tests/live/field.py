"""A place where releases happen for real: two versions behind a real Envoy, real requests, and a daemon that may be killed.

The parts are the demo's own; the daemon is run by the test, so that it can die and come back.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from daemon.bus.address import BrokerAddress
from daemon.bus.connection import connected
from daemon.demo.backend import Behaviour
from daemon.demo.backends import Backend, backends
from daemon.demo.children import Child, child
from daemon.demo.edge import Edge, edge
from daemon.demo.traffic import Users, users
from daemon.model import ArmSpec, Release, Verdict
from daemon.releaseview import ReleaseView
from tests.hand.daemons import DaemonApi, published
from tests.hand.memorygroup import MemoryGroup
from tests.hand.timeofday import TimeOfDay
from tests.servers.run import free_ports

RELEASE = Release(
    service="web", namespace="shop", mesh="edge", baseline=ArmSpec(service="web-v1"), canary=ArmSpec(service="web-v2"), weight=30.0
)
POLICY: dict[str, Any] = {"window_seconds": 60.0, "warmup_seconds": 0.0, "promotion": {"min_seconds": 20.0}}
UNHURRIED: dict[str, Any] = {"policies": {"default": {**POLICY, "window_seconds": 900.0, "promotion": {"min_seconds": 600.0}}}}
"""For a canary that is fine, and watched for as long as a test takes on any machine."""
FAILING = Behaviour(error_rate=0.2)
PATIENCE_SECONDS = 40.0


@dataclass(kw_only=True)
class Field(DaemonApi):
    """The running parts, and the way to a daemon beside them."""

    folder: Path
    backends: dict[str, Backend]
    edge: Edge
    users: Users
    nats_url: str = "embedded"
    tick_seconds: float = 0.25
    settings_over: dict[str, Any] = field(default_factory=dict)

    def settings(self) -> Path:
        """The settings file, written."""
        telemetry = {"kind": "envoy", "endpoints": [self.edge.admin], "histograms": "bins", "tick_seconds": self.tick_seconds}
        mesh = {"kind": "envoy", "telemetry": "edge", "routes_file": str(self.edge.routes_file), "admin": self.edge.admin}
        document = {
            "cluster": "field",
            "nats": {"url": self.nats_url, "data_dir": str(self.folder / "nats")},
            "http": {"listen": f"127.0.0.1:{self.port}"},
            "telemetry": {"edge": telemetry},
            "meshes": {"edge": mesh},
            "policies": {"default": POLICY},
            "limits": {"guard_seconds": 2.0},
            "recordings": {"directory": str(self.folder / "recordings")},
            **self.settings_over,
        }
        path = self.folder / "settings.json"
        path.write_text(json.dumps(document))
        return path

    @asynccontextmanager
    async def daemon(
        self,
        *,
        dies: str | None = None,
        stops: str | None = None,
        within: MemoryGroup | None = None,
        clock: TimeOfDay | None = None,
    ) -> AsyncIterator[Child]:
        """The daemon as a child process; with ``dies`` it kills itself at that point, with ``stops`` it stops there.

        ``clock``: its time of day, where that is not the machine's.
        """
        point = [dies] if dies else [stops, "stops"] if stops else []
        argv = [sys.executable, "-m", "tests.live.crashing", str(self.settings()), *point]
        if within is not None:
            argv = within.inside(*argv)
        async with child(
            "verdictd", argv, log=self.folder / "verdictd.log", env=None if clock is None else clock.environment
        ) as process:
            yield process

    async def submit(self, release: Release = RELEASE, *, key: str = "field-1") -> str:
        """Submit a release through the API, again while it says 503, as a pipeline does; the same key is the same release."""
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        async with asyncio.timeout(PATIENCE_SECONDS), aiohttp.ClientSession() as session:
            while True:
                async with session.post(f"{self.url}/v1/releases", data=msgspec.json.encode(release), headers=headers) as answer:
                    body = await answer.read()
                    if answer.status in {200, 201, 202}:
                        return str(json.loads(body)["id"])
                    assert answer.status == 503, body
                await asyncio.sleep(0.1)

    async def command(self, release_id: str, word: str) -> ReleaseView:
        """A person's word: promote, rollback or cancel."""
        async with aiohttp.ClientSession() as session, session.post(f"{self.url}/v1/releases/{release_id}/{word}") as answer:
            assert answer.status in {200, 202}, await answer.read()
            return msgspec.json.decode(await answer.read(), type=ReleaseView)

    async def published(self, nats_url: str) -> list[Verdict]:
        """Everything on the verdict stream."""
        async with connected(BrokerAddress(servers=(nats_url,)), name="field", connect_timeout_seconds=20.0) as connection:
            return await published(connection)

    def embedded_url(self) -> str:
        """Where the daemon's own broker listens now."""
        return (self.folder / "nats" / "nats-url").read_text().strip()

    async def canary_is_silent(self, *, seconds: float = 1.0) -> bool:
        """Whether, in the traffic itself, the canary has answered nothing for so long while the baseline has."""
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE_SECONDS
        while loop.time() < end:
            await asyncio.sleep(seconds)
            answers = list(self.users.traffic)
            newest = answers[-1].end
            recent = [a.version for a in answers if a.start > newest - seconds]
            if "v2" not in recent and recent.count("v1") > 20:
                return True
        return False


@asynccontextmanager
async def field_of(
    folder: Path,
    *,
    canary: Behaviour,
    weights: Mapping[str, int] | None = None,
    rate: float = 200.0,
    settings_over: dict[str, Any] | None = None,
) -> AsyncIterator[Field]:
    """Two versions behind an Envoy, with requests, for the length of a ``with`` block."""
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(backends({"v1": Behaviour(), "v2": canary}, folder=folder, seed=7))
        ports = {version: backend.port for version, backend in running.items()}
        shares = dict(weights or {"v1": 70, "v2": 30})
        proxy = await stack.enter_async_context(edge(folder=folder, backends=ports, weights=shares))
        people = await stack.enter_async_context(users(url=proxy.url, rate=rate, seed=7, folder=folder))
        (port,) = free_ports(1)
        over = settings_over or {}
        yield Field(folder=folder, backends=running, edge=proxy, users=people, port=port, settings_over=over)
