"""Argo CD's notifications controller, which watches Applications. The tests say what is in these, in Argo CD's place."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.locate import require
from tests.servers.run import LOOPBACK, Process, free_ports, http_ready, running

NAMESPACE = "argocd"


@contextlib.asynccontextmanager
async def argocd_notifications(folder: Path, api: KubeApiServer) -> AsyncIterator[Process]:
    """On this API server, where its definitions must be installed before. There is no repo-server that it could ask."""
    (metrics_port,) = free_ports(1)
    argv: list[str | Path] = [
        require("argocd-notifications"),
        *("--kubeconfig", api.write_kubeconfig(folder / "kubeconfig.json")),
        *("--namespace", NAMESPACE),
        *("--metrics-port", str(metrics_port)),
        *("--argocd-repo-server", f"{LOOPBACK}:9", "--argocd-repo-server-plaintext"),
    ]
    url = f"http://{LOOPBACK}:{metrics_port}/metrics"
    async with running("argocd-notifications", argv, folder=folder, ready=lambda: http_ready(url), within=60.0) as process:
        yield process
