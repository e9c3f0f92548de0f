"""A route of the Gateway API as it is read: rules, and in each the backends by weight and the mirrors. Pure.

The four kinds of routes have this in common: ``rules``, each with ``backendRefs`` of which each has a weight, absent for 1. What a
backend gets is its part of the rule's sum, and a sum of 0 answers errors to all. HTTP and gRPC have filters as well, in a rule and
in each backend, and a filter may mirror. Rules do not depend on one another: the most specific match wins, not the first.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from daemon.kube.resources import Json
from daemon.meshes.gatewayapi.services import ServiceName, service_named
from daemon.meshes.references import identity, read_once

ABSENT_WEIGHT = 1
MOST_WEIGHT = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One of a rule's backends.

    Attributes:
        pointer: where it is in the object.
        raw: as it is there.
        service: the Service that it names; null: it is of another kind.
        namespace: of what it names.
        weight: its part of the rule's sum.
    """

    pointer: str
    raw: Json
    service: ServiceName | None
    namespace: str
    weight: int

    def __str__(self) -> str:
        """``ServiceImport web.shop``."""
        return f"{self.raw.get('kind') or 'Service'} {self.raw.get('name')}.{self.namespace}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """A filter that sends copies of requests somewhere else; ``backend`` has no weight of its own."""

    pointer: str
    raw: Json
    backend: Backend
    percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. ``mirrors`` are the rule's and its backends', in the order of the object."""

    place: str
    backends: tuple[Backend, ...]
    mirrors: tuple[Mirror, ...]

    @property
    def total(self) -> int:
        """What its weights are parts of."""
        return sum(backend.weight for backend in self.backends)


def rules(route: Json) -> tuple[Rule, ...]:
    """Every rule of the object, in its order."""
    return read_once(route, _rules)


def _rules(route: Json) -> Iterator[Rule]:
    namespace, _ = identity(route)
    for index, raw in _numbered(_spec(route).get("rules")):
        pointer = f"/spec/rules/{index}"
        backends = tuple(_backend(one, f"{pointer}/backendRefs/{at}", namespace) for at, one in _numbered(raw.get("backendRefs")))
        mirrors = [*_mirrors(raw, pointer, namespace)]
        for backend in backends:
            mirrors += _mirrors(backend.raw, backend.pointer, namespace)
        yield Rule(place=f"rule {raw.get('name') or f'#{index}'}", backends=backends, mirrors=tuple(mirrors))


def parents(route: Json) -> tuple[ServiceName | None, ...]:
    """The Services that the route is attached to; null for each parent of another kind, as a Gateway."""
    namespace, _ = identity(route)
    found = _dicts(_spec(route).get("parentRefs"))
    # Of a parent, unlike a backend, the kind is a Gateway where it is not written.
    return tuple(service_named(one, namespace=namespace) if one.get("kind") == "Service" else None for one in found)


def _backend(raw: Json, pointer: str, namespace: str) -> Backend:
    weight = raw.get("weight")
    return Backend(
        pointer=pointer,
        raw=raw,
        service=service_named(raw, namespace=namespace),
        namespace=str(raw.get("namespace") or namespace),
        weight=weight if isinstance(weight, int) else ABSENT_WEIGHT,
    )


def _mirrors(holder: Json, pointer: str, namespace: str) -> Iterator[Mirror]:
    for index, raw in _numbered(holder.get("filters")):
        mirror = raw.get("requestMirror")
        if isinstance(mirror, dict) and isinstance(mirror.get("backendRef"), dict):
            at = f"{pointer}/filters/{index}"
            backend = _backend(mirror["backendRef"], f"{at}/requestMirror/backendRef", namespace)
            yield Mirror(pointer=at, raw=raw, backend=backend, percent=_percent(mirror))


def _percent(mirror: Json) -> float:
    """All of them, where it does not say."""
    fraction = mirror.get("fraction")
    if isinstance(fraction, dict):
        return 100.0 * int(fraction.get("numerator") or 0) / int(fraction.get("denominator") or 100)
    percent = mirror.get("percent")
    return 100.0 if percent is None else float(percent)


def _numbered(value: object) -> Iterator[tuple[int, Json]]:
    return ((index, one) for index, one in enumerate(value) if isinstance(one, dict)) if isinstance(value, list) else iter(())


def _dicts(value: object) -> list[Json]:
    return [one for _, one in _numbered(value)]


def _spec(route: Json) -> Json:
    spec = route.get("spec")
    return spec if isinstance(spec, dict) else {}
