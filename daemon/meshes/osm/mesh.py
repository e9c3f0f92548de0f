"""Open Service Mesh: what is written of it in the settings, what it may do on the API server, and its row."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from config.settings import KubeMesh
from daemon.discovery.picture import Picture
from daemon.errors import VerdictdError
from daemon.kube.resources import Json, Resource
from daemon.kube.rights import finding, following, taking_back
from daemon.meshes.envoy.controlplane import heard_of
from daemon.meshes.gatewayapi.mesh import READING_SERVICES
from daemon.meshes.kind import MeshKind, Pictured, Router
from daemon.meshes.osm.telemetry import SCHEMA
from daemon.meshes.smi.trafficsplit import TRAFFIC_SPLITS

if TYPE_CHECKING:
    from daemon.kube.client import KubeClient


class OsmMesh(KubeMesh, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="osm", tag_field="kind"):
    """Open Service Mesh: TrafficSplits through the API server."""


def _router(settings: OsmMesh, /, *, kube: "KubeClient", name: str) -> Router:
    del settings, name  # none of its settings can be wrong here
    from daemon.meshes.osm.arms import named
    from daemon.meshes.smi.router import TrafficSplitRouter

    return TrafficSplitRouter(kube, named=named)


def _picture(
    settings: OsmMesh, /, *, kind: Resource, item: Json, beside: Mapping[Resource, Sequence[Json] | VerdictdError]
) -> Picture:
    del settings, beside  # a split says all itself
    from daemon.kube.forms import require_all
    from daemon.meshes.smi.picturing import picture
    from daemon.meshes.smi.trafficsplit import read

    require_all(kind, [item])
    return picture(read(item))


OSM = MeshKind(
    settings=OsmMesh,
    router=_router,
    pictured=Pictured(routes=(TRAFFIC_SPLITS,), picture=_picture),
    telemetry=SCHEMA,
    rights=(finding(TRAFFIC_SPLITS), following(TRAFFIC_SPLITS), *READING_SERVICES, taking_back(TRAFFIC_SPLITS)),
    control_plane=heard_of("OSM's controller"),
    routes="TrafficSplits of SMI, v1alpha1 to v1alpha4: weights, single backends; whole weights only",
    arms=(
        "`service`, for its telemetry `workload` beside it, through Prometheus; or `service` as the cluster, "
        "`shop/web-v2\\|8080`, for both"
    ),
    proven="kube-apiserver with its definitions; Envoy with clusters of such names",
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
