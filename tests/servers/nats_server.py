"""nats-server with JetStream."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from tests.servers.locate import require
from tests.servers.run import LOOPBACK, Process, free_ports, http_ready, running


@dataclasses.dataclass(frozen=True, slots=True)
class NatsServer:
    url: str
    monitoring: str
    """URL of the monitoring interface: /healthz, /jsz, ..."""
    process: Process


@contextlib.asynccontextmanager
async def nats_server(
    folder: Path, port: int | None = None, flags: Sequence[str] = (), *, env: Mapping[str, str] | None = None
) -> AsyncIterator[NatsServer]:
    """nats-server that keeps its streams in the folder: started there again, on the same port, it has them still."""
    chosen, monitoring = (port, *free_ports(1)) if port else free_ports(2)
    argv: list[str | Path] = [
        *(require("nats-server"), "--addr", LOOPBACK, "--port", str(chosen)),
        *("--http_port", str(monitoring), "--jetstream", "--store_dir", folder / "jetstream"),
        *flags,
    ]
    url = f"http://{LOOPBACK}:{monitoring}"
    async with running("nats-server", argv, folder=folder, env=env, ready=lambda: http_ready(f"{url}/healthz")) as process:
        yield NatsServer(f"nats://{LOOPBACK}:{chosen}", url, process)
