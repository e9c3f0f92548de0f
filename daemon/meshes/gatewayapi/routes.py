"""Where a route of the Gateway API names the canary, and the JSON Patch that takes the traffic back. Pure.

Where the baseline is a backend of the same rule it gets the canary's weight, and the canary 0: the sum stays, and with it what
others get. Where it is not, the canary's own entry is pointed at the baseline, since a rule without any weight answers errors to
all. The patch names single fields by their index: the lists are atomic for merge patches.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from daemon.errors import Refused
from daemon.kube.resources import Resource
from daemon.meshes.gatewayapi.rules import MOST_WEIGHT, Backend, Mirror, Rule, parents, rules
from daemon.meshes.gatewayapi.services import ServicePair
from daemon.meshes.gatewayapi.status import hindrance
from daemon.meshes.references import Json, Plan, guarded, identity, write
from daemon.placement import ObjectName, RouteChange, RouteReference


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """What is written in one rule, or why that cannot be done."""

    tests: tuple[Json, ...] = ()
    writes: tuple[Json, ...] = ()
    changes: tuple[RouteChange, ...] = ()
    refusal: str = ""


def references(kind: Resource, route: Json, *, arms: ServicePair) -> tuple[RouteReference, ...]:
    """Every place that names the canary, those with a weight of 0 included; with why, where it cannot be pointed elsewhere."""
    namespace, name = identity(route)
    item = ObjectName(kind=kind.kind, namespace=namespace, name=name)
    found: list[RouteReference] = []
    ungranted, said = _ungranted(kind, route, arms), _in_force(route)
    for rule in rules(route):
        named = [backend for backend in rule.backends if arms.is_canary(backend.service)]
        if named:
            share = sum(backend.weight for backend in named)
            refusal = _shift(rule, arms, ungranted).refusal
            found.append(
                RouteReference(
                    object=item,
                    place=rule.place + (f" (it stays: {refusal})" if refusal else "") + said,
                    kind="pin" if len(named) == len(rule.backends) else "weight",
                    percent=100.0 * share / rule.total if rule.total else 0.0,
                )
            )
        found += [
            RouteReference(object=item, place=rule.place + said, kind="mirror", percent=mirror.percent)
            for mirror in rule.mirrors
            if arms.is_canary(mirror.backend.service)
        ]
    return tuple(found)


def revert(kind: Resource, route: Json, *, arms: ServicePair) -> Plan:
    """All that goes to the canary goes to the baseline; every other backend and field stays as it is.

    Raises:
        Refused: nothing can be written here, though the canary gets traffic: the baseline cannot be named in the object.
    """
    tests: list[Json] = []
    writes: list[Json] = []
    changes: list[RouteChange] = []
    refusals: list[str] = []
    ungranted = _ungranted(kind, route, arms)
    for rule in rules(route):
        for step in (_shift(rule, arms, ungranted), _drop_mirrors(rule, arms)):
            tests += step.tests
            writes += step.writes
            changes += step.changes
            refusals += [f"{rule.place}: {step.refusal}"] if step.refusal else []
    if refusals and not writes:
        raise Refused("; ".join(refusals))
    said = _in_force(route)
    told = [msgspec.structs.replace(one, detail=one.detail + said) for one in changes]
    return guarded(route, tests=tests, writes=writes, changes=told)


def _in_force(route: Json) -> str:
    """The end of what is said of a place, where proxies may not go by it as it is written; else empty."""
    why = hindrance(route)
    return f" (may not be in force: {why})" if why else ""


def _shift(rule: Rule, arms: ServicePair, ungranted: str) -> _Step:
    canaries = [backend for backend in rule.backends if arms.is_canary(backend.service) and backend.weight > 0]
    if not canaries:
        return _Step()
    moved = sum(backend.weight for backend in canaries)
    beside = [backend for backend in rule.backends if backend.service == arms.baseline]
    # Of several entries the one that serves: another one may be a leftover that nobody stands behind.
    baseline = max(beside, key=lambda backend: backend.weight, default=None)
    if baseline is None or baseline.weight + moved > MOST_WEIGHT:
        return _point(rule, canaries, arms, ungranted)
    return _Step(
        tests=tuple(_same(backend) for backend in (baseline, *canaries)),
        writes=(_weight(baseline, baseline.weight + moved), *(_weight(backend, 0) for backend in canaries)),
        changes=(RouteChange(place=rule.place, detail=f"weight {moved} of {arms.canary} -> {arms.baseline}"),),
    )


def _point(rule: Rule, canaries: list[Backend], arms: ServicePair, ungranted: str) -> _Step:
    """The canary's own entries name the baseline from now on; weight and filters stay."""
    refusals = [said for backend in canaries if (said := ungranted or _why_not(backend, arms))]
    if refusals:
        return _Step(refusal=refusals[0])
    return _Step(
        tests=tuple(_same(backend) for backend in canaries),
        writes=tuple(one for backend in canaries for one in _renamed(backend, arms)),
        changes=(
            RouteChange(
                place=rule.place,
                detail=f"backend {arms.canary} -> {arms.baseline}{_kept(canaries)}{_doubled(rule, arms)}",
            ),
        ),
    )


def _ungranted(kind: Resource, route: Json, arms: ServicePair) -> str:
    """Why no entry of this object can name the baseline, where that is sure; else empty. There may be hundreds of entries."""
    namespace, _ = identity(route)
    # Only Gateways ask for grants: a route on a Service says how clients of its own namespace, or the Service's, are served.
    on_gateway = any(parent is None for parent in parents(route))
    if on_gateway and not arms.may_name_baseline(kind=kind.kind, namespace=namespace):
        return f"no ReferenceGrant in {arms.baseline.namespace} lets a {kind.kind} of {namespace} name {arms.baseline}"
    return ""


def _why_not(backend: Backend, arms: ServicePair) -> str:
    """Why this entry cannot name the baseline, where that is sure; else empty."""
    port = backend.raw.get("port")
    if isinstance(port, int) and backend.service is not None and arms.baseline_port(port, of=backend.service) is None:
        there = ", ".join(str(one.number) for one in arms.ports.get(str(arms.baseline), ())) or "none"
        return f"which port of {arms.baseline} serves what {port} of {backend.service} does is not clear ({there})"
    return ""


def _renamed(backend: Backend, arms: ServicePair) -> list[Json]:
    """The fields that must change, and no other."""
    writes = [write(f"{backend.pointer}/name", arms.baseline.name)]
    if backend.namespace != arms.baseline.namespace:
        writes.append(write(f"{backend.pointer}/namespace", arms.baseline.namespace))
    port = backend.raw.get("port")
    if isinstance(port, int) and backend.service is not None:
        other = arms.baseline_port(port, of=backend.service)
        writes += [write(f"{backend.pointer}/port", other)] if other != port else []
    return writes


def _kept(canaries: Iterable[Backend]) -> str:
    """The filters that were the canary's own and now are the baseline's: they may tell a version."""
    kinds = {
        str(one.get("type"))
        for backend in canaries
        for one in backend.raw.get("filters") or ()
        if isinstance(one, dict) and one.get("type") != "RequestMirror"
    }
    return f", with its filters as they are ({', '.join(sorted(kinds))})" if kinds else ""


def _doubled(rule: Rule, arms: ServicePair) -> str:
    """That the baseline is mirrored to as well, and gets each of these requests twice from now on."""
    twice = any(mirror.backend.service == arms.baseline and mirror.percent > 0 for mirror in rule.mirrors)
    return f"; {arms.baseline} is mirrored to by this rule as well, and gets these requests twice" if twice else ""


def _drop_mirrors(rule: Rule, arms: ServicePair) -> _Step:
    """Every mirror to the canary that copies anything goes, from the end, so that no removal moves what a later one names."""
    found: list[Mirror] = [one for one in rule.mirrors if arms.is_canary(one.backend.service) and one.percent > 0][::-1]
    return _Step(
        tests=tuple({"op": "test", "path": one.pointer, "value": one.raw} for one in found),
        writes=tuple({"op": "remove", "path": one.pointer} for one in found),
        changes=(RouteChange(place=rule.place, detail=f"mirror to {arms.canary} removed"),) if found else (),
    )


def _same(backend: Backend) -> Json:
    return {"op": "test", "path": f"{backend.pointer}/name", "value": backend.raw.get("name")}


def _weight(backend: Backend, weight: int) -> Json:
    return write(f"{backend.pointer}/weight", weight)
