"""What a cluster has, from its objects: pictures by the meshes' own readers, owners by theirs, and what stands behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from daemon.delivery import flaggerarms, rolloutarms
from daemon.discovery.picture import Picture
from daemon.discovery.surroundings import Surroundings, selectors, workload
from daemon.meshes.gatewayapi import picturing as gateway_api
from daemon.meshes.gatewayapi.mesh import ROUTES
from daemon.meshes.istio import picturing as istio

Json = dict[str, Any]
ROOT = "istio-system"

_OWNERS = {"Canary": flaggerarms.owned, "Rollout": rolloutarms.owned}
_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
_GATEWAY_ROUTES = {kind.kind: kind for kind in ROUTES}


def surroundings(objects: Sequence[Json]) -> Surroundings:
    """What stands behind destinations."""
    return Surroundings(
        services=selectors(one for one in objects if one["kind"] == "Service"),
        workloads=tuple(workload(one, kind=one["kind"]) for one in objects if one["kind"] in _WORKLOADS),
        owned=tuple(_OWNERS[one["kind"]](one) for one in objects if one["kind"] in _OWNERS),
    )


def pictures(objects: Sequence[Json], *, rules: Sequence[Json] = ()) -> tuple[Picture, ...]:
    """Every route as discovery looks at it. ``rules``: further DestinationRules."""
    by_namespace: dict[str, list[Json]] = {}
    for one in (*objects, *rules):
        if one["kind"] == "DestinationRule":
            by_namespace.setdefault(one["metadata"]["namespace"], []).append(one)
    found = []
    for one in objects:
        if one["kind"] == "VirtualService":
            found.append(istio.picture(one, rules=by_namespace, root=ROOT))
        elif one["kind"] in _GATEWAY_ROUTES:
            found.append(gateway_api.picture(_GATEWAY_ROUTES[one["kind"]], one))
    return tuple(found)
