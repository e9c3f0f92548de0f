"""What a cluster has, from its objects: pictures by the meshes' own readers, owners by theirs, and what stands behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from daemon.delivery.owners import kinds as owner_kinds
from daemon.discovery.picture import Picture
from daemon.discovery.surroundings import Surroundings, selectors, workload
from daemon.meshes.istio.mesh import ISTIO, IstioMesh

Json = dict[str, Any]

_MESH = IstioMesh(telemetry="")
_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")


def surroundings(objects: Sequence[Json]) -> Surroundings:
    """What stands behind destinations."""
    owning = {kind.owning.resource.kind: kind.owning.read for kind in owner_kinds().values() if kind.owning is not None}
    return Surroundings(
        services=selectors(one for one in objects if one["kind"] == "Service"),
        workloads=tuple(workload(one, kind=one["kind"]) for one in objects if one["kind"] in _WORKLOADS),
        owned=tuple(owning[one["kind"]](one) for one in objects if one["kind"] in owning),
    )


def pictures(objects: Sequence[Json], *, rules: Sequence[Json] = ()) -> tuple[Picture, ...]:
    """Every route as discovery looks at it. ``rules``: further DestinationRules."""
    pictured = ISTIO.pictured
    assert pictured is not None
    (rule,) = pictured.beside
    beside = {rule: [one for one in (*objects, *rules) if one["kind"] == rule.kind]}
    found = ((kind, one) for one in objects for kind in pictured.routes if one["kind"] == kind.kind)
    return tuple(pictured.picture(_MESH, kind=kind, item=one, beside=beside) for kind, one in found)
