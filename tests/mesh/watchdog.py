"""The product's own process beside a real Istio: started, told of releases over NATS, asked over its API."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from daemon import names
from daemon.bus import subjects
from daemon.bus.address import BrokerAddress
from daemon.bus.connection import Connection, connected
from daemon.demo.children import child
from daemon.events import cloudevents
from daemon.events.announced import origin
from daemon.events.cloudevents import CloudEvent
from daemon.events.releaseform import RELEASE_TYPE
from daemon.model import Release
from tests.hand.daemons import DaemonApi
from tests.mesh.istio_world import IstioWorld
from tests.servers.nats_server import nats_server
from tests.servers.run import free_ports


@dataclass(kw_only=True)
class Daemon(DaemonApi):
    """A running verdictd, and a connection to the broker beside it."""

    broker: Connection

    async def announce(self, release: Release, *, event_id: str) -> str:
        """Publish a deployment event; gives the release's id."""
        event = CloudEvent(
            id=event_id,
            source="/tests/istio",
            type=RELEASE_TYPE,
            subject=None,
            time=None,
            datacontenttype="application/json",
            data=msgspec.json.encode(release),
        )
        headers, body = cloudevents.to_structured(event)
        subject = subjects.release_subject(cluster="test", namespace=release.namespace, service=release.service)
        await self.broker.jetstream.publish(subject, body, headers=headers)
        return names.new_release_id(release.service, origin=origin("/tests/istio", event_id))


def settings(world: IstioWorld, *, nats_url: str, port: int, policy: dict[str, Any]) -> dict[str, Any]:
    """What a platform team would write."""
    return {
        "cluster": "test",
        "nats": {"url": nats_url},
        "http": {"listen": f"127.0.0.1:{port}"},
        "kubernetes": {"auth": "kubeconfig", "kubeconfig": str(world.kubeconfig)},
        "telemetry": {
            "mesh": {
                "kind": "prometheus",
                "url": world.prometheus_url,
                "dialect": "istio",
                "tick_seconds": 1.0,
                "timeout_seconds": 0.9,
            }
        },
        "meshes": {"istio": {"kind": "istio", "telemetry": "mesh"}},
        "policies": {"default": policy},
        "limits": {"guard_seconds": 3.0},
    }


@asynccontextmanager
async def verdictd(
    world: IstioWorld, folder: Path, *, policy: dict[str, Any] | None = None, more: dict[str, Any] | None = None
) -> AsyncIterator[Daemon]:
    """The daemon beside a broker, ready. ``more``: further settings."""
    enforced = {"window_seconds": 60.0, "warmup_seconds": 0.0, "promotion": {"min_seconds": 10.0}} | (policy or {})

    def written(*, nats_url: str, port: int) -> dict[str, Any]:
        return settings(world, nats_url=nats_url, port=port, policy=enforced) | (more or {})

    async with set_up(written, folder) as daemon:
        yield daemon


class Written(Protocol):
    """Makes the settings of a daemon that listens on a port, beside a broker."""

    def __call__(self, *, nats_url: str, port: int) -> dict[str, Any]: ...


@asynccontextmanager
async def set_up(written: Written, folder: Path) -> AsyncIterator[Daemon]:
    """A daemon with these settings, ready."""
    (folder / "nats").mkdir()
    (port,) = free_ports(1)
    async with nats_server(folder / "nats") as broker:
        file = folder / "settings.json"
        file.write_text(json.dumps(written(nats_url=broker.url, port=port)))
        argv = [sys.executable, "-m", "daemon.cli", "run", "--config", str(file)]
        async with (
            child("verdictd", argv, log=folder / "verdictd.log"),
            connected(BrokerAddress(servers=(broker.url,)), name="test", connect_timeout_seconds=30.0) as connection,
        ):
            daemon = Daemon(port=port, broker=connection)
            await daemon.ready()
            yield daemon
