"""The clusters of the settings, put together: for a mesh, its router and the owners of its routes in each of its clusters."""

from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack

from config.settings import Mesh, Settings
from daemon.delivery.owners import owners_in
from daemon.engine.dependencies import MeshCluster
from daemon.kube.client import KubeClient
from daemon.meshes.registry import need_kubernetes, router_for


class KubeClients:
    """A client for each cluster; they are closed with the stack, and connect when they are asked or told to."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self._clients = {name: KubeClient(cluster) for name, cluster in settings.clusters.items()}
        for client in self._clients.values():
            stack.push_async_callback(client.close)

    async def connect(self, meshes: Iterable[Mesh]) -> None:
        """Read the credentials of the clusters where these meshes' releases are judged now, not at the first revert.

        Those of further clusters are read when a release is looked for there. Raises as ``KubeClient.connect``.
        """
        for name in dict.fromkeys(self._settings.clusters_of(mesh)[0] for mesh in meshes if need_kubernetes([mesh])):
            await self._clients[name].connect()

    def open_mesh(self, mesh: Mesh, *, name: str) -> Mapping[str, MeshCluster]:
        """The clusters of a mesh by name, the one where its releases are judged first. ``name`` is the mesh's in the settings."""
        return {cluster: self._in(mesh, self._clients[cluster], name=name) for cluster in self._settings.clusters_of(mesh)}

    def _in(self, mesh: Mesh, kube: KubeClient, *, name: str) -> MeshCluster:
        router = router_for(mesh, kube=kube, name=name)
        self._stack.push_async_callback(router.close)
        return MeshCluster(router=router, owners=owners_in(kube) if need_kubernetes([mesh]) else ())
