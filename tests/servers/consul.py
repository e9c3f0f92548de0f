"""Consul as one agent that is its own server, and the bootstrap files of its sidecars' Envoys."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from daemon.demo import commandlines
from tests.servers.locate import require
from tests.servers.run import LOOPBACK, Process, ServerFailed, free_ports, http_ready, running

BOOTSTRAP_SECONDS = 30.0


@dataclasses.dataclass(frozen=True, slots=True)
class Consul:
    url: str
    grpc_port: int
    folder: Path
    process: Process

    async def bootstrap(self, service_id: str, *, admin_port: int) -> Path:
        """The file with which an Envoy becomes this service's sidecar."""
        child = await asyncio.create_subprocess_exec(
            *commandlines.consul_bootstrap(require("consul"), service_id, admin_port=admin_port),
            env=commandlines.consul_environment(url=self.url, grpc_port=self.grpc_port),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(BOOTSTRAP_SECONDS):
            out, said = await child.communicate()
        if child.returncode != 0:
            raise ServerFailed(f"no bootstrap for {service_id}: {said.decode(errors='replace')}")
        file = self.folder / f"{service_id}.json"
        file.write_bytes(out)
        return file


@contextlib.asynccontextmanager
async def consul(folder: Path, config: Mapping[str, Any]) -> AsyncIterator[Consul]:
    """An agent on loopback with these services and configuration entries, its state in memory."""
    http, grpc, server, serf = free_ports(4)
    url = f"http://{LOOPBACK}:{http}"
    told = commandlines.consul_config(config, http=http, grpc=grpc, server=server, serf=serf)
    argv = commandlines.consul(require("consul"), config=_written(folder / "agent.json", told))
    async with running("consul", argv, folder=folder, ready=lambda: http_ready(f"{url}/v1/config/proxy-defaults")) as process:
        yield Consul(url, grpc, folder, process)


def _written(file: Path, config: Mapping[str, Any]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(config), encoding="utf-8")
    return file
