"""Envoy Gateway: its row. Its telemetry is read; its routes are not steered."""

from config.settings import Mesh
from daemon.meshes.envoy.controlplane import heard_of
from daemon.meshes.envoy.signs import ARM_SIGNS
from daemon.meshes.envoygateway.telemetry import SCHEMA
from daemon.meshes.kind import MeshKind


class EnvoyGatewayMesh(Mesh, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="envoy-gateway", tag_field="kind"):
    """Envoy Gateway, observed only."""


ENVOY_GATEWAY = MeshKind(
    settings=EnvoyGatewayMesh,
    telemetry=SCHEMA,
    control_plane=heard_of("Envoy Gateway"),
    arm_signs=ARM_SIGNS,
    arms="`service`: the cluster, as `httproute/shop/web/rule/0/backend/1`; a rule's backends must have clusters of their own",
    proven="Envoy with clusters of such names",
    from_proxies="requests and gRPC: pages and raw bins of an Envoy whose clusters have the names that it gives them",
    from_records="connections",
    notes=(
        "The same as a plain Envoy's.",
        "Arms whose backends share a cluster, as those of one rule may, cannot be told apart.",
    ),
)
