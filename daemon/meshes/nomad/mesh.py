"""Nomad's deployments with canaries: what is written of it in the settings, and its row."""

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from config.settings import BaseUrl
from daemon.meshes.envoy.signs import ARM_SIGNS
from daemon.meshes.envoy.telemetry import SCHEMA
from daemon.meshes.httpmesh import HttpMesh
from daemon.meshes.kind import MeshKind, Router

if TYPE_CHECKING:
    from daemon.kube.client import KubeClient

_Named = Annotated[str, Meta(min_length=1)]


class NomadMesh(HttpMesh, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="nomad", tag_field="kind"):
    """Nomad's deployments with canaries, whose share is that of their allocations: failed over its HTTP API."""

    address: Annotated[BaseUrl, Meta(description="Base URL of an agent, e.g. http://127.0.0.1:4646.")]
    region: Annotated[_Named | None, Meta(description="Whose jobs; default the agent's own region.")] = None
    namespace: Annotated[_Named | None, Meta(description="Nomad's, of the jobs; default none is named.")] = None


def _router(settings: NomadMesh, /, *, kube: "KubeClient", name: str) -> Router:
    del kube  # there is no cluster
    from daemon.meshes.nomad.router import NomadRouter

    return NomadRouter(settings, setting=f"meshes.{name}")


CONNECTIONS = 8
NOTES = ("Nomad counts no requests: a gateway that has the canary's instances (`canary_tags`) in a cluster of their own does.",)

NOMAD = MeshKind(
    settings=NomadMesh,
    router=_router,
    telemetry=SCHEMA,
    arm_signs=ARM_SIGNS,
    connections=CONNECTIONS,
    routes=(
        "a job's deployment with canaries, over HTTP: it is failed, and the job put back to its last stable version; one that has "
        "been promoted is refused"
    ),
    arms="`workload`: the job; what counts requests tells its arms by `service`: the cluster",
    proven="a stub, by what an agent of 1.6.1 was seen to answer and its documented API; no Nomad is built here, for its licence",
    notes=NOTES,
)
