"""The meshes that there are: a row for each. A new one is a folder beside this module and a row here.

A package that is installed beside ours can add one without a change here: an entry point of the group ``verdictd.meshes``
that names its ``MeshKind``. A broken one is refused at once, since a mesh that is missing in silence would be missed at 3 a.m.
"""

import functools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from msgspec import structs

from config.errors import ConfigError, Fault
from config.settings import Mesh
from daemon.kube.resources import PODS, Resource
from daemon.meshes.consul.mesh import CONSUL
from daemon.meshes.consulkubernetes.mesh import CONSUL_KUBERNETES
from daemon.meshes.envoy.mesh import ENVOY
from daemon.meshes.envoygateway.mesh import ENVOY_GATEWAY
from daemon.meshes.gatewayapi.mesh import GATEWAY_API
from daemon.meshes.istio.mesh import ISTIO
from daemon.meshes.kind import MeshKind, Router
from daemon.meshes.linkerd.mesh import LINKERD
from daemon.meshes.nomad.mesh import NOMAD
from daemon.meshes.osm.mesh import OSM
from daemon.meshes.unsteered import UnsteeredRouter, unsteered
from daemon.packages import Rows, with_installed
from daemon.telemetry.schema import Schema

if TYPE_CHECKING:
    from daemon.kube.client import KubeClient

GROUP = "verdictd.meshes"

BUILT_IN: tuple[MeshKind, ...] = (CONSUL, CONSUL_KUBERNETES, ENVOY, ENVOY_GATEWAY, GATEWAY_API, ISTIO, LINKERD, NOMAD, OSM)


@functools.cache
def kinds() -> Rows[MeshKind]:
    """Every kind by its name: ours, then those of other packages in the order of their entry points' names.

    Raises:
        ConfigError: an entry point cannot be loaded, gives no ``MeshKind``, or one whose name, or whose telemetry's, is taken.
    """
    found = with_installed(BUILT_IN, group=GROUP, row=MeshKind, what="a mesh of the kind")
    if wrong := list(_confused(found)):
        raise ConfigError(wrong, source="installed packages")
    return found


def _confused(found: Rows[MeshKind]) -> Iterator[Fault]:
    """Kinds whose telemetry has the name of another kind's, and is not the same: settings could not tell them apart."""
    first: dict[str, MeshKind] = {}
    for kind in found.values():
        other = first.setdefault(kind.telemetry.name, kind)
        if other.telemetry != kind.telemetry:
            whose, others = found.package(kind.name), found.package(other.name)
            message = f"the telemetry of the kind {kind.name} of {whose} is called {kind.telemetry.name}, as another of {others} is"
            yield Fault(path=f"{GROUP}.{kind.name}", message=message, fix=f"mend or remove {whose}")


def kind_of(mesh: Mesh) -> MeshKind:
    """The kind that these settings are of."""
    return kinds()[str(mesh.__struct_config__.tag)]


def kind_read(mesh: Mesh, *, dialect: str) -> MeshKind:
    """The kind whose telemetry a mesh is read by: its own, or the first that has this dialect where that is another's.

    Its routes may be another kind's than its proxies: those of the Gateway API are Istio's, Envoy Gateway's or Linkerd's.
    """
    own = kind_of(mesh)
    there = (one for one in kinds().values() if one.telemetry.name == dialect)
    return own if own.telemetry.name == dialect else next(there, own)


def router_for(mesh: Mesh, *, kube: "KubeClient", name: str = "NAME") -> Router:
    """The router of one configured mesh, by its name in the settings. ``kube`` connects only when a mesh that needs it is used."""
    kind = kind_of(mesh)
    return UnsteeredRouter(kind=kind.name) if kind.router is None else kind.router(mesh, kube=kube, name=name)


def why_observed_only(mesh: Mesh) -> str:
    """Why nothing of this mesh can be taken back; empty where it can."""
    kind = kind_of(mesh)
    return "" if kind.router is not None else unsteered(kind.name)


def written(mesh: Mesh) -> tuple[Resource, ...]:
    """The kinds of objects of an API server in which its traffic is taken back."""
    patched = (resource for right in kind_of(mesh).rights if "patch" in right.verbs for resource in right.resources)
    return tuple(dict.fromkeys(patched))


def knows_pods(mesh: Mesh) -> bool:
    """Whether it may list the pods that serve its requests."""
    return any("list" in right.verbs and PODS in right.resources for right in kind_of(mesh).rights)


def need_kubernetes(meshes: Iterable[Mesh]) -> bool:
    """Whether one of them talks to the API server: credentials are then read at the start, not at the first revert."""
    return any(kind_of(mesh).needs_kubernetes for mesh in meshes)


def schemas() -> dict[str, Schema]:
    """The schemas of telemetry by their names, which settings use (``dialect``); those of several kinds once."""
    return {kind.telemetry.name: kind.telemetry for kind in kinds().values()}


def bare() -> dict[str, Mesh]:
    """By the kind's name, the meshes that need no settings but the cluster's credentials. Their telemetry has no name."""
    return {
        name: kind.settings(telemetry="")
        for name, kind in kinds().items()
        if kind.needs_kubernetes and set(_required(kind)) <= {"telemetry"}
    }


def _required(kind: MeshKind) -> Iterable[str]:
    return (field.name for field in structs.fields(kind.settings) if field.required)
