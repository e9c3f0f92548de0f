"""Installing custom resource definitions into an API server."""

from __future__ import annotations

from pathlib import Path

from daemon.demo.apiserver import DEFINITIONS, install_definitions
from tests.servers.kube_apiserver import KubeApiServer

__all__ = ["DEFINITIONS", "install_crds"]


async def install_crds(api: KubeApiServer, file: Path) -> list[str]:
    """Installs all definitions of a file, waits until the server serves them, and returns their names."""
    async with api.session() as session:
        return await install_definitions(session, file)
