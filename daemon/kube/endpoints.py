"""Who stands behind a Kubernetes service, as its EndpointSlices say: they are what proxies are fed from. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from daemon.kube.resources import Json

SERVICE_NAME = "kubernetes.io/service-name"
"""The label by which an EndpointSlice is its Service's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One address. ``pod`` is the name of the pod that has it; null: none, as behind a service without a selector."""

    pod: str | None
    ready: bool


def of_service(name: str) -> str:
    """By which labels the EndpointSlices of a Service are chosen."""
    return f"{SERVICE_NAME}={name}"


def endpoints(slices: Iterable[Json]) -> dict[str, Endpoint]:
    """Every address of these slices, ready or not; one may be in two slices for a moment, and is ready if either says so."""
    found: dict[str, Endpoint] = {}
    for piece in slices:
        for endpoint in piece.get("endpoints") or ():
            target = endpoint.get("targetRef") or {}
            pod = target.get("name") if target.get("kind") == "Pod" else None
            # A missing condition is to be taken for ready, as the API says.
            ready = (endpoint.get("conditions") or {}).get("ready") is not False
            for address in endpoint.get("addresses") or ():
                before = found.get(address)
                found[address] = Endpoint(pod=pod, ready=ready or (before is not None and before.ready))
    return found
