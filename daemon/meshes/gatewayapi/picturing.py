"""A route of the Gateway API as discovery looks at it: which Services get what by each rule. Pure.

The most specific match takes a request, whatever the order. Absent weights are 1: two backends without weights get half each.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from daemon.discovery.forms import read
from daemon.discovery.picture import Condition, Destination, Entry, Picture, Pin, Share, percentages, reached
from daemon.kube.forms import require_all
from daemon.kube.resources import Resource
from daemon.meshes.gatewayapi.rules import Backend, Rule, rules
from daemon.meshes.references import Json, identity
from daemon.placement import ObjectName


class _Matched(msgspec.Struct, frozen=True):
    name: str
    value: str = ""
    type: str = ""


class _Match(msgspec.Struct, frozen=True, rename="camel"):
    path: dict[str, Any] | None = None
    headers: list[_Matched] | None = None
    query_params: list[_Matched] | None = None


class _Rule(msgspec.Struct, frozen=True):
    matches: list[_Match] | None = None


class _Spec(msgspec.Struct, frozen=True):
    hostnames: list[str] | None = None
    rules: list[_Rule] | None = None


class _Route(msgspec.Struct, frozen=True):
    """What discovery reads of a route that nothing else does: which requests a rule is for."""

    spec: _Spec


def picture(kind: Resource, route: Json) -> Picture:
    """What the object sends where. Raises ``Refused``: it is not of such a route's form."""
    require_all(kind, [route])
    found = read(route, form=_Route, kind=kind.kind)
    namespace, name = identity(route)
    matches = [one.matches or [_Match()] for one in found.spec.rules or ()]
    raw = [one.get("matches") or [{}] for one in route["spec"].get("rules") or ()]
    entries = [
        entry for rule, matches_, raw_ in zip(rules(route), matches, raw, strict=True) for entry in _entries(rule, matches_, raw_)
    ]
    return Picture(
        route=ObjectName(kind=kind.kind, namespace=namespace, name=name),
        hosts=tuple(found.spec.hostnames or ()),
        entries=tuple(entry for entry in reached(entries, first_wins=False) if entry.shares or entry.mirrors),
    )


def _entries(rule: Rule, matches: list[_Match], raw: list[Json]) -> Iterator[Entry]:
    """An entry for each alternative; a rule without any is for all requests."""
    parts = percentages([backend.weight for backend in rule.backends])
    shares = tuple(Share(to=_destination(one), percent=part) for one, part in zip(rule.backends, parts, strict=True))
    mirrors = tuple(Share(to=_destination(one.backend), percent=one.percent) for one in rule.mirrors)
    unclear = f"{rule.place} has negative weights" if any(one.weight < 0 for one in rule.backends) else ""
    for match, written in zip(matches, raw, strict=True):
        yield Entry(
            place=rule.place,
            conditions=frozenset(_conditions(written)),
            pins=frozenset(_pins(match)),
            shares=shares,
            mirrors=mirrors,
            unclear=unclear,
        )


def _destination(backend: Backend) -> Destination:
    """A Service of the cluster; any other kind is none of which pods are known."""
    if backend.service is None:
        return Destination(host=str(backend))
    return Destination(namespace=backend.service.namespace, host=str(backend.service), service=backend.service.name)


def _conditions(match: Json) -> Iterator[Condition]:
    """All of a match but who sends the request; a gRPC method is a path."""
    path, method = match.get("path"), match.get("method")
    if path is not None and not _is_every_path(path):
        yield Condition(of="path", value=f"path {_written(path)}")
    if method is not None:
        yield Condition(of="path" if isinstance(method, dict) else "other", value=f"method {_written(method)}")


def _is_every_path(path: Json) -> bool:
    written = (path.get("type", "PathPrefix"), path.get("value", "/"))
    return written == ("PathPrefix", "/")


def _pins(match: _Match) -> Iterator[Pin]:
    for one in match.headers or ():
        name = one.name.lower()
        yield Pin(by="cookie" if name == "cookie" else "header", name=name, value=f"{one.type} {one.value}")
    for one in match.query_params or ():
        yield Pin(by="query", name=one.name, value=f"{one.type} {one.value}")


def _written(value: object) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()
