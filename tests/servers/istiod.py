"""istiod: Istio's control plane, which turns the objects of an API server into the routes of proxies."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from daemon.demo import commandlines
from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.locate import require
from tests.servers.run import LOOPBACK, Process, free_ports, http_ready, running


@dataclasses.dataclass(frozen=True, slots=True)
class Istiod:
    grpc: str
    """host:port of the discovery service, without TLS."""
    http: str
    """URL of the HTTP listener: /ready and /debug/..."""
    monitoring: str
    """URL of istiod's own metrics and version."""
    process: Process


@contextlib.asynccontextmanager
async def istiod(
    folder: Path,
    api: KubeApiServer,
    mesh_config: Mapping[str, object] | None = None,
    *,
    monitoring_port: int | None = None,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[Istiod]:
    """istiod on this API server. Istio's definitions must be installed before, and those of the Gateway API where
    they matter: it looks for them as it starts. ``env``: further switches of it."""
    await _create_namespace(api)
    grpc_port, http_port, free_port = free_ports(3)
    grpc, http, monitoring = (f"{LOOPBACK}:{port}" for port in (grpc_port, http_port, monitoring_port or free_port))
    argv = commandlines.istiod(
        require("istiod"),
        kubeconfig=_kubeconfig(folder, api),
        mesh_config=_mesh_file(folder, mesh_config or {}),
        grpc=grpc,
        http=http,
        monitoring=monitoring,
    )
    switches = {**commandlines.ISTIOD_ENVIRONMENT, **(env or {})}
    url = f"http://{http}"
    async with running(
        "istiod", argv, folder=folder, ready=lambda: http_ready(f"{url}/ready"), within=60.0, env=switches
    ) as process:
        yield Istiod(grpc, url, f"http://{monitoring}", process)


async def _create_namespace(api: KubeApiServer) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": commandlines.ISTIO_NAMESPACE}}
    async with api.session() as session, session.post("/api/v1/namespaces", json=namespace) as response:
        if response.status != 409:
            response.raise_for_status()


def _kubeconfig(folder: Path, api: KubeApiServer) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return api.write_kubeconfig(folder / "kubeconfig.json")


def _mesh_file(folder: Path, mesh_config: Mapping[str, object]) -> Path:
    """JSON is YAML too."""
    file = folder / "mesh.yaml"
    file.write_text(json.dumps(mesh_config), encoding="utf-8")
    return file
