"""Consul as one agent that is its own server, and the bootstrap files of its sidecars' Envoys."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

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
            str(require("consul")),
            *("connect", "envoy", "-sidecar-for", service_id, "-admin-bind", f"{LOOPBACK}:{admin_port}", "-bootstrap"),
            env={"CONSUL_HTTP_ADDR": self.url, "CONSUL_GRPC_ADDR": f"{LOOPBACK}:{self.grpc_port}", "PATH": "/usr/bin:/bin"},
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
    ports = {"http": http, "grpc": grpc, "server": server, "serf_lan": serf}
    url = f"http://{LOOPBACK}:{http}"
    argv: list[str | Path] = [require("consul"), "agent", "-dev", "-config-file", _config(folder, ports, config)]
    async with running("consul", argv, folder=folder, ready=lambda: http_ready(f"{url}/v1/config/proxy-defaults")) as process:
        yield Consul(url, grpc, folder, process)


def _config(folder: Path, ports: Mapping[str, int], config: Mapping[str, Any]) -> Path:
    """Only what is needed listens, and on loopback."""
    unused = dict.fromkeys(("https", "grpc_tls", "dns", "serf_wan"), -1)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "agent.json"
    fixed = {"bind_addr": LOOPBACK, "client_addr": LOOPBACK, "disable_update_check": True}
    file.write_text(json.dumps({"ports": {**ports, **unused}, **fixed, **config}), encoding="utf-8")
    return file
