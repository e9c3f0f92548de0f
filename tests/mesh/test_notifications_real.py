"""The notifications of Argo Rollouts and Argo CD as their controllers send them: by our examples, to a whole daemon's hook.

What the former makes is written to be ready by hand, and what the latter would sync is said so: there are no nodes and no Git.
"""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from daemon.kube.client import KubeClient
from daemon.kube.resources import ROLLOUTS, Resource
from tests.hand.broker import Broker, nats_server
from tests.hand.daemons import DaemonApi
from tests.hand.istio_cluster import client_of, cluster_of
from tests.live.test_hooks import daemon
from tests.mesh.owners_world import REPLICA_SETS, Json, argo_release, becoming_ready, create, merge, workload
from tests.packaging.manifests import collection, documents
from tests.pipelines.examples import of_kind
from tests.servers.argocd import NAMESPACE, argocd_notifications
from tests.servers.argorollouts import argo_rollouts
from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.locate import require_crds
from tests.servers.run import Process, free_ports, until

__all__ = ["nats_server"]

pytestmark = [pytest.mark.mesh, pytest.mark.timeout(180)]

SECRET = "that only the controller knows"
_AGAIN_SECONDS = 5.0
CONFIG_MAPS = Resource(group="", version="v1", plural="configmaps", kind="ConfigMap")
SECRETS = Resource(group="", version="v1", plural="secrets", kind="Secret")
RIGHTS = {"Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding"}


def objects(example: str, *, namespace: str, secret: str, url: str) -> list[tuple[str, Json]]:
    """What the example has a person create, with this address of the daemon; each with its collection."""
    [config] = of_kind(example, "ConfigMap")
    said = {name: value.replace("http://verdictd.verdictd.svc:8484", url) for name, value in config["data"].items()}
    assert said != config["data"]
    key = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret}, "stringData": {"verdictd-hook": SECRET}}
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    return [
        *((collection(one), one) for one in documents() if one["kind"] in RIGHTS),
        ("/api/v1/namespaces", made),
        (CONFIG_MAPS.path(namespace=namespace), {**config, "data": said}),
        (SECRETS.path(namespace=namespace), key),
    ]


def hook(folder: Path, name: str) -> Json:
    """The settings' hook of this name, for whoever knows the secret."""
    (folder / "secret").write_text(SECRET)
    return {name: {"sender": "template", "secret_files": [str(folder / "secret")]}}


def subscribed(release: Json) -> Json:
    """The annotations that the example asks for."""
    return {"notifications.argoproj.io/subscribe.on-release.verdictd": "", "verdictd.io/release": json.dumps(release)}


async def releases(api: DaemonApi) -> list[Json]:
    """All that the daemon has, the newest first."""
    found: list[Json] = json.loads(await api.until_answered("/v1/releases"))["releases"]
    return found


async def count_is(api: DaemonApi, count: int) -> None:
    """Until it has so many."""

    async def is_so() -> bool:
        return len(await releases(api)) == count

    await until(is_so, 90.0)


@asynccontextmanager
async def administrator(api: KubeApiServer, folder: Path) -> AsyncIterator[KubeClient]:
    """The administrator's client."""
    client = client_of(api, folder / "admin.json")
    try:
        yield client
    finally:
        await client.close()


async def logged(process: Process, words: str, *, api: KubeApiServer, path: str) -> None:
    """Until the controller says so: it looks at an object when that changes, and may not have had its settings the last time."""
    changed_at = time.monotonic()

    async def is_so() -> bool:
        nonlocal changed_at
        if time.monotonic() - changed_at > _AGAIN_SECONDS:
            changed_at = time.monotonic()
            await merge(api, path, {"metadata": {"annotations": {"changed-at": str(changed_at)}}})
        return words in process.log.read_text(encoding="utf-8", errors="replace")

    await until(is_so, 120.0)


async def test_argo_rollouts_announces_each_canary_once_though_the_daemon_was_away_for_a_while(
    nats_server: Broker, tmp_path: Path
) -> None:
    [port] = free_ports(1)
    told = {"service": "web", "namespace": "told", "baseline": {"service": "web-stable"}, "canary": {"service": "web-canary"}}
    made = objects(
        "argo-rollouts-notifications.yaml",
        namespace="argo-rollouts",
        secret="argo-rollouts-notification-secret",
        url=f"http://127.0.0.1:{port}",
    )
    crds = [require_crds(name) for name in ("istio", "argo-rollouts")]
    async with (
        cluster_of(tmp_path / "cluster", crds=crds, objects=made) as api,
        argo_rollouts(tmp_path / "argo", api) as argo,
        administrator(api, tmp_path) as kube,
        becoming_ready(api, kube, REPLICA_SETS),
        argo_release(api, kube, "told") as owned,
    ):
        path = ROLLOUTS.path(namespace="told", name="web")
        await merge(api, path, {"metadata": {"annotations": subscribed(told)}})
        # When it says so 7 s have gone by: without our retryMax it would have given up.
        await logged(argo, "retrying in 5s (", api=api, path=path)
        async with daemon(nats_server, tmp_path, port, hooks=hook(tmp_path, "argo-rollouts")) as verdictd:
            await count_is(verdictd, 1)
            [first] = await releases(verdictd)
            assert (first["release"]["service"], first["release"]["canary"]["service"]) == ("web", "web-canary")
            await owned.tick()
            await logged(argo, "already sent", api=api, path=path)
            await merge(api, path, {"spec": {"template": workload("v3")["template"]}})
            await count_is(verdictd, 2)
            assert (await releases(verdictd))[1]["id"] == first["id"]


APPLICATIONS = Resource(group="argoproj.io", version="v1alpha1", plural="applications", kind="Application")
REVISION, NEXT = "f95f852bd8fca8fcc58a9a2d6c842781e32a215e", "78a96099c3f442d7f6e8d1a7d07090091993e65a"
SHOP = {
    "destination": {"server": "https://kubernetes.default.svc", "namespace": "shop"},
    "project": "default",
    "source": {"repoURL": "https://git.example.com/shop.git", "path": "web", "targetRevision": "main"},
}


def synced(minute: int, phase: str = "Succeeded", *, revision: str = REVISION) -> Json:
    """What Argo CD writes of a sync that began in this minute."""
    ended = {} if phase == "Running" else {"finishedAt": f"2026-11-27T09:{minute:02}:20Z"}
    result = {"revision": revision, "source": SHOP["source"]}
    operation = {"sync": {"revision": revision}, "initiatedBy": {"username": "jane"}}
    state = {"operation": operation, "phase": phase, "startedAt": f"2026-11-27T09:{minute:02}:00Z", "syncResult": result, **ended}
    images = {"images": ["reg.example/web:2", "reg.example/proxy:9"]}
    return {"status": {"operationState": state, "reconciledAt": f"2026-11-27T09:{minute:02}:30Z", "summary": images}}


async def test_argo_cd_announces_each_sync_that_succeeded_once_though_the_daemon_was_away_for_a_while(
    nats_server: Broker, tmp_path: Path
) -> None:
    [port] = free_ports(1)
    told = {"service": "web", "namespace": "shop", "baseline": {"subset": "v1"}, "canary": {"subset": "v2"}}
    made = objects(
        "argocd-notifications.yaml",
        namespace=NAMESPACE,
        secret="argocd-notifications-secret",
        url=f"http://127.0.0.1:{port}",
    )
    crds = [require_crds(name) for name in ("argocd-application", "argocd-appproject")]
    async with (
        cluster_of(tmp_path / "cluster", crds=crds, objects=made) as api,
        argocd_notifications(tmp_path / "argocd", api) as argo,
    ):
        metadata = {"name": "shop", "annotations": subscribed(told)}
        await create(api, APPLICATIONS, NAMESPACE, {"metadata": metadata, "spec": SHOP, **synced(1, phase="Running")})
        path = APPLICATIONS.path(namespace=NAMESPACE, name="shop")
        await merge(api, path, synced(1))
        # When it says so 7 s have gone by: without our retryMax it would have given up.
        await logged(argo, "retrying in 5s (", api=api, path=path)
        async with daemon(nats_server, tmp_path, port, hooks=hook(tmp_path, "argocd")) as verdictd:
            await count_is(verdictd, 1)
            [first] = await releases(verdictd)
            release = first["release"]
            assert (release["service"], release["canary"]["subset"]) == ("web", "v2")
            assert (release["revision"], release["initiated_by"]) == (REVISION, "jane")
            await merge(api, path, {"metadata": {"labels": {"seen": "again"}}})
            await logged(argo, "already sent", api=api, path=path)
            await merge(api, path, synced(2, phase="Running"))
            await merge(api, path, synced(2, phase="Failed"))
            await merge(api, path, synced(3, revision=NEXT))
            await count_is(verdictd, 2)
            assert (await releases(verdictd))[1]["id"] == first["id"]
