"""The objects of the Istio world as the API server gets them, and the bootstrap of the Envoy that takes its routes from istiod."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]

NAMESPACE = "shop"
SERVICE = "web"
PORT = 8080
HOST = f"{SERVICE}.{NAMESPACE}.svc.cluster.local"
VERSIONS = ("v1", "v2")

CORE = f"/api/v1/namespaces/{NAMESPACE}"
ISTIO = f"/apis/networking.istio.io/v1/namespaces/{NAMESPACE}"
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
VIRTUAL_SERVICE = f"{ISTIO}/virtualservices/{SERVICE}"


def created() -> list[tuple[str, Json]]:
    """Collection and object of everything that the world is made of, in order."""
    pods = [(f"{CORE}/pods", pod(version)) for version in VERSIONS]
    return [
        ("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        (f"{CORE}/services", _service()),
        *pods,
        (SLICES, endpoint_slice()),
        (f"{ISTIO}/destinationrules", _destination_rule()),
        (f"{ISTIO}/virtualservices", virtual_service()),
    ]


def virtual_service(*, canary_weight: int = 10, **primary: Any) -> Json:
    """A header match pinned to the canary, a second route that is none of our business, and the split."""

    def to(version: str, **more: Any) -> Json:
        return {"destination": {"host": SERVICE, "subset": version, "port": {"number": PORT}}, **more}

    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": SERVICE, "namespace": NAMESPACE, "annotations": {"example.com/owner": "team-shop"}},
        "spec": {
            "hosts": [HOST],
            "http": [
                {"name": "testers", "match": [{"headers": {"x-canary": {"exact": "always"}}}], "route": [to("v2")]},
                {"name": "reports", "match": [{"uri": {"prefix": "/reports"}}], "route": [to("v1")], "timeout": "7s"},
                {
                    "name": "primary",
                    "route": [
                        to("v1", weight=100 - canary_weight, headers={"response": {"set": {"x-arm": "stable"}}}),
                        to("v2", weight=canary_weight),
                    ],
                    "retries": {"attempts": 0},
                    **primary,
                },
            ],
        },
    }


def endpoint_slice(*, ready: bool = True) -> Json:
    """Both pods behind the one service. Their addresses are none that anybody answers at: Envoy has its own."""
    endpoints = [
        {
            "addresses": [f"10.1.0.{number}"],
            "conditions": {"ready": ready},
            "targetRef": {"kind": "Pod", "name": f"{SERVICE}-{version}-0", "namespace": NAMESPACE},
        }
        for number, version in enumerate(VERSIONS, start=1)
    ]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{SERVICE}-1", "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": SERVICE}},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
    }


def _service() -> Json:
    ports = [{"name": "http", "port": PORT, "protocol": "TCP"}]
    spec = {"selector": {"app": SERVICE}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVICE, "namespace": NAMESPACE}, "spec": spec}


def pod(version: str) -> Json:
    """One of the version, as its ReplicaSet makes it."""
    workload, digest = f"{SERVICE}-{version}", "6d9"
    labels = {"app": SERVICE, "version": version, "pod-template-hash": digest}
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{workload}-{digest}", "uid": f"uid-{version}"}
    metadata = {
        "name": f"{workload}-0",
        "generateName": f"{workload}-{digest}-",
        "namespace": NAMESPACE,
        "labels": labels,
        "ownerReferences": [{**owner, "controller": True}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": "web", "image": "web"}]}}


def _destination_rule() -> Json:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": SERVICE, "namespace": NAMESPACE},
        "spec": {"host": HOST, "subsets": [{"name": version, "labels": {"version": version}} for version in VERSIONS]},
    }


def subset_cluster(version: str) -> str:
    """What Istio calls the cluster of a version that is a subset of the Service."""
    return f"outbound|{PORT}|{version}|{HOST}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """What istiod takes an Envoy for.

    Attributes:
        node: its id.
        routes: what the routes that it asks for are called.
        cluster: what the cluster of a version is called there.
    """

    node: str = f"sidecar~127.0.0.1~client.{NAMESPACE}~{NAMESPACE}.svc.cluster.local"
    routes: str = str(PORT)
    cluster: Callable[[str], str] = subset_cluster


SIDECAR = Proxy()
"""A client's sidecar, to which versions are subsets."""


def bootstrap(*, istiod: str, admin_port: int, proxy_port: int, backends: dict[str, int], proxy: Proxy = SIDECAR) -> Json:
    """An Envoy without Istio's own filters: static clusters under Istio's names, and its routes over ADS."""
    host, _, port = istiod.rpartition(":")
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "outbound",
        "rds": {"route_config_name": proxy.routes, "config_source": {"ads": {}, "resource_api_version": "V3"}},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    http2 = {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
    discovery = _cluster("xds", host, int(port)) | {"typed_extension_protocol_options": http2}
    arms = [_cluster(proxy.cluster(version), "127.0.0.1", port) for version, port in backends.items()]
    return {
        "node": {
            "id": proxy.node,
            "cluster": "client",
            "metadata": {"NAMESPACE": NAMESPACE, "ISTIO_VERSION": "1.24.2"},
        },
        "admin": {"address": _address("127.0.0.1", admin_port)},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
            }
        },
        "static_resources": {
            "listeners": [{"name": "outbound", "address": _address("127.0.0.1", proxy_port), "filter_chains": [chain]}],
            "clusters": [discovery, *arms],
        },
    }


def _address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def _cluster(name: str, host: str, port: int) -> Json:
    endpoint = {"endpoint": {"address": _address(host, port)}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
