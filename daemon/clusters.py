"""The clusters of the settings, put together: for a mesh, its router and the owners of its routes in each of its clusters."""

from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack

from config.settings import Kubernetes, Mesh, Settings
from daemon.delivery.gittools import ClusterGitTools
from daemon.delivery.owners import owners_in
from daemon.engine.dependencies import MeshCluster
from daemon.kube.client import KubeClient
from daemon.meshes.kind import FollowingRouter, Router
from daemon.meshes.podarms import PodsRouter
from daemon.meshes.registry import kind_of, kinds, knows_pods, need_kubernetes, router_for
from daemon.packages import defects_of


class KubeClients:
    """A client for each cluster; they are closed with the stack, and connect when they are asked or told to."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack
        # A mesh that is in no cluster is opened under the daemon's own, which need not be among those that can be reached.
        reached = {settings.cluster: Kubernetes(), **settings.clusters}
        self._clients = {name: KubeClient(cluster) for name, cluster in reached.items()}
        for client in self._clients.values():
            stack.push_async_callback(client.close)

    @property
    def clients(self) -> Mapping[str, KubeClient]:
        """The clients by the names of the clusters that can be reached."""
        return {name: self._clients[name] for name in self._settings.clusters}

    async def connect(self, meshes: Iterable[Mesh]) -> None:
        """Read the credentials of the clusters where these meshes' releases are judged now, not at the first revert.

        Those of further clusters are read when a release is looked for there. Raises as ``KubeClient.connect``.
        """
        for name in dict.fromkeys(self._settings.clusters_of(mesh)[0] for mesh in meshes if need_kubernetes([mesh])):
            await self._clients[name].connect()

    def client(self, cluster: str) -> KubeClient:
        """The client of a cluster, by its name in the settings."""
        return self._clients[cluster]

    def judging(self, mesh: Mesh) -> tuple[str, KubeClient]:
        """The cluster in which a mesh's releases are judged: its name, and its client."""
        name = self._settings.clusters_of(mesh)[0]
        return name, self._clients[name]

    def open_mesh(self, mesh: Mesh, *, name: str) -> Mapping[str, MeshCluster]:
        """The clusters of a mesh by name, the one where its releases are judged first. ``name`` is the mesh's in the settings."""
        return {cluster: self._in(mesh, self._clients[cluster], name=name) for cluster in self._settings.clusters_of(mesh)}

    def _in(self, mesh: Mesh, kube: KubeClient, *, name: str) -> MeshCluster:
        kind = kind_of(mesh).name
        whose = f"the mesh {name}, of the kind {kind} of the package {kinds().package(kind)}"
        with defects_of(whose):
            router = router_for(mesh, kube=kube, name=name)
        self._stack.push_async_callback(_close, router, whose)
        follower = router if isinstance(router, FollowingRouter) else None
        if not need_kubernetes([mesh]):
            return MeshCluster(router=router, follower=follower)
        pods = PodsRouter(kube) if knows_pods(mesh) else None
        return MeshCluster(router=router, owners=owners_in(kube), git=ClusterGitTools(kube), follower=follower, pods=pods)


async def _close(router: Router, whose: str) -> None:
    with defects_of(whose):
        await router.close()
