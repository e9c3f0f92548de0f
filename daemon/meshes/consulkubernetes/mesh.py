"""Consul on Kubernetes: what is written of it in the settings, what it may do on the API server, and its row."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from config.settings import KubeMesh
from daemon.discovery.picture import Picture
from daemon.errors import VerdictdError
from daemon.kube.resources import ENDPOINT_SLICES, Json, Resource
from daemon.kube.rights import TELLING, Right, finding, following, taking_back
from daemon.meshes.consul import forms
from daemon.meshes.consul.entries import DEFAULT, RESOURCES
from daemon.meshes.consul.mesh import FROM_PROXIES, NOTES
from daemon.meshes.consul.telemetry import SCHEMA
from daemon.meshes.envoy.controlplane import heard_of
from daemon.meshes.kind import MeshKind, Pictured, Router

if TYPE_CHECKING:
    from daemon.kube.client import KubeClient

_GROUP, _VERSION = "consul.hashicorp.com", "v1alpha1"


def _kind(plural: str, kind: str) -> Resource:
    return Resource(group=_GROUP, version=_VERSION, plural=plural, kind=kind, form=forms.RESOURCES[RESOURCES[kind]])


SERVICE_ROUTERS = _kind("servicerouters", "ServiceRouter")
SERVICE_SPLITTERS = _kind("servicesplitters", "ServiceSplitter")
SERVICE_RESOLVERS = _kind("serviceresolvers", "ServiceResolver")
ROUTES = (SERVICE_ROUTERS, SERVICE_SPLITTERS, SERVICE_RESOLVERS)


class ConsulKubernetesMesh(
    KubeMesh, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="consul-kubernetes", tag_field="kind"
):
    """Consul on Kubernetes (consul-k8s): its custom resources through the API server, from which config entries are made."""

    mirrored_namespaces: Annotated[
        bool, Meta(description="Consul Enterprise whose namespaces are Kubernetes' (mirroringK8S): arms are of the release's.")
    ] = False
    partition: Annotated[str, Meta(min_length=1, description="Consul Enterprise: the partition that the cluster is in.")] = DEFAULT


def _router(settings: ConsulKubernetesMesh, /, *, kube: "KubeClient", name: str) -> Router:
    del name  # no setting of a mesh can be wrong here
    from daemon.meshes.consulkubernetes.router import ConsulKubernetesRouter

    return ConsulKubernetesRouter(kube, mirrored=settings.mirrored_namespaces, partition=settings.partition)


def _picture(
    settings: ConsulKubernetesMesh, /, *, kind: Resource, item: Json, beside: Mapping[Resource, Sequence[Json] | VerdictdError]
) -> Picture:
    del kind, beside  # a splitter says all itself
    from daemon.meshes.consulkubernetes.picturing import picture

    return picture(settings, item)


_RIGHTS = (
    finding(*ROUTES),
    following(*ROUTES),
    Right(
        verbs=("list",),
        resources=(ENDPOINT_SLICES,),
        scopes=("watched",),
        purpose="whether anybody stands behind the baseline's Service",
        without="how many endpoints the baseline has is not known, and nothing is blocked for it",
    ),
    *TELLING,
    taking_back(*ROUTES),
)

CONSUL_KUBERNETES = MeshKind(
    settings=ConsulKubernetesMesh,
    router=_router,
    pictured=Pictured(routes=(SERVICE_SPLITTERS,), picture=_picture),
    telemetry=SCHEMA,
    rights=_RIGHTS,
    control_plane=heard_of("Consul"),
    routes=(
        "ServiceSplitter, ServiceRouter, ServiceResolver: splits, destinations, redirects, default subsets; failovers are named, "
        "and not touched"
    ),
    arms="`subset` of the service, or `service`, at those who ask",
    proven="kube-apiserver, with definitions of the same fields as consul-k8s'; what is made of them is Consul's, as for `consul`",
    from_proxies=FROM_PROXIES,
    from_records="connections",
    notes=NOTES,
)
