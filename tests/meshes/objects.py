"""Kubernetes and Istio objects as the API server lists them, as short as the routers read them."""

from __future__ import annotations

from typing import Any

from daemon.kube.resources import ENDPOINT_SLICES, PODS, SERVICES, Resource
from daemon.meshes.istio.mesh import DESTINATION_RULES, SERVICE_ENTRIES, VIRTUAL_SERVICES, WORKLOAD_ENTRIES

Json = dict[str, Any]
Item = tuple[Resource, Json]


def meta(name: str, namespace: str, **labels: str) -> Json:
    return {"name": name, "namespace": namespace, "labels": labels}


def to(host: str, subset: str | None = None, weight: int | None = None) -> Json:
    """One destination of a route."""
    named = {"host": host, **({} if subset is None else {"subset": subset})}
    return {"destination": named, **({} if weight is None else {"weight": weight})}


def virtual_service(*targets: Json, name: str = "web", namespace: str = "shop", **spec: Any) -> Item:
    """One route over these targets."""
    return VIRTUAL_SERVICES, {
        "metadata": meta(name, namespace),
        "spec": {"hosts": ["web"], "http": [{"route": list(targets)}], **spec},
    }


def rule(
    subsets: dict[str, Json], *, host: str = "web.shop.svc.cluster.local", name: str = "web", namespace: str = "shop", **spec: Any
) -> Item:
    """A DestinationRule: labels by subset."""
    listed = [{"name": subset, "labels": labels} for subset, labels in subsets.items()]
    return DESTINATION_RULES, {"metadata": meta(name, namespace), "spec": {"host": host, "subsets": listed, **spec}}


def versions(*names: str, **more: Any) -> Item:
    """A rule whose subsets are named as the versions they choose."""
    return rule({name: {"version": name} for name in names}, **more)


def service(name: str, *, namespace: str = "shop", **selector: str) -> Item:
    return SERVICES, {"metadata": meta(name, namespace), "spec": {"selector": selector}}


def service_entry(*hosts: str, name: str = "outside", namespace: str = "shop") -> Item:
    return SERVICE_ENTRIES, {"metadata": meta(name, namespace), "spec": {"hosts": list(hosts)}}


def machine(name: str, *, namespace: str = "shop", **labels: str) -> Item:
    """A WorkloadEntry."""
    return WORKLOAD_ENTRIES, {"metadata": meta(name, namespace), "spec": {"address": "10.8.0.1", "labels": labels}}


def pod(name: str, *, namespace: str = "shop", **labels: str) -> Item:
    return PODS, {"metadata": meta(name, namespace, **labels)}


def behind(service_name: str, *pods: str, unready: tuple[str, ...] = (), namespace: str = "shop") -> Item:
    """An EndpointSlice; each pod has an address made from its name."""
    labels = {"kubernetes.io/service-name": service_name}
    endpoints = [
        {
            "addresses": [f"10.0.{sum(name.encode()) // 256}.{sum(name.encode()) % 256}"],
            "conditions": {"ready": name not in unready},
            "targetRef": {"kind": "Pod", "name": name},
        }
        for name in (*pods, *unready)
    ]
    metadata = {"name": f"{service_name}-1", "namespace": namespace, "labels": labels}
    return ENDPOINT_SLICES, {"metadata": metadata, "endpoints": endpoints}


def two_versions() -> list[Item]:
    """One ready pod of each version behind one service, without a rule."""
    return [pod("a", app="web", version="v1"), pod("b", app="web", version="v2"), behind("web", "a", "b")]
