"""An API server without any object, a client of ours for it, and Istio's router. A test module fills the first, or has its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from daemon.kube.client import KubeClient
from daemon.meshes.istio.router import IstioRouter
from tests.meshes.cluster import Cluster, cluster


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path) as running:
        yield running


@pytest.fixture
async def kube(api: Cluster) -> AsyncIterator[KubeClient]:
    """So patient that no test but one about time waits for it to give up."""
    client = api.client(timeout_seconds=20.0)
    await client.connect()
    yield client
    await client.close()


@pytest.fixture
def router(kube: KubeClient) -> IstioRouter:
    return IstioRouter(kube)
