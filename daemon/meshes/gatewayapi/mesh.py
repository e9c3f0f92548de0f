"""The Gateway API: what is written of it in the settings, what it may do on the API server, and its row."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from config.settings import KubeMesh
from daemon.discovery.picture import Picture
from daemon.errors import VerdictdError
from daemon.kube.resources import ENDPOINT_SLICES, PODS, SERVICES, Json, Resource
from daemon.kube.rights import TELLING, WATCHING_PODS, Right, finding, following, taking_back
from daemon.meshes.gatewayapi.forms import ReferenceGrant, Route
from daemon.meshes.istio.controlplane import BUILD, CONTROL_PLANE
from daemon.meshes.istio.signs import ARM_SIGNS
from daemon.meshes.istio.telemetry import MENDS, SCHEMA
from daemon.meshes.kind import MeshKind, Pictured, Router

if TYPE_CHECKING:
    from daemon.kube.client import KubeClient

GROUP = "gateway.networking.k8s.io"

HTTP_ROUTES = Resource(group=GROUP, version="v1", plural="httproutes", kind="HTTPRoute", earlier=("v1beta1",), form=Route)
GRPC_ROUTES = Resource(
    group=GROUP, version="v1", plural="grpcroutes", kind="GRPCRoute", earlier=("v1alpha2",), optional=True, form=Route
)
TLS_ROUTES = Resource(
    group=GROUP, version="v1", plural="tlsroutes", kind="TLSRoute", earlier=("v1alpha3", "v1alpha2"), optional=True, form=Route
)
TCP_ROUTES = Resource(
    group=GROUP, version="v1", plural="tcproutes", kind="TCPRoute", earlier=("v1alpha2",), optional=True, form=Route
)
ROUTES = (HTTP_ROUTES, GRPC_ROUTES, TLS_ROUTES, TCP_ROUTES)
REFERENCE_GRANTS = Resource(
    group=GROUP,
    version="v1",
    plural="referencegrants",
    kind="ReferenceGrant",
    earlier=("v1beta1",),
    optional=True,
    form=ReferenceGrant,
)


class GatewayApiMesh(KubeMesh, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="gateway-api", tag_field="kind"):
    """The Gateway API: routes on Services (GAMMA) and on Gateways, through the API server."""


def _router(settings: GatewayApiMesh, /, *, kube: "KubeClient", name: str) -> Router:
    del settings, name  # none of its settings can be wrong here
    from daemon.meshes.gatewayapi.router import GatewayApiRouter

    return GatewayApiRouter(kube)


def _picture(
    settings: GatewayApiMesh, /, *, kind: Resource, item: Json, beside: Mapping[Resource, Sequence[Json] | VerdictdError]
) -> Picture:
    del settings, beside  # a route of this API says all itself
    from daemon.meshes.gatewayapi.picturing import picture

    return picture(kind, item)


READING_GRANTS = Right(
    verbs=("list",),
    resources=(REFERENCE_GRANTS,),
    scopes=("watched",),
    purpose="whether routes of other namespaces may name the baseline",
)
READING_SERVICES = (
    Right(
        verbs=("list",),
        resources=(ENDPOINT_SLICES, PODS),
        scopes=("watched",),
        purpose="who stands behind the baseline, and behind the canary",
    ),
    WATCHING_PODS,
    *TELLING,
    Right(
        verbs=("list",),
        resources=(SERVICES,),
        scopes=("watched",),
        purpose="by which labels the arms' pods are chosen, on which ports they are served, and by which other Services",
    ),
)
"""What a mesh whose arms are Services asks of them."""

_RIGHTS = (finding(*ROUTES), following(*ROUTES), READING_GRANTS, *READING_SERVICES, taking_back(*ROUTES))

GATEWAY_API = MeshKind(
    settings=GatewayApiMesh,
    router=_router,
    pictured=Pictured(routes=ROUTES, picture=_picture),
    telemetry=SCHEMA,
    rights=_RIGHTS,
    routes=(
        "HTTPRoute, GRPCRoute, TLSRoute, TCPRoute, on a Service (GAMMA) or a Gateway: weights, single backends, mirrors; "
        "what is no Service is named, and not touched"
    ),
    arms="`service`",
    build=BUILD,
    control_plane=CONTROL_PLANE,
    arm_signs=ARM_SIGNS,
    mends=MENDS,
    proven="kube-apiserver, istiod and Envoy (HTTPRoute on a Service and on a Gateway; GRPCRoute, TLSRoute, TCPRoute on a Gateway)",
)
