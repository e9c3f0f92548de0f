"""Istio's VirtualService: where it names the canary, and the JSON Patch that takes the traffic back. Pure.

The patch names single fields by their index, so that whatever else is in the object stays: lists are atomic for merge
patches. It tests the identity of every destination whose weight it writes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from daemon.errors import Refused
from daemon.meshes.istio.hosts import Arms, Destination, normal, spelled
from daemon.meshes.istio.mesh import VIRTUAL_SERVICES
from daemon.meshes.references import Json, Plan, guarded, identity
from daemon.placement import ObjectName, RouteChange, RouteReference

_MIRROR_SHARES = ("mirrorPercentage", "mirrorPercent", "mirror_percent")
_PROTOCOLS = ("http", "tcp", "tls")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """One destination of a route: its pointer, what it names, and its share of the route (relative; null: absent)."""

    pointer: str
    named: Destination
    raw: Json
    weight: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    place: str
    pointer: str
    raw: Json
    targets: tuple[_Target, ...]

    def share(self, target: _Target) -> int:
        """An absent weight is none; a single destination takes everything, whatever its weight."""
        return 100 if len(self.targets) == 1 else target.weight or 0


def delegates(virtual_service: Json) -> tuple[tuple[str, str], ...]:
    """Namespace and name of every VirtualService that this one hands requests on to."""
    namespace, _ = identity(virtual_service)
    routes = _dicts(virtual_service.get("spec", {}).get("http"))
    named = [route["delegate"] for route in routes if isinstance(route.get("delegate"), dict)]
    return tuple((str(one.get("namespace") or namespace), str(one.get("name", ""))) for one in named)


def destinations(virtual_service: Json) -> tuple[Destination, ...]:
    """Everything that it sends or mirrors requests to, each once, in the order of the object."""
    namespace, _ = identity(virtual_service)
    found: list[Destination] = []
    for route in _routes(virtual_service):
        found += [target.named for target in route.targets]
        mirrors = [route.raw.get("mirror"), *(one.get("destination") for one in _dicts(route.raw.get("mirrors")))]
        found += [_destination(one, namespace) for one in mirrors if isinstance(one, dict)]
    return tuple(dict.fromkeys(found))


def references(virtual_service: Json, *, arms: Arms) -> tuple[RouteReference, ...]:
    """Every place that names the canary, those with a weight of 0 included."""
    namespace, name = identity(virtual_service)
    item = ObjectName(kind=VIRTUAL_SERVICES.kind, namespace=namespace, name=name)
    found: list[RouteReference] = []
    for route in _routes(virtual_service):
        named = [target for target in route.targets if arms.is_canary(target.named)]
        if named:
            total = sum(route.share(target) for target in route.targets)
            share = sum(route.share(target) for target in named)
            percent = 100.0 * share / total if total > 0 else 0.0
            alone = len(named) == len(route.targets)
            found.append(RouteReference(object=item, place=route.place, kind="pin" if alone else "weight", percent=percent))
        mirrors = _mirrors(route, virtual_service, arms)
        found += [RouteReference(object=item, place=route.place, kind="mirror", percent=percent) for _, percent in mirrors]
    return tuple(found)


def revert(virtual_service: Json, *, arms: Arms) -> Plan:
    """All that goes to the canary goes to the baseline; every other route and field stays as it is.

    Raises:
        Refused: the weights that would be written are not weights (the API server itself takes negative ones).
    """
    tests: list[Json] = []
    writes: list[Json] = []
    changes: list[RouteChange] = []
    for route in _routes(virtual_service):
        for step in (_shift(route, arms, virtual_service), _drop_mirrors(route, arms, virtual_service)):
            tests += step.tests
            writes += step.writes
            changes += step.changes
    return guarded(virtual_service, tests=tests, writes=writes, changes=changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    tests: tuple[Json, ...] = ()
    writes: tuple[Json, ...] = ()
    changes: tuple[RouteChange, ...] = ()


def _shift(route: _Route, arms: Arms, virtual_service: Json) -> _Step:
    canaries = [target for target in route.targets if arms.is_canary(target.named)]
    moved = sum(route.share(target) for target in canaries)
    if moved == 0:
        return _Step()
    baseline = next((target for target in route.targets if arms.is_baseline(target.named)), None)
    if baseline is None:
        return _redirect(route, canaries, arms, virtual_service)
    weights = [0 if target in canaries else route.share(target) + (moved if target is baseline else 0) for target in route.targets]
    if min(weights) < 0 or sum(weights) <= 0:
        raise Refused(f"{route.place}: the weights would become {weights}: mend the VirtualService")
    return _Step(
        tests=tuple(_same(target) for target in route.targets),
        writes=tuple(_add(f"{target.pointer}/weight", weight) for target, weight in zip(route.targets, weights, strict=True)),
        changes=(RouteChange(place=route.place, detail=f"weight {moved} of {arms.canary} -> {arms.baseline}"),),
    )


def _redirect(route: _Route, canaries: list[_Target], arms: Arms, virtual_service: Json) -> _Step:
    """No baseline beside it: the canary's own entries are pointed at the baseline, with headers and weight as they are."""
    return _Step(
        tests=tuple(_same(target) for target in canaries),
        writes=tuple(_add(f"{target.pointer}/destination", _to_baseline(target, arms, virtual_service)) for target in canaries),
        changes=(RouteChange(place=route.place, detail=f"destination {arms.canary} -> {arms.baseline}"),),
    )


def _to_baseline(target: _Target, arms: Arms, virtual_service: Json) -> Json:
    namespace, _ = identity(virtual_service)
    before: Json = target.raw["destination"]
    after = {key: value for key, value in before.items() if key != "subset"}
    if arms.baseline.subset is not None:
        after["subset"] = arms.baseline.subset
    if target.named.host == arms.baseline.host:
        return after
    after["host"] = spelled(arms.baseline.host, like=str(before.get("host", "")), namespace=namespace)
    # Another service may listen elsewhere: the object itself says where, if it names the baseline anywhere.
    ports = [
        other.raw["destination"].get("port")
        for route in _routes(virtual_service)
        for other in route.targets
        if arms.is_baseline(other.named)
    ]
    if ports and before.get("port") not in ports:
        after.pop("port", None)
        after.update({"port": ports[0]} if ports[0] is not None else {})
    return after


def _drop_mirrors(route: _Route, arms: Arms, virtual_service: Json) -> _Step:
    pointers = [pointer for pointer, _ in _mirrors(route, virtual_service, arms)]
    if not pointers:
        return _Step()
    if len(pointers) == len(_dicts(route.raw.get("mirrors"))) and f"{route.pointer}/mirror" not in pointers:
        removed = [f"{route.pointer}/mirrors"]
    else:
        # From the end, so that no removal moves what a later one names.
        removed = pointers[::-1]
    if f"{route.pointer}/mirror" in pointers:
        removed += [f"{route.pointer}/{key}" for key in _MIRROR_SHARES if key in route.raw]
    return _Step(
        writes=tuple({"op": "remove", "path": pointer} for pointer in removed),
        changes=(RouteChange(place=route.place, detail=f"mirror to {arms.canary} removed"),),
    )


def _mirrors(route: _Route, virtual_service: Json, arms: Arms) -> list[tuple[str, float]]:
    """Pointer and percentage of every mirror that is the canary, in the order of the object."""
    namespace, _ = identity(virtual_service)
    found: list[tuple[str, float]] = []
    single = route.raw.get("mirror")
    if isinstance(single, dict) and arms.is_canary(_destination(single, namespace)):
        found.append((f"{route.pointer}/mirror", _single_mirror_percent(route.raw)))
    for index, mirror in enumerate(route.raw.get("mirrors") or ()):
        destination = mirror.get("destination") if isinstance(mirror, dict) else None
        if isinstance(destination, dict) and arms.is_canary(_destination(destination, namespace)):
            found.append((f"{route.pointer}/mirrors/{index}", _percent(mirror.get("percentage"))))
    return found


def _single_mirror_percent(route: Json) -> float:
    key = next((key for key in _MIRROR_SHARES if key in route), None)
    return 100.0 if key is None else _percent(route[key])


def _percent(share: object) -> float:
    """A missing share is all of it; an empty one is none (protobuf leaves zeros out)."""
    if share is None:
        return 100.0
    value = share.get("value", 0.0) if isinstance(share, dict) else share
    return float(value) if isinstance(value, int | float) else 100.0


def _routes(virtual_service: Json) -> Iterator[_Route]:
    namespace, _ = identity(virtual_service)
    for protocol in _PROTOCOLS:
        for index, route in enumerate(virtual_service.get("spec", {}).get(protocol) or ()):
            if isinstance(route, dict):
                pointer = f"/spec/{protocol}/{index}"
                place = f"{protocol} {route.get('name') or f'#{index}'}"
                targets = tuple(_targets(route, pointer, namespace))
                yield _Route(place=place, pointer=pointer, raw=route, targets=targets)


def _targets(route: Json, pointer: str, namespace: str) -> Iterator[_Target]:
    for index, target in enumerate(route.get("route") or ()):
        if isinstance(target, dict) and isinstance(target.get("destination"), dict):
            yield _Target(
                pointer=f"{pointer}/route/{index}",
                named=_destination(target["destination"], namespace),
                raw=target,
                weight=target.get("weight"),
            )


def _destination(raw: Json, namespace: str) -> Destination:
    return Destination(host=normal(str(raw.get("host", "")), namespace=namespace), subset=raw.get("subset") or None)


def _same(target: _Target) -> Json:
    return {"op": "test", "path": f"{target.pointer}/destination", "value": target.raw["destination"]}


def _add(pointer: str, value: object) -> Json:
    """``add`` sets a field that is there and one that is not; ``replace`` fails on an absent weight."""
    return {"op": "add", "path": pointer, "value": value}


def _dicts(value: object) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
