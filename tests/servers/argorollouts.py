"""The controller of Argo Rollouts, which steps the weights of Rollouts. It makes ReplicaSets; the tests have them become ready."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.locate import require
from tests.servers.run import LOOPBACK, Process, free_ports, http_ready, running


@contextlib.asynccontextmanager
async def argo_rollouts(folder: Path, api: KubeApiServer) -> AsyncIterator[Process]:
    """On this API server, where its definitions must be installed before."""
    metrics_port, health_port = free_ports(2)
    argv: list[str | Path] = [
        require("argo-rollouts"),
        *("--kubeconfig", api.write_kubeconfig(folder / "kubeconfig.json")),
        *("--metricsPort", str(metrics_port), "--healthzPort", str(health_port)),
        "--leader-elect=false",
    ]
    url = f"http://{LOOPBACK}:{health_port}/healthz"
    async with running("argo-rollouts", argv, folder=folder, ready=lambda: http_ready(url), within=60.0) as process:
        yield process
