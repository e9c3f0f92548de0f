"""Consul's service mesh: its row. Its telemetry is read; its routes are not steered."""

from config.settings import Mesh
from daemon.meshes.consul.telemetry import SCHEMA
from daemon.meshes.envoy.controlplane import heard_of
from daemon.meshes.envoy.mesh import CONNECTIONS_NOTE, GRPC_NOTE
from daemon.meshes.kind import MeshKind


class ConsulMesh(Mesh, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="consul", tag_field="kind"):
    """Consul's service mesh, observed only."""


CONSUL = MeshKind(
    settings=ConsulMesh,
    telemetry=SCHEMA,
    control_plane=heard_of("Consul"),
    arms="`subset` of the service, or `service`, at those who ask",
    proven="Consul and its Envoys",
    from_proxies=(
        "requests and latencies by service and subset: pages of Envoys that a Consul 1.14 has configured (a server that is "
        "optional); gRPC too: raw bins of an Envoy with clusters of such names"
    ),
    from_records="connections",
    notes=(
        GRPC_NOTE,
        CONNECTIONS_NOTE,
        "A split that no longer names a subset drops its counters at once; one of weight 0 keeps them.",
        "A denied intention is a 403 at who asks, and counts as served.",
    ),
)
