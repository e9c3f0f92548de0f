"""The mesh of one Envoy: what is written of it in the settings, and its row."""

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from config.settings import BaseUrl, FileName, Mesh
from daemon.meshes.envoy.signs import ARM_SIGNS
from daemon.meshes.envoy.telemetry import SCHEMA
from daemon.meshes.kind import MeshKind, Router

if TYPE_CHECKING:
    from daemon.kube.client import KubeClient


class EnvoyMesh(Mesh, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="envoy", tag_field="kind"):
    """A mesh of one Envoy whose routes come from a file (RDS); weights are changed by atomic rename."""

    routes_file: Annotated[FileName, Meta(description="The RDS file that Envoy watches.")]
    admin: Annotated[BaseUrl, Meta(description="Base URL of the admin endpoint, where a revert is confirmed.")]


def _router(settings: EnvoyMesh, /, *, kube: "KubeClient", name: str) -> Router:
    del kube  # there is no cluster
    from daemon.meshes.envoy.router import EnvoyRouter

    return EnvoyRouter(routes_file=settings.routes_file, admin=settings.admin, name=name)


GRPC_NOTE = (
    "Calls of gRPC that fail under HTTP 200 are seen where Envoy has its filter `envoy.filters.http.grpc_stats`; "
    "else they count as served."
)
CONNECTIONS_NOTE = (
    "A connection counts as failed when it was refused or timed out, or had nobody to go to; Envoy does not tell "
    "one that was broken off later."
)

ENVOY = MeshKind(
    settings=EnvoyMesh,
    router=_router,
    telemetry=SCHEMA,
    arm_signs=ARM_SIGNS,
    connections=8,
    routes="the routes file of one Envoy (RDS), in YAML or JSON",
    arms="`service`: the cluster",
    proven="Envoy",
    from_proxies="requests, latencies as text and as raw bins, gRPC, connections: pages of an Envoy, and a Prometheus",
    notes=(
        GRPC_NOTE,
        (
            "Where one cluster has calls and other requests, the smaller sum of failures is counted: its own answers to "
            "calls are in both."
        ),
        CONNECTIONS_NOTE,
        "Its latencies do not tell websockets from other requests: give those a cluster of their own.",
    ),
)
