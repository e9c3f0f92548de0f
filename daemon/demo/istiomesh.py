"""Istio as the demo's mesh: an API server, istiod on it, and an Envoy that takes its routes from istiod as a client's sidecar does.

Each version is a subset of one Service, a pod each. A stock Envoy lacks Istio's own filters: it takes nothing but its routes from
istiod, its clusters have Istio's names and fixed endpoints, and each version counts its requests as its sidecar would.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from daemon.demo import apiserver, commandlines, routes
from daemon.demo.apiserver import Json, api_server
from daemon.demo.backends import Backend
from daemon.demo.children import Child, child
from daemon.demo.demomesh import DemoMesh, Shares
from daemon.demo.edge import envoy_path, ready
from daemon.demo.freeports import LOOPBACK, free_ports
from daemon.demo.programs import environment, istio_definitions, program, require
from daemon.demo.routes import NAMESPACE, SERVICE
from daemon.model import ArmSpec

NAME = "istio"
_PROGRAMS = ("etcd", "kube-apiserver", "istiod")
_PORT = 8080
_HOST = f"{SERVICE}.{NAMESPACE}.svc.cluster.local"
_CORE = f"/api/v1/namespaces/{NAMESPACE}"
_ISTIO = f"/apis/networking.istio.io/v1/namespaces/{NAMESPACE}"
_SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
_NODE = f"sidecar~{LOOPBACK}~users.{NAMESPACE}~{NAMESPACE}.svc.cluster.local"
_SETTLE_SECONDS = 1.5
"""istiod gathers changes for 100 ms before it sends routes, and longer while there are more."""


def require_programs() -> None:
    """Raises ``DemoError`` with what is missing, and how to get it."""
    envoy_path()
    require(_PROGRAMS)
    istio_definitions()


@asynccontextmanager
async def istio_mesh(*, folder: Path, backends: Mapping[str, Backend], first: str) -> AsyncIterator[DemoMesh]:
    """Run it all for the length of a ``with`` block; all traffic goes to the version ``first``."""
    versions = tuple(backends)
    async with AsyncExitStack() as stack:
        api, processes = await stack.enter_async_context(api_server(folder))
        session = await stack.enter_async_context(api.session())
        await apiserver.install_definitions(session, istio_definitions())
        for collection, item in objects(versions, first=first):
            await apiserver.create(session, collection, item)
        for version in versions:
            await apiserver.merge(session, f"{_CORE}/pods/{_pod_name(version)}/status", {"status": _READY})
        kubeconfig = api.write_kubeconfig(folder / "kubeconfig")
        control_plane, discovery = await stack.enter_async_context(_istiod(folder, kubeconfig))
        ports = {version: backend.port for version, backend in backends.items()}
        proxy, admin, url = await stack.enter_async_context(_envoy(folder, ports, discovery=discovery))

        async def share(shares: Shares) -> None:
            await apiserver.merge(session, f"{_ISTIO}/virtualservices/{SERVICE}", {"spec": _routed(shares)})

        yield DemoMesh(
            name=NAME,
            url=url,
            host=f"{SERVICE}:{_PORT}",
            introduced=(
                (
                    "istio",
                    f"kube-apiserver on {api.url}, istiod takes its objects from there: VirtualService {SERVICE} in {NAMESPACE}",
                ),
                ("sidecar", f"Envoy on {url}, with istiod's routes; admin on {admin.removeprefix('http://')}"),
            ),
            children=(*processes, control_plane, proxy),
            telemetry={
                "dialect": "istio",
                "endpoints": [f"http://{LOOPBACK}:{backend.control}" for backend in backends.values()],
            },
            steering={"kind": "istio"},
            kubernetes={"auth": "kubeconfig", "kubeconfig": str(kubeconfig)},
            settle_seconds=_SETTLE_SECONDS,
            arm=arm,
            share=share,
        )


def arm(version: str) -> ArmSpec:
    """How a release names a version: a subset, and whose pods it is."""
    return ArmSpec(workload=routes.cluster(version), version=version, subset=version)


def objects(versions: tuple[str, ...], *, first: str) -> list[tuple[str, Json]]:
    """Collection and object of everything on the API server, in order."""
    selected = {"app": SERVICE}
    ports = [{"name": "http", "port": _PORT, "protocol": "TCP"}]
    subsets = [{"name": version, "labels": {"version": version}} for version in versions]
    return [
        ("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": commandlines.ISTIO_NAMESPACE}}),
        (f"{_CORE}/services", _object("v1", "Service", spec={"selector": selected, "ports": ports})),
        *((f"{_CORE}/pods", _pod(version)) for version in versions),
        (_SLICES, _endpoint_slice(versions)),
        (
            f"{_ISTIO}/destinationrules",
            _object("networking.istio.io/v1", "DestinationRule", spec={"host": _HOST, "subsets": subsets}),
        ),
        (f"{_ISTIO}/virtualservices", _object("networking.istio.io/v1", "VirtualService", spec=_routed({first: 100}))),
    ]


_READY: Json = {
    "phase": "Running",
    "conditions": [{"type": "Ready", "status": "True"}],
}
"""What a kubelet would say of a pod."""


def _object(version: str, kind: str, **more: Json) -> Json:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": SERVICE, "namespace": NAMESPACE}, **more}


def _routed(shares: Shares) -> Json:
    """The VirtualService's ``spec``; as with the file, a share of 100 % leaves the others out."""
    targets = [
        {"destination": {"host": SERVICE, "subset": version, "port": {"number": _PORT}}, "weight": share}
        for version, share in shares.items()
        if share
    ]
    # Without retries, which Istio would make of every failure.
    return {"hosts": [_HOST], "http": [{"name": "all", "route": targets, "retries": {"attempts": 0}}]}


def _pod_name(version: str) -> str:
    return f"{routes.cluster(version)}-0"


def _pod(version: str) -> Json:
    """One of the version, as its ReplicaSet makes it."""
    workload, digest = routes.cluster(version), "demo"
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{workload}-{digest}", "uid": f"uid-{version}"}
    metadata = {
        "name": _pod_name(version),
        "generateName": f"{workload}-{digest}-",
        "namespace": NAMESPACE,
        "labels": {"app": SERVICE, "version": version, "pod-template-hash": digest},
        "ownerReferences": [{**owner, "controller": True}],
    }
    containers = [{"name": SERVICE, "image": f"demo/{SERVICE}:{version}"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}


def _endpoint_slice(versions: tuple[str, ...]) -> Json:
    """All pods behind the one Service. Nobody answers at their addresses: the Envoy has others."""
    endpoints = [
        {
            "addresses": [f"10.1.0.{number}"],
            "conditions": {"ready": True},
            "targetRef": {"kind": "Pod", "name": _pod_name(version), "namespace": NAMESPACE},
        }
        for number, version in enumerate(versions, start=1)
    ]
    metadata = {"name": f"{SERVICE}-1", "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": SERVICE}}
    ports = [{"name": "http", "port": _PORT, "protocol": "TCP"}]
    kind = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4"}
    return {**kind, "metadata": metadata, "endpoints": endpoints, "ports": ports}


@asynccontextmanager
async def _istiod(folder: Path, kubeconfig: Path) -> AsyncIterator[tuple[Child, int]]:
    """istiod, and the port where proxies ask for their routes."""
    grpc, http, monitoring = free_ports(3)
    mesh_config = folder / "mesh.yaml"
    mesh_config.write_text("{}\n")
    argv = commandlines.istiod(
        program("istiod"),
        kubeconfig=kubeconfig,
        mesh_config=mesh_config,
        grpc=f"{LOOPBACK}:{grpc}",
        http=f"{LOOPBACK}:{http}",
        monitoring=f"{LOOPBACK}:{monitoring}",
    )
    env = environment(folder) | dict(commandlines.ISTIOD_ENVIRONMENT)
    async with child("istiod", argv, log=folder / "istiod.log", env=env) as process:
        await process.until(lambda: apiserver.http_ready(f"http://{LOOPBACK}:{http}/ready"))
        yield process, grpc


@asynccontextmanager
async def _envoy(folder: Path, ports: Mapping[str, int], *, discovery: int) -> AsyncIterator[tuple[Child, str, str]]:
    """The users' sidecar; its admin's base URL, and that of its listener."""
    config, address_file = folder / "envoy.json", folder / "envoy-admin"
    config.write_text(json.dumps(_bootstrap(ports, discovery=discovery), indent=1))
    argv = commandlines.envoy(envoy_path(), bootstrap=config, address_file=address_file)
    async with child("Envoy", argv, log=folder / "envoy.log") as process:
        admin, url = await ready(process, address_file)
        yield process, admin, url


def _bootstrap(ports: Mapping[str, int], *, discovery: int) -> Json:
    """An edge whose routes come from istiod, by the name that Istio gives those of a port."""
    arms = [routes.static_cluster(f"outbound|{_PORT}|{version}|{_HOST}", port) for version, port in ports.items()]
    document = routes.edge_document([_discovery(discovery), *arms], route_config=str(_PORT), source={"ads": {}})
    services = [{"envoy_grpc": {"cluster_name": "istiod"}}]
    ads = {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": services}
    node = {"id": _NODE, "cluster": "users", "metadata": {"NAMESPACE": NAMESPACE, "ISTIO_VERSION": "1.24.2"}}
    return {**document, "node": node, "dynamic_resources": {"ads_config": ads}}


def _discovery(port: int) -> Json:
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    http2 = {"@type": f"type.googleapis.com/{options}", "explicit_http_config": {"http2_protocol_options": {}}}
    return {**routes.static_cluster("istiod", port), "typed_extension_protocol_options": {options: http2}}
