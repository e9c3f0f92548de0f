"""The Gateway API's router: its four kinds of routes are planned for alike; the arms are Services.

The release names them, so that a revert needs nothing to be read first. What is known of them beside their names, from which a
route is pointed from one at the other, was read before it: when the baseline was looked at, or when the watch began.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from daemon.armpods import PodsByArm
from daemon.errors import Blocked, InvalidInput, NotFound
from daemon.kube.client import KubeClient
from daemon.kube.resources import Json, Resource
from daemon.meshes import backing
from daemon.meshes.gatewayapi import arms as naming
from daemon.meshes.gatewayapi import pods, routes
from daemon.meshes.gatewayapi.arms import Located
from daemon.meshes.gatewayapi.elsewhere import Elsewhere, elsewhere
from daemon.meshes.gatewayapi.mesh import ROUTES
from daemon.meshes.gatewayapi.reading import Discovered, Reader
from daemon.meshes.gatewayapi.rules import rules
from daemon.meshes.gatewayapi.services import ServiceName, ServicePair
from daemon.meshes.kuberouter import KubeRouter, remember
from daemon.meshes.kuberoutes import Behind, Objects, ReadObjects, decode, encode
from daemon.meshes.references import Name, Plan, nearly
from daemon.model import Release
from daemon.placement import RouteReference


class GatewayApiRouter(KubeRouter[ServicePair]):
    """The routes of one cluster. Implements ``TrafficRouter``."""

    def __init__(self, kube: KubeClient) -> None:
        super().__init__(kube, routes=[GatewayApiRoutes(kind) for kind in ROUTES], arms=ServiceArms(kube))


@dataclass(frozen=True, slots=True)
class GatewayApiRoutes:
    """One kind of them. Implements ``Routes``."""

    resource: Resource

    def references(self, item: Json, *, arms: ServicePair) -> tuple[RouteReference, ...]:
        """See ``Routes.references``."""
        return routes.references(self.resource, item, arms=arms)

    def revert(self, item: Json, *, arms: ServicePair) -> Plan:
        """See ``Routes.revert``."""
        return routes.revert(self.resource, item, arms=arms)

    def delegates(self, item: Json) -> tuple[Name, ...]:
        """See ``Routes.delegates``: they hand on to nobody."""
        del item
        return ()

    def meant(self, items: Sequence[Json], *, arms: ServicePair) -> str:
        """See ``Routes.meant``: a Service that is nearly the canary."""
        found = {str(one.service) for item in items for rule in rules(item) for one in rule.backends if one.service is not None}
        close = nearly(str(arms.canary), found - {str(arms.baseline)})
        return f"; the nearest that is named is {close}" if close else ""


class ServiceArms:
    """The arms by name, and their pods. Implements ``daemon.meshes.kuberoutes.Arms``.

    Args:
        kube: a client of the cluster.
        elsewhere: what may still send to the canary by the routes of its mesh.
        named: the Services that a release names.
        on_gateways: whether its mesh has routes on Gateways, which may name a Service of another namespace by a grant.
    """

    def __init__(
        self,
        kube: KubeClient,
        *,
        elsewhere: Elsewhere = elsewhere,
        named: Callable[[Release], ServicePair] = naming.named,
        on_gateways: bool = True,
    ) -> None:
        self._reader = Reader(kube, on_gateways=on_gateways)
        self._elsewhere, self._named = elsewhere, named
        self._seen: dict[bytes, ServicePair] = {}

    def canary(self, arms: ServicePair) -> str:
        """See ``Arms.canary``."""
        return " or ".join(map(str, (arms.canary, *arms.aliases)))

    async def survey(self, release: Release, *, objects: Objects) -> "ServiceSurvey":
        """See ``Arms.survey``."""
        discovered = await self._discover(release)
        return ServiceSurvey(
            release=release, discovered=discovered, objects=objects, reader=self._reader, elsewhere=self._elsewhere
        )

    def as_located(self, release: Release, *, located: str) -> ServicePair | None:
        """See ``Arms.as_located``."""
        del release
        before = decode(located, kind=Located)
        return None if before is None else before.arms

    async def now(self, release: Release, *, located: str, objects: ReadObjects) -> ServicePair:
        """See ``Arms.now``."""
        del objects
        if (seen := self._seen.get(_key(release))) is not None:
            return seen
        if (before := decode(located, kind=Located)) is not None:
            return before.arms
        return (await self._discover(release)).arms

    async def check_baseline(self, release: Release, *, located: str, objects: ReadObjects) -> str:
        """See ``TrafficRouter.check_baseline``: by Services and EndpointSlices as they are now."""
        del objects
        before = decode(located, kind=Located)
        discovered = await self._discover(release)
        arms = discovered.arms
        baseline, canary = pods.backings((arms.baseline, arms.canary), discovered.observed)
        harm = backing.harm(baseline, canary, convicted=before.canary if before is not None else None)
        if harm is not None:
            raise Blocked(harm)
        return backing.account(baseline, canary)

    async def _discover(self, release: Release) -> Discovered:
        discovered = await self._reader.discover(self._named(release))
        if not discovered.services.unread:
            remember(self._seen, _key(release), discovered.arms)
        return discovered


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSurvey:
    """What was read of a release's arms. Implements ``Survey``."""

    release: Release
    discovered: Discovered
    objects: Objects
    reader: Reader
    elsewhere: Elsewhere

    @property
    def arms(self) -> ServicePair:
        """See ``Survey.arms``."""
        return self.discovered.arms

    async def behind(self) -> Behind[ServicePair]:
        """See ``Survey.behind``."""
        arms = self.arms
        seen = await self.reader.each_pod(self.discovered)
        baseline, canary = pods.backings((arms.baseline, arms.canary), seen)
        if baseline.missing:
            raise NotFound(f"the baseline, {arms.baseline}, is not there: {baseline.missing}")
        if (same := backing.same_pods(baseline, canary)) is not None:
            raise InvalidInput(same, path="$.canary.service", fix="wait until the canary has pods of its own, or name those it has")
        if baseline.note and self.release.baseline.service is None:
            raise InvalidInput(
                baseline.note, path="$.baseline.service", fix="name the baseline's own Service, or this one outright"
            )
        released = ServiceName(namespace=self.release.namespace, name=self.release.service)
        others = self.elsewhere(self.objects, arms=arms, released=released, services=self.discovered.services)
        located = Located(arms=arms, canary=canary.selector, elsewhere=others, unread=self.discovered.services.unread)
        return Behind(
            account=backing.account(baseline, canary),
            located=encode(located),
            pods=PodsByArm(baseline=pods.arm_pods(arms.baseline, seen[0]), canary=pods.arm_pods(arms.canary, seen[1])),
            elsewhere=others,
            unread=self.discovered.services.unread,
        )


def _key(release: Release) -> bytes:
    return msgspec.json.encode((release.service, release.namespace, release.baseline, release.canary))
