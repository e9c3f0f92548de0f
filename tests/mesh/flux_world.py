"""A release whose route Flux's kustomize-controller applies out of a source, which is an archive that this process serves."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import itertools
import json
import tarfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from aiohttp import web

from daemon.delivery.flux import KUSTOMIZATIONS
from daemon.kube.client import KubeClient
from daemon.kube.resources import Resource
from daemon.meshes.istio.mesh import VIRTUAL_SERVICES
from tests.hand.servers import app_of, serving
from tests.mesh.owners_world import Json, Owned, arms_release, create, merge, namespaced, route_with, watched
from tests.servers.crds import install_crds
from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.run import until

FLUX_SYSTEM = "flux-system"
REVISION = "main@sha1:4f2a731f7eaddfb6af01cb2173e18f0f75b0ba78"

_GROUP = "source.toolkit.fluxcd.io"
_GIT_REPOSITORIES = Resource(group=_GROUP, version="v1", plural="gitrepositories", kind="GitRepository")
_SOURCES = ("GitRepository", "OCIRepository", "Bucket", "ExternalArtifact")
_WITHIN_SECONDS = 60.0
_requests = itertools.count(1)


async def install_sources(api: KubeApiServer, folder: Path) -> None:
    """The definitions of sources, which the controller watches: of their content no more than that it is kept."""
    file = folder / "sources.yaml"
    file.write_text("\n---\n".join(json.dumps(_definition(kind)) for kind in _SOURCES))
    await install_crds(api, file)


@contextlib.asynccontextmanager
async def flux_release(
    api: KubeApiServer, kube: KubeClient, namespace: str, *, annotations: Mapping[str, str] | None = None
) -> AsyncIterator[Owned]:
    """A Kustomization, named as the namespace, has applied a route with 10 % for the canary, and these annotations."""
    await namespaced(api, namespace)
    route = {**route_with(10), "apiVersion": "networking.istio.io/v1", "kind": VIRTUAL_SERVICES.kind}
    route["metadata"] = {"name": "web", "namespace": namespace, "annotations": dict(annotations or {})}
    archive = _archive({"route.yaml": json.dumps(route).encode()})

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=archive, content_type="application/gzip")

    async def kustomization() -> Json:
        return await kube.get(KUSTOMIZATIONS, namespace=FLUX_SYSTEM, name=namespace)

    async def tick() -> None:
        """As ``flux reconcile`` does, until it has done so."""
        asked = f"request {next(_requests)}"
        path = KUSTOMIZATIONS.path(namespace=FLUX_SYSTEM, name=namespace)
        await merge(api, path, {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": asked}}})

        async def has_done() -> bool:
            return bool((await kustomization()).get("status", {}).get("lastHandledReconcileAt") == asked)

        await until(has_done, within=_WITHIN_SECONDS)

    async with serving(app_of(answer)) as port:
        await _source(api, namespace, archive, url=f"http://127.0.0.1:{port}/{namespace}.tar.gz")
        reference = {"kind": "GitRepository", "name": namespace}
        spec = {"interval": "10m", "path": "./", "prune": False, "sourceRef": reference}
        await create(api, KUSTOMIZATIONS, FLUX_SYSTEM, {"metadata": {"name": namespace}, "spec": spec})

        async def is_applied() -> bool:
            return bool((await kustomization()).get("status", {}).get("lastAppliedRevision") == REVISION)

        await until(is_applied, within=_WITHIN_SECONDS)
        async with watched(api, namespace) as weights:
            await weights.until(lambda seen: seen.now == 10)
            yield Owned(release=arms_release(namespace), weights=weights, owner=kustomization, tick=tick)


async def _source(api: KubeApiServer, name: str, archive: bytes, *, url: str) -> None:
    """What the source has, as source-controller would say it."""
    spec = {"interval": "10m", "url": "https://git.example.com/apps"}
    await create(api, _GIT_REPOSITORIES, FLUX_SYSTEM, {"metadata": {"name": name}, "spec": spec})
    artifact = {
        "digest": f"sha256:{hashlib.sha256(archive).hexdigest()}",
        "lastUpdateTime": "2026-01-01T00:00:00Z",
        "path": f"{name}.tar.gz",
        "revision": REVISION,
        "size": len(archive),
        "url": url,
    }
    ready = {"type": "Ready", "status": "True", "reason": "Succeeded", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    path = f"{_GIT_REPOSITORIES.path(namespace=FLUX_SYSTEM, name=name)}/status"
    await merge(api, path, {"status": {"artifact": artifact, "conditions": [ready], "observedGeneration": 1}})


def _archive(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


def _definition(kind: str) -> Json:
    name = kind.lower()
    plural = f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema, "subresources": {"status": {}}}
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": name}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{_GROUP}"},
        "spec": {"group": _GROUP, "names": names, "scope": "Namespaced", "versions": [version]},
    }
