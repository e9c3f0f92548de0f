"""A small API server in memory, over real sockets, that fails as it is told: for the faults a real one will not show."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from daemon.kube.client import KubeClient
from daemon.kube.resources import Resource
from tests.hand.servers import Answer, app_of, says, serving
from tests.kube.stub import client_of, status, write_kubeconfig
from tests.meshes import jsonpatch

Json = dict[str, Any]

ISTIO = {"virtualservices", "destinationrules", "serviceentries", "workloadentries", "endpointslices", "pods", "services"}


@dataclasses.dataclass(slots=True)
class Cluster:
    """Objects by path. ``faults`` holds answers for the next requests of a method, in order, instead of the right one, or of a
    method and a path (``PATCH /apis/...``), which is what requests that go out side by side can be told by; ``failing`` says how
    often a path is answered 500 before that; ``listed`` are the kinds that there are definitions of, ``groups`` those that the
    paths of versions name."""

    kubeconfig: Path
    objects: dict[str, Json] = dataclasses.field(default_factory=dict)
    faults: dict[str, list[Answer]] = dataclasses.field(default_factory=dict)
    forbidden: set[str] = dataclasses.field(default_factory=set)
    failing: dict[str, int] = dataclasses.field(default_factory=dict)
    requests: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    version: int = 100
    listed: set[str] = dataclasses.field(default_factory=ISTIO.copy)
    groups: dict[str, set[str]] = dataclasses.field(default_factory=dict)

    def put(self, resource: Resource, item: Json) -> Json:
        """Write an object as somebody else would."""
        metadata = item["metadata"]
        self.version += 1
        stored = {**item, "metadata": {**metadata, "resourceVersion": str(self.version)}}
        self.objects[resource.path(namespace=metadata["namespace"], name=metadata["name"])] = stored
        return stored

    def get(self, resource: Resource, namespace: str, name: str) -> Json:
        return self.objects[resource.path(namespace=namespace, name=name)]

    def count(self, method: str) -> int:
        return sum(asked == method for asked, _ in self.requests)

    def client(self, *, timeout_seconds: float = 5.0) -> KubeClient:
        return client_of(self.kubeconfig, timeout_seconds=timeout_seconds)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        if queued := self.faults.get(f"{request.method} {request.path}") or self.faults.get(request.method):
            return await queued.pop(0)(request)
        return await (await self._right(request))(request)

    async def _right(self, request: web.Request) -> Answer:
        path = request.path.removesuffix("/status")  # the same object, of which a part is written
        if self.failing.get(path, 0) > 0:
            self.failing[path] -= 1
            return status(500, "etcd is away")
        if path in self.forbidden:
            return status(403, f"forbidden: {path}")
        if path in self.groups:
            return says({"resources": [{"name": name} for name in sorted(self.groups[path])]})
        if path not in self.objects:
            found = self._listed(path, request.query.get("labelSelector", ""))
            return status(404, f"{path} not found") if found is None else says(found)
        if request.method == "PATCH":
            return self._patched(path, await request.json())
        return says(self.objects[path])

    def _listed(self, path: str, selector: str) -> Json | None:
        plural = path.rpartition("/")[2]
        if plural not in self.listed:
            return None
        wanted = _wanted(unquote(selector))
        prefix = path + "/" if "/namespaces/" in path else path.rpartition("/")[0] + "/namespaces/"
        items = [
            item
            for at, item in self.objects.items()
            if at.startswith(prefix)
            and at.split("/")[-2] == plural
            and all(item["metadata"].get("labels", {}).get(key) in values for key, values in wanted.items())
        ]
        return {"metadata": {"resourceVersion": str(self.version)}, "items": items}

    def _patched(self, path: str, operations: list[Json]) -> Answer:
        before = self.objects[path]
        try:
            after = jsonpatch.apply(before, operations)
        except jsonpatch.PatchFailed:
            return status(422, "the server rejected our request due to an error in our request")
        if after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]:
            return status(409, "the object has been modified; please apply your changes to the latest version")
        self.version += 1
        after["metadata"]["resourceVersion"] = str(self.version)
        self.objects[path] = after
        return says(after)


def _wanted(selector: str) -> dict[str, list[str]]:
    """The values of each label that a selector asks for, as ``key=value`` or ``key in (one,other)``."""
    parts = re.findall(r"([^,= ]+)(?:=([^,]*)| in \(([^)]*)\))", selector)
    return {key: several.split(",") if several else [one] for key, one, several in parts}


@contextlib.asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Cluster]:
    """Run it."""
    state = Cluster(folder / "kubeconfig.json")
    async with serving(app_of(state.handle)) as port:
        write_kubeconfig(state.kubeconfig, port=port)
        yield state
