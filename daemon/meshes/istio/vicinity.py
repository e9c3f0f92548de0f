"""Where the names of a release's arms lie, for Istio: in the namespaces of their Services. Pure.

A Service chooses pods of its own namespace only, and an ExternalName is followed there only (``othernames``): so every other name
of a canary's pods has a host of the canary's namespace. A host that is no Service is an area of its own.
"""

from collections.abc import Iterable

from daemon.kube.resources import Json, Resource
from daemon.meshes.gatewayapi.rules import rules
from daemon.meshes.istio import arms, routes
from daemon.meshes.istio.hosts import service_of
from daemon.meshes.istio.mesh import VIRTUAL_SERVICES
from daemon.model import Release


class IstioVicinity:
    """Implements ``Vicinity``."""

    def of_item(self, resource: Resource, item: Json) -> Iterable[str]:
        """See ``Vicinity.of_item``."""
        if resource == VIRTUAL_SERVICES:
            return {_area(named.host) for named in routes.destinations(item)}
        return {
            backend.service.namespace.lower()
            for rule in rules(item)
            for backend in (*rule.backends, *(mirror.backend for mirror in rule.mirrors))
            if backend.service is not None
        }

    def of_release(self, release: Release) -> Iterable[str]:
        """See ``Vicinity.of_release``."""
        return {_area(host) for host in arms.hosts(release).values()}


def _area(host: str) -> str:
    service = service_of(host)
    return host if service is None else service[1]
