"""The table of meshes: which router serves which kind of settings. A new mesh is a module beside this one and a line here."""

from typing import Protocol, assert_never

from config.settings import EnvoyMesh, IstioMesh, Mesh
from daemon.kube.client import KubeClient
from daemon.meshes.envoy import EnvoyRouter
from daemon.meshes.istio import IstioRouter
from daemon.ports import TrafficRouter


class Router(TrafficRouter, Protocol):
    """A router with connections of its own: close it in the event loop that it was used in."""

    async def close(self) -> None:
        """Close the connections; the Kubernetes client is not among them."""
        ...


def router_for(mesh: Mesh, *, kube: KubeClient, name: str = "NAME") -> Router:
    """The router of one configured mesh, by its name in the settings. ``kube`` connects only when a mesh that needs it is used."""
    match mesh:
        case EnvoyMesh():
            return EnvoyRouter(routes_file=mesh.routes_file, admin=mesh.admin, name=name)
        case IstioMesh():
            return IstioRouter(kube)
        case _:
            assert_never(mesh)
