"""A VirtualService as it is read: its routes, and in each the destinations by weight, and the mirrors. Pure.

HTTP, TCP and TLS have this in common: ``route``, a list of destinations of which each has a weight, absent for none; a single one
takes everything, whatever its weight. HTTP mirrors besides, in two ways of writing, and may hand requests on to another object.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from daemon.meshes.istio.hosts import Destination, domain_of, normal
from daemon.meshes.references import Json, identity, read_once

MIRROR_SHARES = ("mirrorPercentage", "mirrorPercent", "mirror_percent")
_PROTOCOLS = ("http", "tcp", "tls")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One destination of a route: its pointer, what it names, and its share of the route (relative; null: absent)."""

    pointer: str
    named: Destination
    raw: Json
    weight: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """Where copies go. ``share``: the field beside it, or in it, that says how many."""

    pointer: str
    named: Destination
    percent: float
    share: str


@dataclass(frozen=True, kw_only=True)
class Route:
    """One route of the object; only those of HTTP have mirrors. It may have thousands of targets: their sum is worked out once."""

    protocol: str
    place: str
    pointer: str
    raw: Json
    targets: tuple[Target, ...]
    mirrors: tuple[Mirror, ...]

    @cached_property
    def is_without_weights(self) -> bool:
        """Whether nothing says who gets what: several destinations, and no weight. istiod refuses it, where it is asked."""
        return len(self.targets) > 1 and not any(target.weight for target in self.targets)

    def share(self, target: Target) -> int:
        """An absent weight is none; a single destination takes everything; where nobody has a weight all may get something."""
        if len(self.targets) == 1:
            return 100
        return 1 if self.is_without_weights else target.weight or 0

    def percent(self, target: Target) -> float:
        """Its part of what comes by the route."""
        return 100.0 * self.share(target) / self._total if self._total > 0 else 0.0

    @cached_property
    def _total(self) -> int:
        return sum(self.share(one) for one in self.targets)


def routes(virtual_service: Json) -> tuple[Route, ...]:
    """Every route of the object, in its order."""
    return read_once(virtual_service, _routes)


def _routes(virtual_service: Json) -> Iterator[Route]:
    namespace, _ = identity(virtual_service)
    for protocol in _PROTOCOLS:
        for index, raw in enumerate(virtual_service.get("spec", {}).get(protocol) or ()):
            if isinstance(raw, dict):
                pointer = f"/spec/{protocol}/{index}"
                yield Route(
                    protocol=protocol,
                    place=f"{protocol} {raw.get('name') or f'#{index}'}",
                    pointer=pointer,
                    raw=raw,
                    targets=tuple(_targets(raw, pointer, namespace)),
                    mirrors=tuple(_mirrors(raw, pointer, namespace)),
                )


def delegates(virtual_service: Json) -> tuple[tuple[str, str], ...]:
    """Namespace and name of every VirtualService that this one hands requests on to."""
    namespace, _ = identity(virtual_service)
    named = [one["delegate"] for one in dicts(virtual_service.get("spec", {}).get("http")) if isinstance(one.get("delegate"), dict)]
    return tuple((str(one.get("namespace") or namespace), str(one.get("name", ""))) for one in named)


def is_delegate(virtual_service: Json) -> bool:
    """Whether others hand requests on to it: it has no hosts of its own, and takes from its root what its routes do not say."""
    return not virtual_service.get("spec", {}).get("hosts")


def destinations(virtual_service: Json) -> tuple[Destination, ...]:
    """Everything that it sends or mirrors requests to, each once, in the order of the object."""
    return read_once(virtual_service, _destinations)


def _destinations(virtual_service: Json) -> Iterable[Destination]:
    found: list[Destination] = []
    for route in routes(virtual_service):
        found += [target.named for target in route.targets]
        found += [mirror.named for mirror in route.mirrors]
    return dict.fromkeys(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A place of an object that sends something to a destination now; ``copies``: of requests that are answered by others."""

    place: str
    named: Destination
    copies: bool = False


def uses(virtual_service: Json) -> tuple[Use, ...]:
    """Every place that sends something somewhere."""
    return read_once(virtual_service, _uses)


def _uses(virtual_service: Json) -> Iterator[Use]:
    for route in routes(virtual_service):
        for target in route.targets:
            if target.weight or route.share(target) > 0:
                yield Use(place=route.place, named=target.named)
        for mirror in route.mirrors:
            if mirror.percent > 0:
                yield Use(place=route.place, named=mirror.named, copies=True)


def domain_in(virtual_service: Json) -> str:
    """The cluster's domain, where some host in the object is written with it; else empty."""
    written = [str(host) for host in virtual_service.get("spec", {}).get("hosts") or ()]
    written += [str(target.raw["destination"].get("host", "")) for route in routes(virtual_service) for target in route.targets]
    return next((domain for host in written if (domain := domain_of(host))), "")


def dicts(value: object) -> list[Json]:
    """Those of a list's items that are objects."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _targets(route: Json, pointer: str, namespace: str) -> Iterator[Target]:
    for index, target in enumerate(route.get("route") or ()):
        if isinstance(target, dict) and isinstance(target.get("destination"), dict):
            yield Target(
                pointer=f"{pointer}/route/{index}",
                named=_destination(target["destination"], namespace),
                raw=target,
                weight=target.get("weight"),
            )


def _mirrors(route: Json, pointer: str, namespace: str) -> Iterator[Mirror]:
    single = route.get("mirror")
    if isinstance(single, dict):
        percent = _percent(next((route[key] for key in MIRROR_SHARES if key in route), None))
        share = f"{pointer}/{MIRROR_SHARES[0]}"
        yield Mirror(pointer=f"{pointer}/mirror", named=_destination(single, namespace), percent=percent, share=share)
    for index, mirror in enumerate(route.get("mirrors") or ()):
        destination = mirror.get("destination") if isinstance(mirror, dict) else None
        if isinstance(destination, dict):
            at = f"{pointer}/mirrors/{index}"
            percent = _percent(mirror.get("percentage"))
            yield Mirror(pointer=at, named=_destination(destination, namespace), percent=percent, share=f"{at}/percentage")


def _percent(share: object) -> float:
    """A missing share is all of it; an empty one is none (protobuf leaves zeros out)."""
    if share is None:
        return 100.0
    value = share.get("value", 0.0) if isinstance(share, dict) else share
    return float(value) if isinstance(value, int | float) else 100.0


def _destination(raw: Json, namespace: str) -> Destination:
    return Destination(host=normal(str(raw.get("host", "")), namespace=namespace), subset=raw.get("subset") or None)
