"""What an Envoy route configuration says about a canary, and what it must say once the traffic is taken back. Pure.

One walk serves the routes file (which we rewrite) and the admin's config dump (where we see what is in force), so that
"is the canary named" means the same in both. A cluster is named in three ways: as a route's only target, as one of its
weighted targets, and as a mirror at the route, its virtual host or the whole configuration.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from daemon.errors import Refused
from daemon.meshes.references import Json
from daemon.placement import ObjectName, RouteChange, RouteReference


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """The document as it must be, and the changes by route configuration (none: there is nothing to take back)."""

    document: Json
    changes: dict[str, tuple[RouteChange, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Where:
    """A route, a virtual host or a whole route configuration: its name, and the path below it."""

    config: str
    place: str = ""

    def reference(self, kind: Literal["weight", "pin", "mirror"], percent: float) -> RouteReference:
        item = ObjectName(kind="RouteConfiguration", name=self.config)
        return RouteReference(object=item, place=self.place, kind=kind, percent=percent)


def configurations(document: Json) -> list[Json]:
    """The route configurations of a discovery response, of a config dump, or the one that the document itself is.

    Raises:
        Refused: the document holds none.
    """
    found: list[Json] = []
    for item in [*_dicts(document.get("resources")), *_dicts(document.get("configs"))]:
        inner = _field(item, "route_config") or item.get("resource") or item
        if isinstance(inner, dict) and _field(inner, "virtual_hosts") is not None:
            found.append(inner)
    if not found and _field(document, "virtual_hosts") is not None:
        found.append(document)
    if not found and "configs" not in document:
        raise Refused("no route configuration in it: expected resources of type RouteConfiguration with virtual_hosts")
    return found


def references(document: Json, *, canary: str) -> tuple[RouteReference, ...]:
    """Every place of the document that names the cluster, those with a weight of 0 included."""
    found: list[RouteReference] = []
    for where, action in _actions(document):
        if action.get("cluster") == canary:
            found.append(where.reference("pin", 100.0))
        found += _weighted_reference(where, action, canary=canary)
    for where, holder in _mirror_holders(document):
        found += [
            where.reference("mirror", _mirror_percent(policy))
            for policy in _dicts(_field(holder, "request_mirror_policies"))
            if policy.get("cluster") == canary
        ]
    return tuple(found)


def clusters_with_traffic(document: Json) -> frozenset[str]:
    """The clusters that some route sends to."""
    names: set[str] = set()
    for _, action in _actions(document):
        if isinstance(only := action.get("cluster"), str):
            names.add(only)
        names |= {str(target.get("name")) for target in _targets(action) if _weight(target) > 0}
    return frozenset(names)


def revert(document: Json, *, baseline: str, canary: str) -> Rewrite:
    """All that goes to the canary goes to the baseline; everything else stays as it is.

    A split keeps its sum: the canary's weight is added to the baseline's. Where the baseline is not among the targets, the
    canary's entry is pointed at it, with its headers and filters as they are.
    """
    after = copy.deepcopy(document)
    changes: dict[str, list[RouteChange]] = {}

    def note(where: _Where, details: list[str]) -> None:
        if details:
            changes.setdefault(where.config, []).extend(RouteChange(place=where.place, detail=one) for one in details)

    for where, action in _actions(after):
        if action.get("cluster") == canary:
            action["cluster"] = baseline
            note(where, [f"cluster {canary} -> {baseline}"])
        note(where, _shift_weights(action, baseline=baseline, canary=canary))
    for where, holder in _mirror_holders(after):
        note(where, _drop_mirrors(holder, canary=canary))
    return Rewrite(document=after, changes={config: tuple(those) for config, those in changes.items()})


def _shift_weights(action: Json, *, baseline: str, canary: str) -> list[str]:
    targets = _targets(action)
    canaries = [target for target in targets if target.get("name") == canary]
    moved = sum(_weight(target) for target in canaries)
    if not moved:
        return []
    to = next((target for target in targets if target.get("name") == baseline), None)
    if to is None:
        for target in canaries:
            target["name"] = baseline
        return [f"weight {moved} of {canary} -> {baseline} (in its place)"]
    for target in canaries:
        target["weight"] = 0
    to["weight"] = _weight(to) + moved
    return [f"weight {moved} of {canary} -> {baseline}, now {to['weight']}"]


def _drop_mirrors(holder: Json, *, canary: str) -> list[str]:
    key = _key(holder, "request_mirror_policies")
    if key is None:
        return []
    before = _dicts(holder[key])
    kept = [policy for policy in before if policy.get("cluster") != canary]
    if len(kept) == len(before):
        return []
    if kept:
        holder[key] = kept
    else:
        del holder[key]
    return [f"mirror to {canary} removed"]


def _weighted_reference(where: _Where, action: Json, *, canary: str) -> list[RouteReference]:
    targets = _targets(action)
    if not any(target.get("name") == canary for target in targets):
        return []
    total = sum(_weight(target) for target in targets)
    share = sum(_weight(target) for target in targets if target.get("name") == canary)
    return [where.reference("weight", 100.0 * share / total if total else 0.0)]


def _actions(document: Json) -> Iterator[tuple[_Where, Json]]:
    """Every route's action with the place where it stands."""
    for config in configurations(document):
        for host in _dicts(_field(config, "virtual_hosts")):
            for index, route in enumerate(_dicts(host.get("routes"))):
                action = route.get("route")
                if isinstance(action, dict):
                    label = route.get("name") or f"#{index}"
                    yield _Where(config=_name(config), place=f"/{_name(host)}/{label}"), action


def _mirror_holders(document: Json) -> Iterator[tuple[_Where, Json]]:
    for config in configurations(document):
        yield _Where(config=_name(config)), config
        for host in _dicts(_field(config, "virtual_hosts")):
            yield _Where(config=_name(config), place=f"/{_name(host)}"), host
    yield from _actions(document)


def _name(item: Json) -> str:
    return str(item.get("name", "?"))


def _targets(action: Json) -> list[Json]:
    weighted = _field(action, "weighted_clusters")
    return _dicts(weighted.get("clusters")) if isinstance(weighted, dict) else []


def _weight(target: Json) -> int:
    return int(_number(target.get("weight", 0), f"weight of cluster {target.get('name')!r}"))


_DENOMINATORS = {"HUNDRED": 100, "TEN_THOUSAND": 10_000, "MILLION": 1_000_000}


def _mirror_percent(policy: Json) -> float:
    fraction = _field(policy, "runtime_fraction")
    default = _field(fraction, "default_value") if isinstance(fraction, dict) else None
    if not isinstance(default, dict):
        return 100.0
    numerator = _number(default.get("numerator", 0), f"numerator of the mirror to {policy.get('cluster')!r}")
    return 100.0 * numerator / _DENOMINATORS.get(str(default.get("denominator", "HUNDRED")), 100)


def _number(value: object, what: str) -> float:
    """Protobuf's JSON may have a number as text. Raises ``Refused`` for what is none."""
    try:
        number = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise Refused(f"the {what}, {value!r}, is not a number")
    return number


def _key(mapping: Json, snake: str) -> str | None:
    """The key as it stands: protobuf's JSON has each field under two names."""
    head, *rest = snake.split("_")
    camel = head + "".join(word.capitalize() for word in rest)
    return snake if snake in mapping else camel if camel in mapping else None


def _field(mapping: Json, snake: str) -> Any:
    key = _key(mapping, snake)
    return None if key is None else mapping[key]


def _dicts(value: object) -> list[Json]:
    """The objects of a list; anything else is what Envoy itself would refuse."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, Sequence) and not isinstance(value, str) else []
