"""The router of Consul on Kubernetes: its custom resources are planned for as the config entries that consul-k8s makes of them.

Only the resource may be written: consul-k8s writes its entry anew whenever they differ. Whether Consul has taken it is said in the
resource's status, so that one it has refused is not taken for what is in force.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from daemon.kube.client import KubeClient
from daemon.kube.resources import Json, Resource
from daemon.meshes.consul import routes
from daemon.meshes.consul.entries import DEFAULT, Entry, patch
from daemon.meshes.consul.routes import Arms
from daemon.meshes.consulkubernetes.arms import ConsulArms
from daemon.meshes.consulkubernetes.mesh import ROUTES
from daemon.meshes.consulkubernetes.spoken import Spoken, is_refused
from daemon.meshes.kuberouter import KubeRouter
from daemon.meshes.references import Name, Plan, guarded, identity, nearly
from daemon.model import Release
from daemon.placement import ObjectName, RouteReference


class ConsulKubernetesRouter(KubeRouter[Arms]):
    """The routes of one cluster. Implements ``TrafficRouter``.

    Args:
        kube: a client of the cluster.
        mirrored: whether Consul's namespaces are Kubernetes'.
        partition: Consul's, that the cluster is in.
    """

    def __init__(self, kube: KubeClient, *, mirrored: bool = False, partition: str = DEFAULT) -> None:
        spoken = Spoken(mirrored=mirrored, partition=partition)
        kinds = [ConsulRoutes(resource, spoken) for resource in ROUTES]
        super().__init__(kube, routes=kinds, arms=ConsulArms(kube, spoken))

    async def canary_gets_traffic(self, release: Release, *, located: str = "") -> str | None:
        """See ``TrafficRouter.canary_gets_traffic``: a resource that Consul has refused says nothing of what is in force."""
        found = await super().canary_gets_traffic(release, located=located)
        if found is not None:
            return found
        arms = await self._arms.now(release, located=located, objects=partial(self._objects, release))
        naming_it = [route for route, _ in self._naming(await self._now(release), arms, release).routes]
        refused = [f"{one.key[0].kind} {'/'.join(identity(one.item))}" for one in naming_it if is_refused(one.item)]
        return f"{', '.join(refused)}, as Consul has it: it has refused what is written there now" if refused else None


@dataclass(frozen=True, slots=True)
class ConsulRoutes:
    """One kind of them. Implements ``Routes``."""

    resource: Resource
    spoken: Spoken

    def references(self, item: Json, *, arms: Arms) -> tuple[RouteReference, ...]:
        """See ``Routes.references``."""
        namespace, name = identity(item)
        named = ObjectName(kind=self.resource.kind, namespace=namespace, name=name)
        return routes.references(self._entry(item), arms=arms, object_name=named)

    def revert(self, item: Json, *, arms: Arms) -> Plan:
        """See ``Routes.revert``."""
        rewrite = routes.revert(self._entry(item), arms=arms)
        return guarded(item, tests=(), writes=patch(rewrite.edits, under="/spec"), changes=rewrite.changes)

    def delegates(self, item: Json) -> tuple[Name, ...]:
        """See ``Routes.delegates``: each is found by itself."""
        del item
        return ()

    def meant(self, items: Sequence[Json], *, arms: Arms) -> str:
        """See ``Routes.meant``: a target that is nearly the canary."""
        found = {str(target) for item in items for target in routes.targets(self._entry(item))} - {str(arms.baseline)}
        close = nearly(str(arms.canary), found)
        return f"; the nearest that is named is {close}" if close else ""

    def _entry(self, item: Json) -> Entry:
        return self.spoken.entry(item, resource=self.resource)
