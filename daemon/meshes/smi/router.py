"""TrafficSplits as one kind of routes of a router, and the arms of a mesh that is steered by them alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from daemon.kube.client import KubeClient
from daemon.kube.resources import Json, Resource
from daemon.meshes.gatewayapi import arms as naming
from daemon.meshes.gatewayapi.router import ServiceArms
from daemon.meshes.gatewayapi.services import ServiceName, ServicePair, Services
from daemon.meshes.kuberouter import KubeRouter
from daemon.meshes.kuberoutes import Objects
from daemon.meshes.references import Name, Plan, nearly
from daemon.meshes.smi import trafficsplit
from daemon.meshes.smi.elsewhere import elsewhere
from daemon.meshes.smi.splits import Split
from daemon.meshes.smi.trafficsplit import TRAFFIC_SPLITS
from daemon.model import Release
from daemon.placement import RouteReference


@dataclass(frozen=True, slots=True)
class TrafficSplits:
    """Implements ``Routes``."""

    resource: Resource = TRAFFIC_SPLITS

    def references(self, item: Json, *, arms: ServicePair) -> tuple[RouteReference, ...]:
        """See ``Routes.references``."""
        return trafficsplit.references(item, arms=arms)

    def revert(self, item: Json, *, arms: ServicePair) -> Plan:
        """See ``Routes.revert``."""
        return trafficsplit.revert(item, arms=arms)

    def delegates(self, item: Json) -> tuple[Name, ...]:
        """See ``Routes.delegates``: they hand on to nobody."""
        del item
        return ()

    def meant(self, items: Sequence[Json], *, arms: ServicePair) -> str:
        """See ``Routes.meant``."""
        return nearest_backend([trafficsplit.read(item) for item in items], arms)


class TrafficSplitRouter(KubeRouter[ServicePair]):
    """The TrafficSplits of one cluster. ``named``: the Services that a release names."""

    def __init__(self, kube: KubeClient, *, named: Callable[[Release], ServicePair] = naming.named) -> None:
        arms = ServiceArms(kube, elsewhere=_elsewhere, named=named, on_gateways=False)
        super().__init__(kube, routes=[TrafficSplits()], arms=arms)


def nearest_backend(splits: Sequence[Split], arms: ServicePair) -> str:
    """A Service that is nearly the canary, for ``Routes.meant``; or nothing."""
    found = {str(one.service) for split in splits for one in split.backends if one.service is not None}
    close = nearly(str(arms.canary), found - {str(arms.baseline)})
    return f"; the nearest that is named is {close}" if close else ""


def _elsewhere(objects: Objects, /, *, arms: ServicePair, released: ServiceName, services: Services) -> tuple[str, ...]:
    splits = [trafficsplit.read(item) for item in objects.get(TRAFFIC_SPLITS, ())]
    return elsewhere(splits, arms=arms, released=released, services=services)
