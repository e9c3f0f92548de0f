"""Linkerd: what is written of it in the settings, what it may do on the API server, and its row."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from config.settings import KubeMesh
from daemon.discovery.picture import Picture
from daemon.errors import VerdictdError
from daemon.kube.resources import Json, Resource
from daemon.kube.rights import finding, following, taking_back
from daemon.meshes.gatewayapi.mesh import READING_GRANTS, READING_SERVICES
from daemon.meshes.kind import MeshKind, Pictured, Router
from daemon.meshes.linkerd.controlplane import CONTROL_PLANE
from daemon.meshes.linkerd.kinds import STEERING
from daemon.meshes.linkerd.telemetry import SCHEMA

if TYPE_CHECKING:
    from daemon.kube.client import KubeClient


class LinkerdMesh(KubeMesh, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="linkerd", tag_field="kind"):
    """Linkerd: HTTPRoutes, ServiceProfiles and TrafficSplits through the API server."""


def _router(settings: LinkerdMesh, /, *, kube: "KubeClient", name: str) -> Router:
    del settings, name  # none of its settings can be wrong here
    from daemon.meshes.linkerd.router import LinkerdRouter

    return LinkerdRouter(kube)


def _picture(
    settings: LinkerdMesh, /, *, kind: Resource, item: Json, beside: Mapping[Resource, Sequence[Json] | VerdictdError]
) -> Picture:
    del settings, beside  # each of its kinds says all itself
    from daemon.meshes.linkerd.picturing import picture

    return picture(kind, item)


LINKERD = MeshKind(
    settings=LinkerdMesh,
    router=_router,
    pictured=Pictured(routes=STEERING, picture=_picture),
    telemetry=SCHEMA,
    rights=(finding(*STEERING), following(*STEERING), READING_GRANTS, *READING_SERVICES, taking_back(*STEERING)),
    routes=(
        "HTTPRoute of the Gateway API and of `policy.linkerd.io`, GRPCRoute, TLSRoute, TCPRoute; `dstOverrides` of "
        "ServiceProfiles; TrafficSplits of SMI; routes of a Server are left out"
    ),
    control_plane=CONTROL_PLANE,
    arms=(
        "`service`, which is enough for telemetry at those who ask; at the pods `workload`, `version` or `labels` beside it, "
        "where Prometheus copies pods' labels"
    ),
    proven="kube-apiserver with its definitions (HTTPRoute, ServiceProfile, TrafficSplit); no proxy that runs",
    from_records="requests, latencies, denials, ages and connections, inbound and outbound: pages as its proxy wrote them in 2025",
    notes=(
        (
            "At the pods that serve, the labels by which arms are known are those that Prometheus copies from pods, as "
            "Linkerd's own configuration has it do."
        ),
        "The page of a proxy is `http://POD:4191/metrics`; a policy of default-deny must allow whoever scrapes it.",
        "That page does not say whose it is: `kind: sidecars` knows, and counts pod by pod; a Prometheus adds the pods' labels.",
        "Requests to the proxy's own port, and probes, are left out; requests that policy denies are known at the pods.",
        "A series that was idle for 10 minutes is dropped by the proxy and begins anew.",
    ),
)
