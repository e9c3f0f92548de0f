"""Nobody announces anything: a daemon that watches a real API server notices the canary by itself, and tells its verdict.

Of two daemons one watches, and the other when that one is killed.

The daemon is the product's own process, which is stopped and started in between; API server, istiod, Envoy, Prometheus and NATS are
the real ones.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from daemon.bus import subjects
from daemon.bus.address import BrokerAddress
from daemon.bus.connection import Connection, connected
from daemon.demo.children import Child, child
from daemon.model import Action, Outcome, Stage
from daemon.releaseview import ReleaseView
from tests.hand import istio_objects
from tests.hand.daemons import DaemonApi, published
from tests.mesh.istio_world import IstioWorld
from tests.mesh.watchdog import settings
from tests.servers.nats_server import nats_server
from tests.servers.run import free_ports, until

pytestmark = [pytest.mark.mesh, pytest.mark.timeout(240)]

RATE = 300.0
ENFORCED = {"window_seconds": 120.0, "warmup_seconds": 0.0, "promotion": {"min_seconds": 10.0}}


@dataclass(frozen=True, kw_only=True)
class Install:
    """The settings of a daemon, its broker, and what is on it."""

    file: Path
    port: int
    broker: Connection

    @asynccontextmanager
    async def daemon(self, folder: Path) -> AsyncIterator[DaemonApi]:
        """As long as it is entered, the daemon runs."""
        async with self.process(folder) as (api, _):
            yield api

    @asynccontextmanager
    async def process(self, folder: Path) -> AsyncIterator[tuple[DaemonApi, Child]]:
        """The same, for who wants to kill it."""
        argv = [sys.executable, "-m", "daemon.cli", "run", "--config", str(self.file)]
        async with child("verdictd", argv, log=folder / f"{self.file.stem}.log") as process:
            api = DaemonApi(port=self.port)
            await api.ready()
            yield api, process

    def beside(self) -> "Install":
        """Another daemon with the same settings, on a port of its own."""
        (port,) = free_ports(1)
        written = json.loads(self.file.read_text()) | {"http": {"listen": f"127.0.0.1:{port}"}}
        file = self.file.with_name(f"beside-{port}.json")
        file.write_text(json.dumps(written))
        return replace(self, file=file, port=port)

    async def routes_kept(self) -> int:
        """How many routes have been looked at, and kept."""
        kept = f"$KV.{subjects.ROUTES}.test.>"  # and neither what is asked of them, nor what waits for them
        return len((await self.broker.jetstream.stream_info(f"KV_{subjects.ROUTES}", subjects_filter=kept)).state.subjects or {})


@asynccontextmanager
async def installed(world: IstioWorld, folder: Path, **more: Any) -> AsyncIterator[Install]:
    """A daemon that is told one thing more than others: to watch. ``more``: and these."""
    (port,) = free_ports(1)
    (folder / "nats").mkdir(parents=True)
    async with nats_server(folder / "nats") as server:
        written = settings(world, nats_url=server.url, port=port, policy=ENFORCED) | {
            "sources": {"cluster": {"kind": "kubernetes"}},
            **more,
        }
        file = folder / "settings.json"
        file.write_text(json.dumps(written))
        async with connected(BrokerAddress(servers=(server.url,)), name="test", connect_timeout_seconds=30.0) as broker:
            yield Install(file=file, port=port, broker=broker)


async def releases(api: DaemonApi) -> list[ReleaseView]:
    class Page(msgspec.Struct):
        releases: list[ReleaseView]

    return msgspec.json.decode(await api.until_answered("/v1/releases"), type=Page).releases


async def is_noticed_once(api: DaemonApi) -> bool:
    return len(await releases(api)) == 1


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    await until(holds, within=60.0)


async def test_a_canary_that_nobody_announces_gets_its_verdict_over_restarts_and_keeps_its_traffic(
    istio_world: IstioWorld, tmp_path: Path
) -> None:
    await istio_world.replace_spec(istio_objects.virtual_service(canary_weight=0)["spec"])
    async with istio_world.traffic(per_second=RATE), installed(istio_world, tmp_path / "install") as install:
        async with install.daemon(tmp_path):

            async def looked_at() -> bool:
                return await install.routes_kept() == 1

            await eventually(looked_at)
        await istio_world.replace_spec(istio_objects.virtual_service(canary_weight=10)["spec"])
        async with install.daemon(tmp_path) as daemon:

            async def watched() -> bool:
                return [one.stage for one in await releases(daemon)] == [Stage.WATCHING]

            await eventually(watched)
            (noticed,) = await releases(daemon)
        await istio_world.replace_spec(istio_objects.virtual_service(canary_weight=20)["spec"])
        async with install.daemon(tmp_path) as daemon:
            await eventually(watched)
            await asyncio.sleep(3.0)  # both versions are healthy for a while
            istio_world.break_canary(error_rate=0.2)
            record = await daemon.record(noticed.id)
            assert [one.id for one in await releases(daemon)] == [noticed.id]
        told = await published(install.broker)
        weights = await istio_world.weights()
    assert noticed.release.observe
    assert (noticed.release.baseline.subset, noticed.release.canary.subset) == ("v1", "v2")
    assert (record.verdict.outcome, record.verdict.action, record.verdict.leg) == (Outcome.ROLLBACK, Action.NONE, "errors")
    assert [(one.release_id, one.outcome) for one in told] == [(noticed.id, Outcome.ROLLBACK)]
    assert weights == {"v1": 80, "v2": 20}


async def test_of_two_replicas_one_watches_and_the_other_when_it_is_killed(istio_world: IstioWorld, tmp_path: Path) -> None:
    await istio_world.replace_spec(istio_objects.virtual_service(canary_weight=0)["spec"])
    async with installed(istio_world, tmp_path / "install", replicas={"count": 2}) as first:
        second = await asyncio.to_thread(first.beside)
        async with first.process(tmp_path) as (_, doomed), second.process(tmp_path) as (left, _):

            async def looked_at() -> bool:
                return await first.routes_kept() == 1

            await eventually(looked_at)
            doomed.process.kill()
            await istio_world.replace_spec(istio_objects.virtual_service(canary_weight=10)["spec"])
            await eventually(partial(is_noticed_once, left))
            (noticed,) = await releases(left)
            assert noticed.release.canary.subset == "v2"
        told = [json.loads(line) for line in (tmp_path / f"{second.file.stem}.log").read_text().splitlines()]
        assert [one["release"] for one in told if one["event"] == "submitted"] == [noticed.id]
