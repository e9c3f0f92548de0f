"""The objects of a world of Linkerd: routes of its own group, and profiles, for the Services of ``split_objects``."""

from __future__ import annotations

from typing import Any

from tests.hand.istio_objects import NAMESPACE, PORT, SERVICE, Json

ON_SERVICE: Json = {"group": "core", "kind": "Service", "name": SERVICE, "port": PORT}
ON_SERVER: Json = {"group": "policy.linkerd.io", "kind": "Server", "name": "web-http"}
PROFILE = f"{SERVICE}.{NAMESPACE}.svc.cluster.local"


def policy_routes(version: str, *, namespace: str = NAMESPACE) -> str:
    """The collection of Linkerd's own HTTPRoutes."""
    return f"/apis/policy.linkerd.io/{version}/namespaces/{namespace}/httproutes"


def policy_route(version: str, *rules: Json, name: str = SERVICE, namespace: str = NAMESPACE, parent: Json = ON_SERVICE) -> Json:
    """One of them."""
    return {
        "apiVersion": f"policy.linkerd.io/{version}",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"parentRefs": [parent], "rules": list(rules)},
    }


def profiles(*, namespace: str = NAMESPACE) -> str:
    """The collection of ServiceProfiles."""
    return f"/apis/linkerd.io/v1alpha2/namespaces/{namespace}/serviceprofiles"


def profile(*destinations: tuple[str, Any], namespace: str = NAMESPACE, skip: bool = False) -> Json:
    """Of what clients call: by Service and weight. ``skip``: written by hand, and left alone by linkerd-smi."""
    suffix = f"{namespace}.svc.cluster.local"
    listed = [{"authority": f"{service}.{suffix}", "weight": weight} for service, weight in destinations]
    route = {"name": "GET /reports", "condition": {"method": "GET", "pathRegex": "/reports"}, "isRetryable": True}
    metadata = {"name": f"{SERVICE}.{suffix}", "namespace": namespace}
    return {
        "apiVersion": "linkerd.io/v1alpha2",
        "kind": "ServiceProfile",
        "metadata": {**metadata, "annotations": {"smi.linkerd.io/skip": "true"}} if skip else metadata,
        "spec": {"routes": [route], "dstOverrides": listed},
    }
