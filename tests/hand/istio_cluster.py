"""A real API server with Istio's definitions and one canary on it, and clients of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from config.settings import Kubernetes
from daemon.kube.client import KubeClient
from daemon.kube.resources import Json
from tests.hand import istio_objects
from tests.servers.crds import install_crds
from tests.servers.kube_apiserver import KubeApiServer, cluster
from tests.servers.locate import require_crds


@asynccontextmanager
async def istio_cluster(folder: Path) -> AsyncIterator[KubeApiServer]:
    """Started, with all objects of ``istio_objects``."""
    crds = require_crds("istio")
    async with cluster(folder) as api:
        await install_crds(api, crds)
        for collection, item in istio_objects.created():
            await post(api, collection, item)
        yield api


async def post(api: KubeApiServer, collection: str, item: Json) -> Json:
    """Create an object, as the administrator; gives it as it is then."""
    async with api.session() as session, session.post(collection, json=item) as response:
        body: Json = await response.json()
        assert response.status == 201, body
        return body


def client_of(api: KubeApiServer, path: Path, token: str | None = None) -> KubeClient:
    """The administrator's client, or that of whoever has the token; ``path`` is where its kubeconfig is written."""
    return KubeClient(Kubernetes(auth="kubeconfig", kubeconfig=str(api.write_kubeconfig(path, token))))
