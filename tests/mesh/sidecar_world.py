"""Pods of a real API server, each with a real Envoy beside it that shows its counters where Istio's sidecars do.

The pods' addresses are loopback addresses of their own, so that every sidecar has the same port, as in a cluster. EndpointSlices
may not name such addresses: there each pod has one at which nobody answers, as nobody scrapes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from daemon.kube.client import KubeClient
from daemon.model import ArmSpec, Release
from daemon.telemetry.schema import ArmLabels, Begins, Ended, EnvoyStats, PodLabel, Rule, Schema, View
from tests.hand import istio_objects
from tests.hand.istio_cluster import client_of
from tests.hand.istio_objects import CORE, NAMESPACE, SERVICE, SLICES, Json
from tests.hand.servers import app_of, serving
from tests.servers.crds import install_crds
from tests.servers.envoy import Envoy, envoy
from tests.servers.kube_apiserver import KubeApiServer, cluster
from tests.servers.locate import require, require_crds
from tests.servers.run import LOOPBACK, free_ports

PORT = 15090
INITIAL = {"web-v1-0": "v1", "web-v1-1": "v1", "web-v2-0": "v2"}
RELEASE = Release(service=SERVICE, namespace=NAMESPACE, mesh="mesh", baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))

# What an Envoy without Istio's filter counts of the requests that it hands to its pod's own container.
SCHEMA = Schema(
    name="sidecar",
    outcome=(Rule(when=(Begins("envoy_response_code_class", ("5",)),), ended=Ended.FAILED),),
    split=False,
    views=(
        View(
            requests="envoy_cluster_upstream_rq_xx",
            latency="envoy_cluster_upstream_rq_time",
            always=(("envoy_cluster_name", "inbound"),),
            server_side=True,
            arms=ArmLabels(whose=(("workload", ("deployment",)),), pods=(PodLabel(fact="pod", label="pod", alone=True),)),
        ),
    ),
    scrape=EnvoyStats(filter=r"^cluster\.inbound\.upstream_rq_(\dxx|time)$", port=PORT),
)


@dataclasses.dataclass(slots=True)
class Sidecar:
    """A pod that runs: its address, and how many requests it was sent."""

    name: str
    address: str
    stack: contextlib.AsyncExitStack
    sent: int = 0


@dataclasses.dataclass(slots=True)
class SidecarWorld:
    """The API server, and the pods by their names."""

    api: KubeApiServer
    kube: KubeClient
    folder: Path
    client: aiohttp.ClientSession
    backend_port: int
    pods: dict[str, Sidecar] = dataclasses.field(default_factory=dict)
    _network: str = dataclasses.field(default_factory=lambda: f"127.{random.randint(1, 254)}.{random.randint(0, 254)}")  # noqa: S311

    async def start(self, name: str, version: str) -> Sidecar:
        """A pod of this version, ready, with its sidecar; the EndpointSlice knows it."""
        address = f"{self._network}.{len(self.pods) + 1 + random.randint(0, 9) * 20}"  # noqa: S311
        stack = contextlib.AsyncExitStack()
        await stack.enter_async_context(self._envoy(name, address))
        self.pods[name] = Sidecar(name, address, stack)
        metadata = {"name": name, "namespace": NAMESPACE, "labels": {"app": SERVICE, "version": version}}
        spec = {"containers": [{"name": "web", "image": "web"}]}
        await self._call("POST", f"{CORE}/pods", {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        await self.set_address(name, address)
        await self._write_slice()
        return self.pods[name]

    async def stop(self, name: str) -> None:
        """The pod goes, and its sidecar with it."""
        one = self.pods.pop(name)
        await self._call("DELETE", f"{CORE}/pods/{name}?gracePeriodSeconds=0")
        await one.stack.aclose()
        await self._write_slice()

    async def set_address(self, name: str, address: str, *, waiting: str = "", restarts: int = 0) -> None:
        """What a kubelet would say of the pod."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        state: Json = {"waiting": {"reason": waiting}} if waiting else {"running": {"startedAt": now}}
        container = {"name": "web", "image": "web", "imageID": "", "ready": not waiting, "restartCount": restarts, "state": state}
        status = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "False" if waiting else "True"}],
            "containerStatuses": [container],
        }
        await self._call("PATCH", f"{CORE}/pods/{name}/status", {"status": status}, "application/merge-patch+json")

    async def send(self, name: str, requests: int, *, failing: int = 0) -> None:
        """Requests to a pod, through its sidecar, of which some fail; returns when all are answered."""

        async def one(path: str) -> None:
            async with self.client.get(f"http://{self.pods[name].address}:8080/{path}") as response:
                await response.read()

        await asyncio.gather(*(one("bad" if number < failing else "good") for number in range(requests)))
        self.pods[name].sent += requests

    async def reset(self) -> None:
        """Two pods of the baseline and one of the canary, all well."""
        for name in self.pods.keys() - INITIAL.keys():
            await self.stop(name)
        for name, version in INITIAL.items():
            if name in self.pods:
                await self.set_address(name, self.pods[name].address)
            else:
                await self.start(name, version)

    async def set_weight(self, canary: int) -> None:
        """A pipeline's step."""
        body = [{"op": "replace", "path": "/spec", "value": istio_objects.virtual_service(canary_weight=canary)["spec"]}]
        await self._call("PATCH", istio_objects.VIRTUAL_SERVICE, body, "application/json-patch+json")

    async def _write_slice(self) -> None:
        item = istio_objects.endpoint_slice()
        item["endpoints"] = [
            {
                "addresses": [f"10.1.0.{number}"],
                "conditions": {"ready": True},
                "targetRef": {"kind": "Pod", "name": name, "namespace": NAMESPACE},
            }
            for number, name in enumerate(self.pods, start=1)
        ]
        body = [{"op": "replace", "path": "/endpoints", "value": item["endpoints"]}]
        await self._call("PATCH", f"{SLICES}/{item['metadata']['name']}", body, "application/json-patch+json")

    async def _call(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> None:
        data = None if body is None else json.dumps(body)
        async with (
            self.api.session() as session,
            session.request(method, path, data=data, headers={"Content-Type": content_type}) as response,
        ):
            assert response.status in {200, 201}, await response.text()

    @contextlib.asynccontextmanager
    async def _envoy(self, name: str, address: str) -> AsyncIterator[Envoy]:
        (admin_port,) = free_ports(1)
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        config = folder / "bootstrap.json"
        config.write_text(json.dumps(_bootstrap(address, admin_port=admin_port, backend_port=self.backend_port)))
        async with envoy(folder, config, admin_port) as running:
            yield running


@contextlib.asynccontextmanager
async def sidecar_world(folder: Path) -> AsyncIterator[SidecarWorld]:
    """Start it, without any pods."""
    for server in ("etcd", "kube-apiserver", "envoy"):
        require(server)
    crds = require_crds("istio")

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=500 if request.path == "/bad" else 200, text="answered")

    async with contextlib.AsyncExitStack() as stack:
        backend_port = await stack.enter_async_context(serving(app_of(answer)))
        api = await stack.enter_async_context(cluster(folder / "cluster"))
        await install_crds(api, crds)
        kube = client_of(api, folder / "kubeconfig.json")
        stack.push_async_callback(kube.close)
        client = await stack.enter_async_context(aiohttp.ClientSession())
        world = SidecarWorld(api, kube, folder, client, backend_port)
        for collection, item in istio_objects.created():
            if item["kind"] != "Pod":
                await world._call("POST", collection, item)
        try:
            yield world
        finally:
            for one in world.pods.values():
                await one.stack.aclose()


def _bootstrap(address: str, *, admin_port: int, backend_port: int) -> Json:
    """Requests to the pod at 8080; its statistics, and nothing else of the admin endpoint, at Istio's port for them."""
    inbound = _listener(address, 8080, prefix="/", to="inbound")
    statistics = _listener(address, PORT, prefix="/stats/prometheus", to="admin")
    return {
        "admin": {"address": _address(LOOPBACK, admin_port)},
        "stats_flush_on_admin": True,
        "static_resources": {
            "listeners": [inbound, statistics],
            "clusters": [_cluster("inbound", backend_port), _cluster("admin", admin_port)],
        },
    }


def _listener(address: str, port: int, *, prefix: str, to: str) -> Json:
    routes = [{"match": {"prefix": prefix}, "route": {"cluster": to}}]
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": to,
        "route_config": {"virtual_hosts": [{"name": to, "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {"name": to, "address": _address(address, port), "filter_chains": [chain]}


def _address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def _cluster(name: str, port: int) -> Json:
    endpoint = {"endpoint": {"address": _address(LOOPBACK, port)}}
    return {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}}
