"""The objects of a world of SMI: a service with a Service for each version, as the Gateway API's, and a TrafficSplit of it."""

from __future__ import annotations

from typing import Any

from tests.hand import gateway_objects
from tests.hand.istio_objects import NAMESPACE, SERVICE, Json

GROUP = "split.smi-spec.io"


def created() -> list[tuple[str, Json]]:
    """Collection and object of everything but the routes."""
    return [(collection, item) for collection, item in gateway_objects.created() if gateway_objects.GROUP not in collection]


def splits(version: str, *, namespace: str = NAMESPACE) -> str:
    """Their collection."""
    return f"/apis/{GROUP}/{version}/namespaces/{namespace}/trafficsplits"


def split(version: str, *backends: tuple[str, Any], name: str = SERVICE, namespace: str = NAMESPACE, **spec: Any) -> Json:
    """A split of what clients call, by Service and weight."""
    listed = [{"service": service, "weight": weight} for service, weight in backends]
    return {
        "apiVersion": f"{GROUP}/{version}",
        "kind": "TrafficSplit",
        "metadata": {"name": name, "namespace": namespace, "annotations": {"example.com/owner": "team-shop"}},
        "spec": {"service": SERVICE, "backends": listed, **spec},
    }
