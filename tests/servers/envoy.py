"""Envoy, with a bootstrap file of the test's own."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

from daemon.demo import commandlines
from tests.servers.locate import require
from tests.servers.run import LOOPBACK, Process, http_ready, running


@dataclasses.dataclass(frozen=True, slots=True)
class Envoy:
    admin: str
    """URL of the admin interface: /stats/prometheus, /config_dump, ..."""
    process: Process


@contextlib.asynccontextmanager
async def envoy(folder: Path, bootstrap: Path, admin_port: int) -> AsyncIterator[Envoy]:
    """Envoy with this bootstrap, whose admin interface must be on `admin_port` (see `free_ports`) of loopback."""
    admin = f"http://{LOOPBACK}:{admin_port}"
    argv = commandlines.envoy(require("envoy"), bootstrap=bootstrap)
    async with running("envoy", argv, folder=folder, ready=lambda: http_ready(f"{admin}/ready")) as process:
        yield Envoy(admin, process)
