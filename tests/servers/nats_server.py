"""nats-server with JetStream."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from tests.servers.locate import require
from tests.servers.run import LOOPBACK, Process, free_ports, http_ready, running
from tests.servers.slowdisk import SlowDisk


@dataclasses.dataclass(frozen=True, slots=True)
class NatsServer:
    url: str
    monitoring: str
    """URL of the monitoring interface: /healthz, /jsz, ..."""
    process: Process


def store_of(folder: Path) -> Path:
    """Where a server that runs in this folder keeps its streams."""
    return folder / "jetstream"


@contextlib.asynccontextmanager
async def nats_server(
    folder: Path,
    port: int | None = None,
    flags: Sequence[str] = (),
    *,
    env: Mapping[str, str] | None = None,
    disk: SlowDisk | None = None,
) -> AsyncIterator[NatsServer]:
    """nats-server that keeps its streams in the folder: started there again, on the same port, it has them still.

    With ``disk``, which must be of ``store_of(folder)``, it can be made slow.
    """
    chosen, monitoring = (port, *free_ports(1)) if port else free_ports(2)
    argv: list[str | Path] = [
        *([] if disk is None else disk.prefix),
        *(require("nats-server"), "--addr", LOOPBACK, "--port", str(chosen)),
        *("--http_port", str(monitoring), "--jetstream", "--store_dir", store_of(folder)),
        *flags,
    ]
    url = f"http://{LOOPBACK}:{monitoring}"
    async with running("nats-server", argv, folder=folder, env=env, ready=lambda: http_ready(f"{url}/healthz")) as process:
        yield NatsServer(f"nats://{LOOPBACK}:{chosen}", url, process)
