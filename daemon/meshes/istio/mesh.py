"""Istio: what is written of it in the settings, what it may do on the API server, and its row."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from config.settings import KubeMesh
from daemon.discovery.picture import Picture
from daemon.errors import VerdictdError
from daemon.kube.forms import Form
from daemon.kube.resources import ENDPOINT_SLICES, PODS, SERVICES, Json, Resource
from daemon.kube.rights import TELLING, WATCHING_PODS, Right, finding, following, taking_back
from daemon.meshes.gatewayapi.mesh import ROUTES
from daemon.meshes.istio.controlplane import BUILD, CONTROL_PLANE
from daemon.meshes.istio.forms import DestinationRule, ServiceEntry, VirtualService, WorkloadEntry
from daemon.meshes.istio.signs import ARM_SIGNS
from daemon.meshes.istio.telemetry import MENDS, SCHEMA
from daemon.meshes.kind import MeshKind, Pictured, Router

if TYPE_CHECKING:
    from daemon.kube.client import KubeClient

_GROUP, _VERSION = "networking.istio.io", "v1"

_EARLIER = ("v1beta1", "v1alpha3")
"""Before Istio 1.22, in the same words."""


def _kind(plural: str, form: type[Form]) -> Resource:
    return Resource(group=_GROUP, version=_VERSION, plural=plural, kind=form.__name__, earlier=_EARLIER, form=form)


VIRTUAL_SERVICES = _kind("virtualservices", VirtualService)
DESTINATION_RULES = _kind("destinationrules", DestinationRule)
WORKLOAD_ENTRIES = _kind("workloadentries", WorkloadEntry)
SERVICE_ENTRIES = _kind("serviceentries", ServiceEntry)


class IstioMesh(KubeMesh, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="istio", tag_field="kind"):
    """Istio: VirtualServices, and the Gateway API's routes beside them, through the API server."""

    root_namespace: Annotated[
        str,
        Meta(min_length=1, description="The mesh's root namespace, where DestinationRules for all clients are looked for last."),
    ] = "istio-system"
    multi_cluster: Annotated[
        bool,
        Meta(description="Whether arms may have pods in other clusters of the mesh: nobody here then never blocks a revert."),
    ] = False


def _router(settings: IstioMesh, /, *, kube: "KubeClient", name: str) -> Router:
    del name  # no setting of a mesh can be wrong here
    from daemon.meshes.istio.router import IstioRouter

    return IstioRouter(kube, root_namespace=settings.root_namespace, multi_cluster=settings.multi_cluster)


def _picture(
    settings: IstioMesh, /, *, kind: Resource, item: Json, beside: Mapping[Resource, Sequence[Json] | VerdictdError]
) -> Picture:
    from daemon.meshes.gatewayapi import picturing as gatewayapi
    from daemon.meshes.istio import picturing

    if kind != VIRTUAL_SERVICES:
        return gatewayapi.picture(kind, item)
    return picturing.picture(item, rules=beside.get(DESTINATION_RULES, ()), root=settings.root_namespace)


BESIDE = tuple(replace(kind, optional=True) for kind in ROUTES)
"""The Gateway API's routes, which a cluster of Istio's need not have."""

_RIGHTS = (
    finding(VIRTUAL_SERVICES),
    following(VIRTUAL_SERVICES),
    Right(
        verbs=("list",),
        resources=(DESTINATION_RULES,),
        scopes=("everywhere", "watched"),
        purpose="what the subsets mean",
    ),
    Right(
        verbs=("list",),
        resources=(SERVICE_ENTRIES,),
        scopes=("everywhere",),
        purpose="which hosts another registry serves",
    ),
    Right(
        verbs=("list",),
        resources=(ENDPOINT_SLICES, PODS, WORKLOAD_ENTRIES),
        scopes=("watched",),
        purpose="who stands behind the baseline, and behind the canary",
    ),
    WATCHING_PODS,
    *TELLING,
    Right(
        verbs=("get", "list"),
        resources=(SERVICES,),
        scopes=("watched",),
        purpose="by which labels the arms' pods are chosen, and whether another Service chooses them too",
    ),
    taking_back(VIRTUAL_SERVICES),
    Right(
        verbs=("get", "list", "watch"),
        resources=BESIDE,
        scopes=("everywhere",),
        purpose="find the Gateway API's routes to the canary, which istiod honours beside VirtualServices",
        without="the Gateway API's routes are not looked at, and each placement and revert says so",
    ),
    Right(
        verbs=("patch",),
        resources=BESIDE,
        scopes=("enforced",),
        purpose="take the traffic back in them too, where both arms are Services",
        without="a revert fails where one of the Gateway API's routes sends to the canary",
    ),
)

ISTIO = MeshKind(
    settings=IstioMesh,
    router=_router,
    pictured=Pictured(routes=(VIRTUAL_SERVICES, *BESIDE), beside=(DESTINATION_RULES,), picture=_picture),
    telemetry=SCHEMA,
    rights=_RIGHTS,
    routes=(
        "VirtualServices: weights, single destinations, mirrors; HTTP, TCP and TLS; delegates; other names of the canary's pods; "
        "the Gateway API's routes beside them, where both arms are Services; what is not moved is named"
    ),
    arms="`subset` or `service`; or `version` or `labels`, by DestinationRules",
    build=BUILD,
    control_plane=CONTROL_PLANE,
    arm_signs=ARM_SIGNS,
    mends=MENDS,
    proven="kube-apiserver, istiod and Envoy",
    from_proxies="denials and ages: an Envoy with a policy filter, under the names of Istio's bootstrap",
    from_records=(
        "requests, latencies and connections of sidecars, gateways and waypoints, as these write them since 1.20: its own proxy is "
        "not run; a Prometheus is"
    ),
    notes=(
        "Ambient: the waypoint counts requests (`reporter: waypoint`); without one there are only ztunnel's connections.",
        "A gateway counts for pods without sidecars (`reporter: gateway`).",
        "A connection counts as failed by its response flags: UF, UH, UO, UC, URX, NC.",
        "Websockets (101) are left out of latency; of gRPC, what `streams` names by a label that only streams have.",
        (
            "Native histograms are read where Prometheus keeps them, in quarters of a doubling from 1 ms to 46 s, or in the "
            "bounds that somebody chose."
        ),
    ),
)
