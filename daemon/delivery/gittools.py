"""What in Git must change for a revert to stay, in one cluster: each tool is a row, which reads its own objects."""

from contextlib import suppress
from typing import TYPE_CHECKING

from daemon.delivery.argocd import ARGO_CD
from daemon.delivery.flux import FLUX
from daemon.delivery.gittoolkind import GitToolKind
from daemon.errors import NotFound, Refused
from daemon.kube import applying
from daemon.kube.resources import ROLLOUTS, WORKLOADS
from daemon.kube.sharedreads import SharedReads
from daemon.placement import Applier, ObjectName
from daemon.ports.routing import GitSource

if TYPE_CHECKING:
    from daemon.kube.client import KubeClient

BUILT_IN: tuple[GitToolKind, ...] = (ARGO_CD, FLUX)


class ClusterGitTools:
    """The tools of one cluster. Implements ``GitTools``."""

    def __init__(self, kube: "KubeClient") -> None:
        self._kube = kube
        self._reads = SharedReads(kube)

    async def source(self, applier: Applier) -> GitSource:
        """See ``GitTools.source``."""
        for kind in BUILT_IN:
            if kind.name == applier.tool:
                return await kind.source(self._kube, applier.object)
        raise Refused(f"{applier}: nothing here reads what that applies")

    async def applier(self, workload: ObjectName) -> Applier | None:
        """See ``GitTools.applier``."""
        for resource in (*WORKLOADS, ROLLOUTS):
            with suppress(NotFound):
                item = await self._reads.one(resource, namespace=workload.namespace, name=workload.name)
                return applying.applied_by({"kind": resource.kind, **item})
        return None
