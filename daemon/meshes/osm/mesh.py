"""Open Service Mesh: its row. Its telemetry is read; its routes are not steered."""

from config.settings import Mesh
from daemon.meshes.envoy.controlplane import heard_of
from daemon.meshes.kind import MeshKind
from daemon.meshes.osm.telemetry import SCHEMA


class OsmMesh(Mesh, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="osm", tag_field="kind"):
    """Open Service Mesh, observed only."""


OSM = MeshKind(
    settings=OsmMesh,
    telemetry=SCHEMA,
    control_plane=heard_of("OSM's controller"),
    arms="`workload` through Prometheus; or `service`: the cluster, as `shop/web-v2\\|8080`",
    proven="Envoy with clusters of such names",
    from_proxies="requests and gRPC by cluster: pages and raw bins of an Envoy whose clusters have the names that it gives them",
    from_records="requests and latencies by workload, in the form that its sidecars' filter writes (1.2); connections",
    notes=(
        (
            "Its sidecars' own pages have all labels inside of the metrics' names: by workload it is read through "
            "Prometheus, with OSM's own rules of relabelling."
        ),
        "A request that got no answer at all is not in its figures.",
        "gRPC statuses are not told.",
    ),
)
