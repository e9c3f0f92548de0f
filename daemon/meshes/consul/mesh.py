"""Consul's service mesh, over its HTTP API: what is written of it in the settings, and its row."""

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from config.settings import BaseUrl
from daemon.meshes.consul.telemetry import SCHEMA
from daemon.meshes.envoy.controlplane import heard_of
from daemon.meshes.envoy.mesh import CONNECTIONS_NOTE, GRPC_NOTE
from daemon.meshes.httpmesh import HttpMesh
from daemon.meshes.kind import MeshKind, Router

if TYPE_CHECKING:
    from daemon.kube.client import KubeClient

_Named = Annotated[str, Meta(min_length=1)]


class ConsulMesh(HttpMesh, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="consul", tag_field="kind"):
    """Consul's service mesh anywhere (machines, Nomad): config entries over its HTTP API, written with check-and-set."""

    address: Annotated[BaseUrl, Meta(description="Base URL of an agent or a server, e.g. http://127.0.0.1:8500.")]
    datacenter: Annotated[
        _Named | None, Meta(description="Whose config entries are read and written; default the agent's own datacenter.")
    ] = None
    namespace: Annotated[
        _Named | None, Meta(description="Consul Enterprise: of the arms and of the entries that are read; default none is named.")
    ] = None
    partition: Annotated[
        _Named | None, Meta(description="Consul Enterprise: of the arms and of the entries that are read; default none is named.")
    ] = None


def _router(settings: ConsulMesh, /, *, kube: "KubeClient", name: str) -> Router:
    del kube  # there is no cluster
    from daemon.meshes.consul.router import ConsulRouter

    return ConsulRouter(settings, setting=f"meshes.{name}")


FROM_PROXIES = (
    "requests and latencies by service and subset: pages of Envoys that a Consul 1.14 has configured; "
    "gRPC too: raw bins of an Envoy with clusters of such names"
)
NOTES = (
    GRPC_NOTE,
    CONNECTIONS_NOTE,
    "A split that no longer names a subset drops its counters at once; one of weight 0 keeps them.",
    "`kind: sidecars` is refused: the pages of an arm's own pods tell what those ask of others.",
    "Name the proxies of those who ask (`kind: envoy`, port 19000), or have a Prometheus scrape all of them (19000 or 20200).",
    "A denied intention is a 403 at who asks, and counts as served.",
)

CONNECTIONS = 8
WATCHES = 3

CONSUL = MeshKind(
    settings=ConsulMesh,
    router=_router,
    telemetry=SCHEMA,
    connections=CONNECTIONS + WATCHES,
    control_plane=heard_of("Consul"),
    routes=(
        "config entries over HTTP: splits of service-splitter, destinations of service-router, redirects and default subsets of "
        "service-resolver; failovers are named, and not touched; an entry of consul-k8s is refused"
    ),
    arms="`subset` of the service, or `service`, at those who ask",
    proven="Consul 1.14, its sidecars and their traffic",
    from_proxies=FROM_PROXIES,
    from_records="connections",
    notes=NOTES,
)
