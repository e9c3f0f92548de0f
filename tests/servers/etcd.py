"""etcd, which kube-apiserver keeps its objects in."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

from tests.servers.locate import require
from tests.servers.run import LOOPBACK, Process, free_ports, http_ready, running


@dataclasses.dataclass(frozen=True, slots=True)
class Etcd:
    url: str
    process: Process


@contextlib.asynccontextmanager
async def etcd(folder: Path) -> AsyncIterator[Etcd]:
    """One member, on nothing but loopback; it does not wait for the disk, as nothing here outlives the machine."""
    client, peer = (f"http://{LOOPBACK}:{port}" for port in free_ports(2))
    argv: list[str | Path] = [
        require("etcd"),
        f"--data-dir={folder / 'data'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]
    async with running("etcd", argv, folder=folder, ready=lambda: http_ready(f"{client}/health")) as process:
        yield Etcd(client, process)
