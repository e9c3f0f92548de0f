"""Config entries in the spelling of files, the same in the two others, and where Consul would send a request by them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from daemon.meshes.consul.entries import RESOURCES, Entry, EntryKind, Target, edited, of_api, of_object
from daemon.meshes.consul.routes import Arms, revert
from daemon.meshes.references import Json

ARMS = Arms(baseline=Target(service="web", subset="v1"), canary=Target(service="web", subset="v2"))
SERVICES = Arms(baseline=Target(service="web-v1"), canary=Target(service="web-v2"))
_OF_NAMES = {"subsets", "failover", "meta"}


def splitter(*splits: Json, name: str = "web", **more: Any) -> Json:
    return {"kind": "service-splitter", "name": name, "splits": list(splits), **more}


def split(weight: float, service: str = "", subset: str = "", **more: Any) -> Json:
    named = {"service": service, "service_subset": subset}
    return {"weight": weight, **{key: value for key, value in named.items() if value}, **more}


def router(*destinations: Json | None, name: str = "web") -> Json:
    match = {"http": {"header": [{"name": "x-canary", "exact": "always"}]}}
    routes = [{"match": match, **({} if one is None else {"destination": one})} for one in destinations]
    return {"kind": "service-router", "name": name, "routes": routes}


def resolver(name: str = "web", *, subsets: Sequence[str] | Mapping[str, str] = ("v1", "v2"), **fields: Any) -> Json:
    """With a subset for each version, or for these versions."""
    versions = subsets if isinstance(subsets, Mapping) else {one: one for one in subsets}
    known = {one: {"filter": f"Service.Meta.version == {version}"} for one, version in versions.items()}
    return {"kind": "service-resolver", "name": name, **({"subsets": known} if known else {}), **fields}


def pascal(entry: Json) -> Json:
    """As the HTTP API gives it."""
    changed: Json = _respelled(entry, lambda key: "".join(word.capitalize() for word in key.split("_")))
    return {**changed, "CreateIndex": 7, "ModifyIndex": 9}


def resource(entry: Json, *, namespace: str = "shop", version: str = "41") -> Json:
    """As the custom resource of Kubernetes."""
    spec = _respelled({key: value for key, value in entry.items() if key not in ("kind", "name")}, _camel)
    kind = next(kind for kind, known in RESOURCES.items() if known == entry["kind"])
    metadata = {"name": entry["name"], "namespace": namespace, "resourceVersion": version}
    return {"apiVersion": "consul.hashicorp.com/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def in_each_spelling(entry: Json) -> list[Entry]:
    kind: EntryKind = entry["kind"]
    return [of_api(entry), of_api(pascal(entry)), of_object(resource(entry), kind=kind, mirrored=False, partition="default")]


def snake(body: Json) -> Json:
    """Whatever the spelling was, without what only one of them has."""

    def lowered(key: str) -> str:
        return "".join(f"_{one.lower()}" if one.isupper() else one for one in key).lstrip("_")

    changed: Json = _respelled(body, lowered)
    return {key: value for key, value in changed.items() if key not in ("kind", "name", "create_index", "modify_index")}


def _camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _respelled(value: Any, change: Any) -> Any:
    if isinstance(value, list):
        return [_respelled(one, change) for one in value]
    if not isinstance(value, dict):
        return value
    spelled = {}
    for key, one in value.items():
        inner = {name: _respelled(each, change) for name, each in one.items()} if _named(key) and isinstance(one, dict) else None
        spelled[change(key)] = _respelled(one, change) if inner is None else inner
    return spelled


def _named(key: str) -> bool:
    """Whether the keys below are names that somebody chose."""
    return key.lower() in _OF_NAMES


def reverted(entries: Sequence[Json], *, arms: Arms) -> list[Json]:
    """All of them, each by itself."""
    return [edited(one, revert(one, arms=arms).edits) for one in map(of_api, entries)]


class CircularError(Exception):
    """Consul refuses such entries."""


def ways(entries: Sequence[Json], asked: str) -> Iterator[dict[tuple[str, str], float]]:
    """For each route that a request for a service may take, its part in percent for each (service, subset) in the end.

    As Consul's compiler of discovery chains has it (agent/consul/discoverychain/compile.go of 1.14), written anew: only the first
    service's router counts; a split that names another service goes through that one's splitter, unless it names a subset; a
    redirect counts for whatever is asked of its service, and then the default subset does.
    """
    by = {(one["kind"], one["name"]): one for one in entries}
    routes = by.get(("service-router", asked), {}).get("routes", [])
    for destination in [*(route.get("destination") or {} for route in routes), {}]:
        service, subset = destination.get("service") or asked, destination.get("service_subset", "")
        yield _split(by, service, depth=0) if not subset else {_resolved(by, service, subset): 100.0}


def _split(by: dict[tuple[str, str], Json], service: str, *, depth: int) -> dict[tuple[str, str], float]:
    if depth > 8:
        raise CircularError
    found = by.get(("service-splitter", service))
    if found is None:
        return {_resolved(by, service, ""): 100.0}
    parts: dict[tuple[str, str], float] = {}
    for one in found["splits"]:
        to, subset = one.get("service") or service, one.get("service_subset", "")
        again = not subset and to != service
        inner = _split(by, to, depth=depth + 1) if again else {_resolved(by, to, subset): 100.0}
        for leaf, share in inner.items():
            parts[leaf] = parts.get(leaf, 0.0) + one["weight"] * share / 100.0
    return parts


def _resolved(by: dict[tuple[str, str], Json], service: str, subset: str) -> tuple[str, str]:
    seen = set()
    while (service, subset) not in seen:
        seen.add((service, subset))
        found = by.get(("service-resolver", service), {})
        if redirect := found.get("redirect"):
            to = redirect.get("service") or service
            there = (to, redirect.get("service_subset") or (subset if to == service else ""))
            if there != (service, subset):
                service, subset = there
                continue
        if subset or not found.get("default_subset"):
            return service, subset
        subset = found["default_subset"]
    raise CircularError
