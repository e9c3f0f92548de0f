"""What may still send to the canary though no route to a Service of its own does. Pure.

It is named and not touched: a backend of another kind (a ServiceImport, something of one implementation) whose pods cannot be told,
and a Service that chooses pods of the canary's among others.
"""

from collections.abc import Iterator
from typing import Protocol

from daemon.kube.resources import Json
from daemon.meshes.gatewayapi.rules import parents, rules
from daemon.meshes.gatewayapi.services import ServiceName, ServicePair, Services
from daemon.meshes.kuberoutes import Objects
from daemon.meshes.references import identity


class Elsewhere(Protocol):
    """What may still send to the canary, by the routes of a mesh whose arms are Services."""

    def __call__(self, objects: Objects, /, *, arms: ServicePair, released: ServiceName, services: Services) -> tuple[str, ...]:
        """See ``elsewhere``."""
        ...


def elsewhere(objects: Objects, /, *, arms: ServicePair, released: ServiceName, services: Services) -> tuple[str, ...]:
    """Each place, with what is named there, in the order of the objects.

    Args:
        objects: the routes of the cluster that may be read.
        arms: of the release.
        released: the Service that the release is of, which routes may be attached to.
        services: those that could be read.
    """
    found = []
    for routes in objects.values():
        for route in routes:
            namespace, name = identity(route)
            found += [f"{namespace}/{name} {said}" for said in _in_route(route, arms, released, services)]
    return tuple(dict.fromkeys(found))


def _in_route(route: Json, arms: ServicePair, released: ServiceName, services: Services) -> Iterator[str]:
    ours = _is_ours(route, arms, released)
    for rule in rules(route):
        named = [backend for backend in rule.backends if backend.weight > 0]
        named += [mirror.backend for mirror in rule.mirrors if mirror.percent > 0]
        for backend in named:
            if backend.service is None:
                if ours or (backend.raw.get("name"), backend.namespace) == (arms.canary.name, arms.canary.namespace):
                    yield f"{rule.place} ({backend})"
            elif chooses_among_others(backend.service, arms=arms, services=services):
                yield f"{rule.place} ({backend}, which chooses pods of the canary's among others)"


def _is_ours(route: Json, arms: ServicePair, released: ServiceName) -> bool:
    """Whether the route has to do with the release: it is attached to one of its Services, or names one."""
    own = {arms.baseline, arms.canary, released, *arms.aliases}
    return bool(own & set(parents(route))) or any(backend.service in own for rule in rules(route) for backend in rule.backends)


def chooses_among_others(service: ServiceName, *, arms: ServicePair, services: Services) -> bool:
    """Whether a Service that is no arm chooses pods of the canary's among others."""
    if service == arms.baseline or arms.is_canary(service):
        return False
    other, canary = services.choosing(service), services.choosing(arms.canary)
    return other.is_nested(canary) and not other.is_apart(canary)
