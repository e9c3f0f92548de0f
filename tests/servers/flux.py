"""Flux's kustomize-controller, which applies what sources have. The tests say what these have, in source-controller's place."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.locate import require
from tests.servers.run import LOOPBACK, Process, free_ports, http_ready, running


@contextlib.asynccontextmanager
async def kustomize_controller(folder: Path, api: KubeApiServer) -> AsyncIterator[Process]:
    """On this API server, where its definitions and those of sources must be installed before."""
    metrics_port, health_port = free_ports(2)
    argv: list[str | Path] = [
        require("kustomize-controller"),
        f"--metrics-addr={LOOPBACK}:{metrics_port}",
        f"--health-addr={LOOPBACK}:{health_port}",
    ]
    env = {"KUBECONFIG": str(api.write_kubeconfig(folder / "kubeconfig.json")), "RUNTIME_NAMESPACE": "flux-system"}
    url = f"http://{LOOPBACK}:{health_port}/readyz"
    async with running("kustomize-controller", argv, folder=folder, ready=lambda: http_ready(url), within=60.0, env=env) as process:
        yield process
