"""Linkerd's router: HTTPRoutes of both groups and the Gateway API's other kinds, ServiceProfiles, and TrafficSplits.

linkerd-smi copies each TrafficSplit into the profile of the same Service, whenever the split changes, unless the profile says not
to. Both are written: the split first, so that what is copied is what it was given, and the profile all the same, since nobody may
be copying any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import structs

from daemon.kube.client import KubeClient
from daemon.kube.resources import Json, Resource
from daemon.meshes.gatewayapi.router import GatewayApiRoutes, ServiceArms
from daemon.meshes.gatewayapi.services import ServicePair
from daemon.meshes.kuberouter import KubeRouter
from daemon.meshes.kuberoutes import Objects, Routes
from daemon.meshes.linkerd import serviceprofile
from daemon.meshes.linkerd.elsewhere import copied_from, elsewhere
from daemon.meshes.linkerd.kinds import HTTP_LIKE, SPLITS, is_authorization
from daemon.meshes.linkerd.serviceprofile import SERVICE_PROFILES
from daemon.meshes.references import Name, Plan, identity
from daemon.meshes.routereading import Key
from daemon.meshes.smi.router import TrafficSplits, nearest_backend
from daemon.placement import RouteReference

_SKIPPED = "smi.linkerd.io/skip"
"""The annotation of a profile that linkerd-smi leaves alone, whatever its value."""


class LinkerdRouter(KubeRouter[ServicePair]):
    """The routes of one cluster. Implements ``TrafficRouter``."""

    def __init__(self, kube: KubeClient) -> None:
        routes: list[Routes[ServicePair]] = [*(LinkerdRoutes(kind) for kind in HTTP_LIKE), ServiceProfiles(), TrafficSplits(SPLITS)]
        super().__init__(kube, routes=routes, arms=ServiceArms(kube, elsewhere=elsewhere))

    def waves(self, keys: Sequence[Key]) -> Sequence[Sequence[Key]]:
        """See ``KubeRouter.waves``: a profile comes after the splits of its namespace."""
        split = {namespace for resource, (namespace, _) in keys if resource == SPLITS}
        copies = [one for one in keys if one[0] == SERVICE_PROFILES and one[1][0] in split]
        return ([one for one in keys if one not in copies], copies)

    def owned(self, found: Sequence[RouteReference], objects: Objects) -> Sequence[RouteReference]:
        """See ``KubeRouter.owned``: whose copy a profile is."""
        copies: dict[Name, str] = {}
        for item in objects.get(SERVICE_PROFILES, ()):
            if _SKIPPED not in (item.get("metadata", {}).get("annotations") or {}):
                copies[identity(item)] = copied_from(serviceprofile.read(item), objects.get(SPLITS, ()))
        return [
            structs.replace(one, owner=", ".join(filter(None, (one.owner, copies.get((one.object.namespace, one.object.name))))))
            if one.object.kind == SERVICE_PROFILES.kind
            else one
            for one in found
        ]


@dataclass(frozen=True, slots=True)
class LinkerdRoutes(GatewayApiRoutes):
    """One kind of routes that have the Gateway API's words; those of Servers are left out."""

    def references(self, item: Json, *, arms: ServicePair) -> tuple[RouteReference, ...]:
        """See ``Routes.references``."""
        return () if is_authorization(item) else GatewayApiRoutes.references(self, item, arms=arms)

    def revert(self, item: Json, *, arms: ServicePair) -> Plan:
        """See ``Routes.revert``."""
        nothing = Plan(operations=(), changes=())
        return nothing if is_authorization(item) else GatewayApiRoutes.revert(self, item, arms=arms)


@dataclass(frozen=True, slots=True)
class ServiceProfiles:
    """Implements ``Routes``."""

    resource: Resource = SERVICE_PROFILES

    def references(self, item: Json, *, arms: ServicePair) -> tuple[RouteReference, ...]:
        """See ``Routes.references``."""
        return serviceprofile.references(item, arms=arms)

    def revert(self, item: Json, *, arms: ServicePair) -> Plan:
        """See ``Routes.revert``."""
        return serviceprofile.revert(item, arms=arms)

    def delegates(self, item: Json) -> tuple[Name, ...]:
        """See ``Routes.delegates``: they hand on to nobody."""
        del item
        return ()

    def meant(self, items: Sequence[Json], *, arms: ServicePair) -> str:
        """See ``Routes.meant``."""
        return nearest_backend([serviceprofile.read(item) for item in items], arms)
