"""etcd, which kube-apiserver keeps its objects in."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

from daemon.demo import commandlines
from tests.servers.locate import require
from tests.servers.run import LOOPBACK, Process, free_ports, http_ready, running


@dataclasses.dataclass(frozen=True, slots=True)
class Etcd:
    url: str
    process: Process


@contextlib.asynccontextmanager
async def etcd(folder: Path) -> AsyncIterator[Etcd]:
    """One member."""
    ports = free_ports(2)
    client = f"http://{LOOPBACK}:{ports[0]}"
    argv = commandlines.etcd(require("etcd"), data=folder / "data", ports=ports)
    async with running("etcd", argv, folder=folder, ready=lambda: http_ready(f"{client}/health")) as process:
        yield Etcd(client, process)
