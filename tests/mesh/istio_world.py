"""A real Istio: API server, etcd, istiod, an Envoy that takes its routes from istiod, and Prometheus; two versions behind it.

Reusable by every test that wants the whole way from an event to the last canary response: take the fixture ``istio_world``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from daemon.demo.istiocounters import IstioExporter
from daemon.model import ArmSpec, Release
from tests.hand import istio_objects
from tests.hand.istio_cluster import istio_cluster, kubelet_says
from tests.hand.istio_objects import NAMESPACE, PORT, SERVICE, VERSIONS, Json
from tests.hand.servers import serving
from tests.mesh.traffic import Backend, Fault, Traffic, backend, traffic
from tests.servers.envoy import Envoy, envoy
from tests.servers.istiod import Istiod, istiod
from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.locate import require
from tests.servers.prometheus import Prometheus, prometheus
from tests.servers.run import LOOPBACK, free_ports, until

MEAN_SECONDS = 0.004


@dataclasses.dataclass(frozen=True, slots=True)
class IstioWorld:
    """Everything that runs. ``backends`` and ``exporters`` are by version: v1 is the baseline, v2 the canary at 10 %."""

    api: KubeApiServer
    kubeconfig: Path
    istiod: Istiod
    envoy: Envoy
    prometheus: Prometheus
    proxy_url: str
    backends: Mapping[str, Backend]
    exporters: Mapping[str, IstioExporter]

    @property
    def prometheus_url(self) -> str:
        """Where Istio's counters are scraped to, each second."""
        return self.prometheus.url

    @property
    def release(self) -> Release:
        """What a deployment event would announce."""
        return Release(
            service=SERVICE,
            namespace=NAMESPACE,
            mesh="istio",
            baseline=ArmSpec(workload=f"{SERVICE}-v1", version="v1", subset="v1"),
            canary=ArmSpec(workload=f"{SERVICE}-v2", version="v2", subset="v2"),
            weight=10.0,
        )

    def break_canary(self, *, error_rate: float = 0.0, added_seconds: float = 0.0) -> None:
        """From now on the canary fails this share of its requests and takes so much longer."""
        self.backends["v2"].fault = Fault(error_rate=error_rate, added_seconds=added_seconds)

    @contextlib.asynccontextmanager
    async def traffic(
        self, *, per_second: float = 200.0, paths: Mapping[str, Mapping[str, str]] | None = None
    ) -> AsyncIterator[Traffic]:
        """Requests through the proxy, at a fixed rate; each answer is written down."""
        async with traffic(self.proxy_url, per_second=per_second, paths=paths, host=f"{SERVICE}:{PORT}") as seen:
            yield seen

    async def virtual_service(self) -> Json:
        """The VirtualService as the API server has it now."""
        async with self.api.session() as session, session.get(istio_objects.VIRTUAL_SERVICE) as response:
            response.raise_for_status()
            found: Json = await response.json()
            return found

    async def weights(self) -> dict[str, int]:
        """Weight by version in the split."""
        primary = (await self.virtual_service())["spec"]["http"][2]
        return {target["destination"]["subset"]: target.get("weight", 0) for target in primary["route"]}

    async def replace_spec(self, spec: Json) -> None:
        """Somebody else's word: write the whole spec of the VirtualService."""
        headers = {"Content-Type": "application/json-patch+json"}
        body = json.dumps([{"op": "replace", "path": "/spec", "value": spec}])
        async with (
            self.api.session() as session,
            session.patch(istio_objects.VIRTUAL_SERVICE, data=body, headers=headers) as response,
        ):
            response.raise_for_status()


@contextlib.asynccontextmanager
async def istio_world(
    folder: Path,
    *,
    cluster: Callable[[Path], contextlib.AbstractAsyncContextManager[KubeApiServer]] = istio_cluster,
    proxy: istio_objects.Proxy = istio_objects.SIDECAR,
) -> AsyncIterator[IstioWorld]:
    """Start it all; ready when both versions have answered through the proxy and Prometheus has both versions' counters.

    ``cluster``: starts the API server with the world's objects. ``proxy``: what istiod takes the Envoy for.
    """
    for server in ("etcd", "kube-apiserver", "istiod", "envoy", "prometheus"):
        require(server)
    admin_port, proxy_port, monitoring_port = free_ports(3)
    proxy_url = f"http://{LOOPBACK}:{proxy_port}"
    async with contextlib.AsyncExitStack() as stack:
        exporters = {version: IstioExporter(SERVICE, NAMESPACE, f"{SERVICE}-{version}", version) for version in VERSIONS}
        backends = await _backends(stack, exporters)
        scrapes = [await _exported(stack, version, exporters[version]) for version in VERSIONS]
        # Prometheus looks for its targets every 5 s only: it does so while the API server starts.
        scraper = await stack.enter_async_context(
            prometheus(
                folder / "prometheus",
                [
                    {"job_name": "istio", "static_configs": scrapes},
                    {"job_name": "istiod", "static_configs": [{"targets": [f"{LOOPBACK}:{monitoring_port}"]}]},
                ],
            )
        )
        api = await stack.enter_async_context(cluster(folder / "cluster"))
        for version in VERSIONS:
            await kubelet_says(api, f"{SERVICE}-{version}-0")
        control_plane = await stack.enter_async_context(istiod(folder / "istiod", api, monitoring_port=monitoring_port))
        ports = {version: one.port for version, one in backends.items()}
        bootstrap = istio_objects.bootstrap(
            istiod=control_plane.grpc, admin_port=admin_port, proxy_port=proxy_port, backends=ports, proxy=proxy
        )
        config = folder / "bootstrap.json"
        config.write_text(json.dumps(bootstrap))
        running = await stack.enter_async_context(envoy(folder / "envoy", config, admin_port))
        kubeconfig = api.write_kubeconfig(folder / "kubeconfig.json")
        world = IstioWorld(api, kubeconfig, control_plane, running, scraper, proxy_url, backends, exporters)
        await _until_ready(world)
        yield world


async def _backends(stack: contextlib.AsyncExitStack, exporters: Mapping[str, IstioExporter]) -> dict[str, Backend]:
    running = [
        await stack.enter_async_context(backend(version, mean_seconds=MEAN_SECONDS, observe=exporter.observe))
        for version, exporter in exporters.items()
    ]
    return {one.version: one for one in running}


async def _exported(stack: contextlib.AsyncExitStack, version: str, exporter: IstioExporter) -> Json:
    """Each version's counters at an address of their own, as each pod has its sidecar; gives the scrape's target."""

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(text=exporter.text(), content_type="text/plain")

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    port = await stack.enter_async_context(serving(app))
    return {"targets": [f"{LOOPBACK}:{port}"], "labels": {"pod": f"{SERVICE}-{version}-0", "namespace": NAMESPACE}}


async def _until_ready(world: IstioWorld) -> None:
    def both_answered(seen: Traffic) -> bool:
        return set(seen.counts()) >= set(VERSIONS)

    async def both_scraped() -> bool:
        async with aiohttp.ClientSession() as session:
            query = {"query": "count by (destination_version) (istio_requests_total)"}
            async with session.get(f"{world.prometheus_url}/api/v1/query", params=query) as response:
                document: Any = await response.json()
                return len(document["data"]["result"]) == len(VERSIONS)

    async with world.traffic(per_second=50.0) as seen:
        await seen.until(both_answered, within=60.0)
        await until(both_scraped, within=60.0)
