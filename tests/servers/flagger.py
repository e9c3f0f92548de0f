"""Flagger, which steps the weights of Canaries. It makes Deployments; the tests have them become ready."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.locate import require
from tests.servers.run import LOOPBACK, Process, free_ports, http_ready, running


@contextlib.asynccontextmanager
async def flagger(folder: Path, api: KubeApiServer) -> AsyncIterator[Process]:
    """On this API server, where its definitions and Istio's must be installed before. It has no metrics to ask."""
    (port,) = free_ports(1)
    argv: list[str | Path] = [
        require("flagger"),
        f"-kubeconfig={api.write_kubeconfig(folder / 'kubeconfig.json')}",
        f"-port={port}",
        f"-metrics-server=http://{LOOPBACK}:9",
        # It looks whether there are Canaries, or other intervals of theirs, so often; it ticks by the interval of each.
        "-control-loop-interval=500ms",
        "-mesh-provider=istio",
    ]
    url = f"http://{LOOPBACK}:{port}/healthz"
    async with running("flagger", argv, folder=folder, ready=lambda: http_ready(url), within=60.0) as process:
        yield process
