"""A VirtualService as discovery looks at it: who gets what by each way in, and what the subsets' names mean. Pure.

The first entry that a request fits takes it, so that what stands behind an entry for all requests is reached by none. An entry's
alternatives are ways in of their own: one may be for some users, and another for all.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from daemon.discovery.forms import read
from daemon.discovery.picture import Condition, Destination, Entry, Picture, Pin, Share, reached
from daemon.errors import Refused, VerdictdError
from daemon.kube.forms import require_all, well_formed
from daemon.meshes.istio import routes
from daemon.meshes.istio.arms import clients
from daemon.meshes.istio.destinationrule import Labels, Rules, subset_labels, subsets_for
from daemon.meshes.istio.hosts import Destination as Named
from daemon.meshes.istio.hosts import service_of
from daemon.meshes.istio.mesh import DESTINATION_RULES, VIRTUAL_SERVICES
from daemon.meshes.istio.routes import Route
from daemon.meshes.references import Json, identity
from daemon.placement import ObjectName

_CONDITIONS: Mapping[str, Literal["path", "port", "gateway"]] = {"uri": "path", "port": "port", "gateways": "gateway"}
_NO_CONDITIONS = frozenset({"headers", "queryParams", "sourceLabels", "name", "ignoreUriCase", "statPrefix"})
"""Fields that are pins, or say nothing of requests."""
_EVERY_PATH = {"prefix": "/"}


class _Match(msgspec.Struct, frozen=True, rename="camel"):
    """What is read of an alternative; a field that is not here is a condition like any other."""

    headers: dict[str, Any] | None = None
    query_params: dict[str, Any] | None = None
    source_labels: dict[str, str] | None = None


class _Entry(msgspec.Struct, frozen=True):
    match: list[_Match] | None = None


class _Spec(msgspec.Struct, frozen=True):
    http: list[_Entry] | None = None
    tcp: list[_Entry] | None = None
    tls: list[_Entry] | None = None


class _Matched(msgspec.Struct, frozen=True):
    """What discovery reads of a VirtualService that nothing else does: which requests an entry is for."""

    spec: _Spec


def picture(virtual_service: Json, *, rules: Sequence[Json] | VerdictdError, root: str) -> Picture:
    """What the object sends where.

    Args:
        virtual_service: as the API server has it.
        rules: the DestinationRules of the cluster, which say what its subsets mean, or why they could not be read.
        root: the mesh's root namespace.

    Raises:
        Refused: it is not of a VirtualService's form.
    """
    require_all(VIRTUAL_SERVICES, [virtual_service])
    read(virtual_service, form=_Matched, kind=VIRTUAL_SERVICES.kind)
    namespace, name = identity(virtual_service)
    meaning = _Meaning(virtual_service, rules, root=root)
    entries = [entry for route in routes.routes(virtual_service) for entry in _entries(route, meaning)]
    return Picture(
        route=ObjectName(kind=VIRTUAL_SERVICES.kind, namespace=namespace, name=name),
        hosts=tuple(virtual_service["spec"].get("hosts") or ()),
        entries=tuple(entry for entry in reached(entries, first_wins=True) if entry.shares or entry.mirrors),
    )


class _Meaning:
    """What destinations of one object are to the clients that go by it."""

    def __init__(self, virtual_service: Json, rules: Sequence[Json] | VerdictdError, *, root: str) -> None:
        self._rules = None if isinstance(rules, VerdictdError) else _by_namespace(rules)
        self._root = root
        namespace, _ = identity(virtual_service)
        hosts = [named.host for named in routes.destinations(virtual_service)]
        self._clients = clients([virtual_service], among=hosts, otherwise=namespace)

    def of(self, named: Named) -> Destination:
        """The destination as discovery knows it, with its subset's labels as far as they are known."""
        service = service_of(named.host)
        name, namespace = service or ("", "")
        labels = self._labels(named)
        return Destination(namespace=namespace, host=named.host, subset=named.subset or "", service=name, labels=labels)

    def _labels(self, named: Named) -> Labels | None:
        if named.subset is None or self._rules is None:
            return {} if named.subset is None else None
        views = {client: subsets_for(client, self._rules, host=named.host, root=self._root) for client in self._clients}
        return subset_labels(named, views).labels


def _by_namespace(rules: Sequence[Json]) -> Rules:
    """Rules by namespace; all of one that has a rule of another form count as unread."""
    good, misread = well_formed(DESTINATION_RULES, rules)
    found: dict[str, list[Json]] = {}
    for rule in good:
        found.setdefault(identity(rule)[0], []).append(rule)
    return {**found, **{one.namespace: Refused(str(one)) for one in misread}}


def _entries(route: Route, meaning: _Meaning) -> Iterator[Entry]:
    """An entry for each alternative; one without any is for all requests."""
    shares = tuple(Share(to=meaning.of(one.named), percent=route.percent(one)) for one in route.targets)
    mirrors = tuple(Share(to=meaning.of(one.named), percent=one.percent) for one in route.mirrors)
    alternatives: Sequence[Json] = route.raw.get("match") or ({},)
    for match in alternatives:
        yield Entry(
            place=route.place,
            protocol=route.protocol,
            conditions=frozenset(_conditions(match)),
            pins=frozenset(_pins(match)),
            shares=shares,
            mirrors=mirrors,
            unclear=_unclear(route),
        )


def _unclear(route: Route) -> str:
    if route.is_without_weights:
        return f"{route.place} has several destinations and no weight"
    if any((target.weight or 0) < 0 for target in route.targets):
        return f"{route.place} has negative weights"
    return ""


def _conditions(match: Json) -> Iterator[Condition]:
    for field, value in match.items():
        if field not in _NO_CONDITIONS and value is not None and (field, value) != ("uri", _EVERY_PATH):
            yield Condition(of=_CONDITIONS.get(field, "other"), value=f"{field} {_written(value)}")
    for header, value in (match.get("headers") or {}).items():
        if header.startswith(":"):  # the authority, the path and the method, as HTTP/2 has them
            yield Condition(of="path" if header == ":path" else "other", value=f"{header} {_written(value)}")


def _pins(match: Json) -> Iterator[Pin]:
    for header, value in (match.get("headers") or {}).items():
        if not header.startswith(":"):
            yield Pin(by="cookie" if header.lower() == "cookie" else "header", name=header.lower(), value=_written(value))
    for name, value in (match.get("queryParams") or {}).items():
        yield Pin(by="query", name=name, value=_written(value))
    for name, value in (match.get("sourceLabels") or {}).items():
        yield Pin(by="source", name=name, value=value)


def _written(value: object) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()
