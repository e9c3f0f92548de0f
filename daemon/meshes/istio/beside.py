"""Routes of the Gateway API in a mesh of VirtualServices: istiod honours both, and either may send to the canary's pods. Pure.

Their backends are Services and nothing smaller. Where both arms are Services they are taken back as the Gateway API's own are;
where an arm is a subset there is nothing in them that could name it, and what sends to the canary's pods is told and not touched.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from daemon.kube.resources import Json, Resource
from daemon.meshes.gatewayapi import routes as gateway
from daemon.meshes.gatewayapi.rules import rules
from daemon.meshes.gatewayapi.services import ServiceName, ServicePair
from daemon.meshes.istio.hosts import Arms, Destination, service_of
from daemon.meshes.istio.mesh import BESIDE
from daemon.meshes.istio.routes import Use
from daemon.meshes.references import Name, Plan
from daemon.placement import RouteReference


@dataclass(frozen=True, slots=True)
class GatewayRoutes:
    """One kind of them. Implements ``Routes``."""

    resource: Resource

    def references(self, item: Json, *, arms: Arms) -> tuple[RouteReference, ...]:
        """See ``Routes.references``: none, where they cannot be taken back."""
        pair = service_pair(arms)
        return () if pair is None else gateway.references(self.resource, item, arms=pair)

    def revert(self, item: Json, *, arms: Arms) -> Plan:
        """See ``Routes.revert``."""
        pair = service_pair(arms)
        return Plan(operations=(), changes=()) if pair is None else gateway.revert(self.resource, item, arms=pair)

    def delegates(self, item: Json) -> tuple[Name, ...]:
        """See ``Routes.delegates``: they hand on to nobody."""
        del item
        return ()

    def meant(self, items: Sequence[Json], *, arms: Arms) -> str:
        """See ``Routes.meant``: a release that only they name is of another mesh."""
        del items, arms
        return ""


GATEWAY_ROUTES = tuple(GatewayRoutes(kind) for kind in BESIDE)


def service_pair(arms: Arms) -> ServicePair | None:
    """Both arms as Services; null where one is not."""
    baseline, canary = _service(arms.baseline), _service(arms.canary)
    if baseline is None or canary is None:
        return None
    aliases = [found for alias in arms.aliases if (found := _service(alias)) is not None]
    ports = {str(found): ports for host, ports in arms.ports.items() if (found := _service(Destination(host=host))) is not None}
    return ServicePair(baseline=baseline, canary=canary, aliases=tuple(aliases), ports=ports)


def uses(route: Json) -> Iterator[Use]:
    """Every Service that it sends something to."""
    for rule in rules(route):
        sent = [(backend, False) for backend in rule.backends if backend.weight > 0]
        sent += [(mirror.backend, True) for mirror in rule.mirrors if mirror.percent > 0]
        for backend, copies in sent:
            if backend.service is not None:
                host = f"{backend.service.name}.{backend.service.namespace}.svc".lower()
                yield Use(place=rule.place, named=Destination(host=host), copies=copies)


def _service(named: Destination) -> ServiceName | None:
    found = service_of(named.host)
    return None if found is None or named.subset is not None else ServiceName(name=found[0], namespace=found[1])
