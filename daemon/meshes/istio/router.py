"""Istio's router: its VirtualServices are planned for, and the Gateway API's routes beside them."""

from collections.abc import Sequence

from daemon.kube.client import KubeClient
from daemon.kube.resources import Json
from daemon.meshes.istio import routes, virtualservice
from daemon.meshes.istio.beside import GATEWAY_ROUTES
from daemon.meshes.istio.hosts import Arms, half_spelled
from daemon.meshes.istio.mesh import VIRTUAL_SERVICES
from daemon.meshes.istio.surveying import IstioArms
from daemon.meshes.istio.vicinity import IstioVicinity
from daemon.meshes.kuberouter import KubeRouter
from daemon.meshes.references import Name, Plan, nearly
from daemon.placement import RouteReference


class IstioRouter(KubeRouter[Arms]):
    """The routes of one cluster's mesh. Implements ``TrafficRouter``.

    Args:
        kube: a client of the cluster.
        root_namespace: where the mesh's own rules are, Istio's ``rootNamespace``.
        multi_cluster: whether arms may have pods in other clusters, which cannot be seen here.
    """

    def __init__(self, kube: KubeClient, *, root_namespace: str = "istio-system", multi_cluster: bool = False) -> None:
        arms = IstioArms(kube, root_namespace=root_namespace, multi_cluster=multi_cluster)
        super().__init__(kube, routes=[VirtualServices()], beside=GATEWAY_ROUTES, arms=arms, vicinity=IstioVicinity())


class VirtualServices:
    """VirtualServices as routes. Implements ``Routes``."""

    resource = VIRTUAL_SERVICES

    def references(self, item: Json, *, arms: Arms) -> tuple[RouteReference, ...]:
        """See ``Routes.references``."""
        return virtualservice.references(item, arms=arms)

    def revert(self, item: Json, *, arms: Arms) -> Plan:
        """See ``Routes.revert``."""
        return virtualservice.revert(item, arms=arms)

    def delegates(self, item: Json) -> tuple[Name, ...]:
        """See ``Routes.delegates``."""
        return routes.delegates(item)

    def meant(self, items: Sequence[Json], *, arms: Arms) -> str:
        """See ``Routes.meant``: a destination that is nearly the canary."""
        named = {str(one): one for item in items for one in routes.destinations(item)}
        close = nearly(str(arms.canary), named)
        if not close:
            return ""
        outside = ", which Istio takes for a host outside the cluster" if half_spelled(named[close].host) else ""
        return f"; the nearest that is named is {close}{outside}"
