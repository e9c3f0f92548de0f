"""A real API server with a mesh's definitions and one canary on it, and clients of it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from config.settings import Kubernetes
from daemon.kube.client import KubeClient
from daemon.kube.resources import Json
from tests.hand import gateway_objects, istio_objects
from tests.servers.crds import install_crds
from tests.servers.kube_apiserver import KubeApiServer, cluster
from tests.servers.locate import require_crds

_PATIENCE_SECONDS = 20.0
_EXPERIMENTAL = Path(__file__).parent / "crds" / "gateway-api-experimental.yaml"


@asynccontextmanager
async def istio_cluster(folder: Path) -> AsyncIterator[KubeApiServer]:
    """Started, with all objects of ``istio_objects``."""
    async with cluster_of(folder, crds=[require_crds("istio")], objects=istio_objects.created()) as api:
        yield api


@asynccontextmanager
async def gateway_cluster(
    folder: Path, *, istio: bool = False, objects: Sequence[tuple[str, Json]] | None = None
) -> AsyncIterator[KubeApiServer]:
    """Started, with objects of ``gateway_objects``; with Istio's definitions too, where istiod is to run."""
    crds = [require_crds("gateway-api"), _EXPERIMENTAL, *([require_crds("istio")] if istio else [])]
    async with cluster_of(folder, crds=crds, objects=objects or gateway_objects.created()) as api:
        yield api


@asynccontextmanager
async def cluster_of(folder: Path, *, crds: Sequence[Path], objects: Sequence[tuple[str, Json]]) -> AsyncIterator[KubeApiServer]:
    """Started, with these definitions and objects; ``objects``: each with the collection that it is created in, in order."""
    async with cluster(folder) as api:
        for file in crds:
            await install_crds(api, file)
        for collection, item in objects:
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
    kubeconfig = str(api.write_kubeconfig(path, token))
    return KubeClient(Kubernetes(auth="kubeconfig", kubeconfig=kubeconfig, request_timeout_seconds=_PATIENCE_SECONDS))


async def delete(api: KubeApiServer, path: str) -> None:
    """As the administrator. The answer is read to its end: one that is left would hold its connection until it is collected."""
    async with api.session() as session, session.delete(path) as response:
        assert response.status == 200, await response.text()
        await response.read()


async def kubelet_says(api: KubeApiServer, pod: str, *, ready: bool = True, killed_for: str = "") -> None:
    """What a kubelet would say of a pod's one container; ``killed_for``: it was just killed, and runs again."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    ended = {"exitCode": 137, "reason": killed_for, "startedAt": now, "finishedAt": now}
    container = {
        "name": "web",
        "image": "web",
        "imageID": "",
        "ready": ready,
        "restartCount": int(bool(killed_for)),
        "state": {"running": {"startedAt": now}},
        "lastState": {"terminated": ended} if killed_for else {},
    }
    status = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        "containerStatuses": [container],
    }
    headers = {"Content-Type": "application/merge-patch+json"}
    async with (
        api.session() as session,
        session.patch(f"{istio_objects.CORE}/pods/{pod}/status", json={"status": status}, headers=headers) as response,
    ):
        assert response.status == 200, await response.text()
