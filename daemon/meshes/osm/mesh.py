"""Open Service Mesh: its row. Its telemetry is read; its routes are not steered."""

from config.settings import Mesh
from daemon.meshes.kind import MeshKind
from daemon.meshes.osm.telemetry import SCHEMA


class OsmMesh(Mesh, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="osm", tag_field="kind"):
    """Open Service Mesh, observed only."""


OSM = MeshKind(
    settings=OsmMesh,
    telemetry=SCHEMA,
    arms="`workload` through Prometheus; or `service`: the cluster, as `shop/web-v2\\|8080`",
    proven="series in the form that its sidecars' filter writes (1.2), and Envoy with clusters of such names",
    notes=(
        (
            "Its sidecars' own pages have all labels inside of the metrics' names: by workload it is read through "
            "Prometheus, with OSM's own rules of relabelling."
        ),
        "A request that got no answer at all is not in its figures.",
        "gRPC statuses are not told.",
    ),
)
