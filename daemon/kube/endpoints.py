"""How many ready endpoints a Kubernetes service has, as its EndpointSlices say; pods count where a part of them is meant.

EndpointSlices are what proxies are fed from: a pod may call itself ready before it is in one.
"""

from collections.abc import Iterable, Mapping

from daemon.errors import NotFound
from daemon.kube.client import KubeClient
from daemon.kube.resources import ENDPOINT_SLICES, PODS, SERVICES, Json, selector


async def ready_endpoints(kube: KubeClient, *, service: str, namespace: str, labels: Mapping[str, str]) -> int | None:
    """Ready endpoints of the service, of those pods only that carry the labels (none given: all).

    Returns:
        The number, or null when Kubernetes does not know: there is no such service, or it has no pods of its own.
    """
    listing = await kube.list(ENDPOINT_SLICES, namespace=namespace, labels=f"kubernetes.io/service-name={service}")
    if not listing.items:
        return await _without_slices(kube, service=service, namespace=namespace)
    ready = _ready(listing.items)
    if not labels:
        return len(ready)
    if any(pod is None for pod in ready.values()):
        return None
    pods = await kube.list(PODS, namespace=namespace, labels=selector(labels))
    names = {pod.get("metadata", {}).get("name") for pod in pods.items}
    return sum(pod in names for pod in ready.values())


async def _without_slices(kube: KubeClient, *, service: str, namespace: str) -> int | None:
    """No slice: nobody is ready, if the service is one that selects pods."""
    try:
        found = await kube.get(SERVICES, namespace=namespace, name=service)
    except NotFound:
        return None
    return 0 if found.get("spec", {}).get("selector") else None


def _ready(slices: Iterable[Json]) -> dict[str, str | None]:
    """Address to pod name (null: no pod) of every ready endpoint; an endpoint may be in two slices for a moment."""
    found: dict[str, str | None] = {}
    for piece in slices:
        for endpoint in piece.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is not False:
                target = endpoint.get("targetRef") or {}
                pod = target.get("name") if target.get("kind") == "Pod" else None
                found.update(dict.fromkeys(endpoint.get("addresses") or (), pod))
    return found
