"""The objects of a world of the Gateway API: a service with a Service for each version, and routes that say which one is sent to.

The mesh's clients call the Service ``web``, to which the HTTPRoute is attached (GAMMA); the pods are those of ``istio_objects``.
"""

from __future__ import annotations

from typing import Any

from daemon.model import ArmSpec, Release
from tests.hand import istio_objects
from tests.hand.istio_objects import CORE, ISTIO, NAMESPACE, PORT, SERVICE, SLICES, VERSIONS, Json

GROUP = "gateway.networking.k8s.io"
ON_SERVICE: Json = {"group": "", "kind": "Service", "name": SERVICE, "port": PORT}
ON_GATEWAY: Json = {"name": "edge"}

RELEASE = Release(
    service=SERVICE,
    namespace=NAMESPACE,
    baseline=ArmSpec(service=f"{SERVICE}-v1"),
    canary=ArmSpec(service=f"{SERVICE}-v2"),
    weight=10.0,
)


def routes(plural: str, *, version: str = "v1", namespace: str = NAMESPACE) -> str:
    """The collection of a kind of routes."""
    return f"/apis/{GROUP}/{version}/namespaces/{namespace}/{plural}"


HTTP_ROUTE = f"{routes('httproutes')}/{SERVICE}"


def service_cluster(version: str) -> str:
    """What Istio calls the cluster of a version's own Service."""
    return f"outbound|{PORT}||{SERVICE}-{version}.{NAMESPACE}.svc.cluster.local"


CLIENT = istio_objects.Proxy(cluster=service_cluster)
"""A client's sidecar, to which versions are Services."""
EDGE = istio_objects.Proxy(
    node=f"router~10.1.1.1~edge-0.{NAMESPACE}~{NAMESPACE}.svc.cluster.local",
    routes="http.80",
    cluster=service_cluster,
)
"""What serves the Gateway ``edge``."""


def created() -> list[tuple[str, Json]]:
    """Collection and object of everything that the world is made of, in order."""
    arms = [f"{SERVICE}-{version}" for version in VERSIONS]
    return [
        ("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        (f"{CORE}/services", service(SERVICE, app=SERVICE)),
        *((f"{CORE}/services", service(f"{SERVICE}-{version}", app=SERVICE, version=version)) for version in VERSIONS),
        *((f"{CORE}/pods", istio_objects.pod(version)) for version in VERSIONS),
        (SLICES, istio_objects.endpoint_slice()),
        *((SLICES, endpoint_slice(arm, number)) for number, arm in enumerate(arms, start=1)),
        (routes("httproutes"), http_route()),
    ]


def created_on_gateway() -> list[tuple[str, Json]]:
    """The same with the route on a Gateway, which somebody else than istiod serves, as its address says."""
    *objects, (collection, item) = created()
    item["spec"]["parentRefs"] = [ON_GATEWAY]
    address = {"type": "Hostname", "value": f"edge.{NAMESPACE}.svc.cluster.local"}
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    gateway = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": NAMESPACE},
        "spec": {"gatewayClassName": "istio", "addresses": [address], "listeners": [listener]},
    }
    # A machine that is no pod: of a pod istiod believes only the address that a kubelet has written.
    machine = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": {"name": "edge", "namespace": NAMESPACE},
        "spec": {"address": "10.1.1.1", "labels": {"app": "edge"}},
    }
    return [
        *objects,
        (f"{CORE}/services", service("edge", port=80, app="edge")),
        (f"{ISTIO}/workloadentries", machine),
        (routes("gateways"), gateway),
        (collection, item),
    ]


def backend(name: str, weight: int | None = None, **more: Any) -> Json:
    """One backend of a rule."""
    return {"name": name, "port": PORT, **({} if weight is None else {"weight": weight}), **more}


def mirror(name: str, **share: Any) -> Json:
    """A filter that copies requests."""
    return {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": name, "port": PORT}, **share}}


def header(**values: str) -> Json:
    """A match of requests with these headers, whose names are written with underscores."""
    named = [{"name": key.replace("_", "-"), "value": value} for key, value in values.items()]
    return {"headers": named}


def route(*rules: Json, kind: str = "HTTPRoute", name: str = SERVICE, namespace: str = NAMESPACE, **spec: Any) -> Json:
    """A route of version v1 on the Service."""
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"parentRefs": [ON_SERVICE], "rules": list(rules), **spec},
    }


def http_route(*, canary_weight: int = 10) -> Json:
    """A header match pinned to the canary, a second rule that is none of our business, and the split."""
    set_header = {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "x-arm", "value": "stable"}]}}
    found = route(
        {"matches": [header(x_canary="always")], "backendRefs": [backend("web-v2")]},
        {"matches": [{"path": {"type": "PathPrefix", "value": "/reports"}}], "backendRefs": [backend("web-v1")]},
        {"backendRefs": [backend("web-v1", 100 - canary_weight, filters=[set_header]), backend("web-v2", canary_weight)]},
    )
    found["metadata"]["annotations"] = {"example.com/owner": "team-shop"}
    return found


def service(name: str, *, namespace: str = NAMESPACE, port: int = PORT, **selector: str) -> Json:
    ports = [{"name": "http", "port": port, "protocol": "TCP"}]
    spec = {"selector": selector, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def endpoint_slice(arm: str, number: int) -> Json:
    """The one pod behind an arm's own Service."""
    whole = istio_objects.endpoint_slice()
    metadata = {"name": f"{arm}-1", "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": arm}}
    return {**whole, "metadata": metadata, "endpoints": [whole["endpoints"][number - 1]]}


def grant(namespace: str, *, kind: str = "HTTPRoute", name: str | None = None) -> Json:
    """Routes of this namespace may name Services of the shop's."""
    to = {"group": "", "kind": "Service", **({} if name is None else {"name": name})}
    return {
        "apiVersion": f"{GROUP}/v1beta1",
        "kind": "ReferenceGrant",
        "metadata": {"name": f"from-{namespace}", "namespace": NAMESPACE},
        "spec": {"from": [{"group": GROUP, "kind": kind, "namespace": namespace}], "to": [to]},
    }
