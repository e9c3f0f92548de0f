"""Config entries of Consul as they are written, and the targets that they name. Pure.

One entry has three spellings: ``service_subset`` in files, ``ServiceSubset`` over HTTP, ``serviceSubset`` in Kubernetes' custom
resources, where it stands below ``spec``. Fields are found in whichever it is, and what is added is spelled as its entry is.
"""

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from daemon.errors import Refused
from daemon.meshes.references import Json, identity

EntryKind = Literal["service-router", "service-splitter", "service-resolver"]
KINDS: tuple[EntryKind, ...] = ("service-router", "service-splitter", "service-resolver")
"""In the order in which a request passes them."""
RESOURCES: dict[str, EntryKind] = {
    "ServiceRouter": "service-router",
    "ServiceSplitter": "service-splitter",
    "ServiceResolver": "service-resolver",
}
DEFAULT = "default"
"""The namespace and the partition of an open Consul, which has no others."""

Path = tuple[str | int, ...]
_Spelling = Literal["snake", "camel", "pascal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Instances of a service that requests are sent to: all of it, or one of its resolver's subsets.

    Attributes:
        subset: null: none is named, and the resolver's default decides.
        abroad: where it is, for people, when that is another datacenter or cluster; else empty.
    """

    service: str
    subset: str | None = None
    namespace: str = DEFAULT
    partition: str = DEFAULT
    abroad: str = ""

    def is_same_service(self, other: "Target") -> bool:
        """Whether both are of one service, here."""
        mine = (self.service, self.namespace, self.partition, self.abroad)
        return mine == (other.service, other.namespace, other.partition, other.abroad)

    def __str__(self) -> str:
        """``web/v2``, or ``web``; with its namespace and partition where they are others than the usual ones."""
        named = f"{self.service}/{self.subset}" if self.subset else self.service
        place = [one for one in (self.namespace, self.partition) if one != DEFAULT]
        return named + (f" of {'/'.join(place)}" if place else "") + self.abroad


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One field of an entry's body that is set or removed, or one value that is added to a list there."""

    op: Literal["set", "append", "remove"]
    at: Path
    value: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One config entry.

    Attributes:
        body: what holds its fields: the entry itself, or a custom resource's ``spec``.
        raw: all of it, as it was read.
        owner: who writes it by itself, for people; empty where nobody is known to.
    """

    kind: EntryKind
    name: str
    namespace: str
    partition: str
    body: Json
    raw: Json
    owner: str = ""

    def target(self, holder: object) -> Target:
        """What a split, a destination, a redirect or a failover of this entry names; a service that is not named is its own."""
        named = holder if isinstance(holder, dict) else {}
        return Target(
            service=text(named, "service") or self.name,
            subset=text(named, "service_subset") or None,
            namespace=text(named, "namespace") or self.namespace,
            partition=text(named, "partition") or self.partition,
            abroad=_abroad(named),
        )

    @property
    def own(self) -> Target:
        """The service that it is of."""
        return Target(service=self.name, namespace=self.namespace, partition=self.partition)

    def key(self, holder: object, name: str) -> str:
        """How a field of the holder is spelled, or would be in this entry."""
        found = _key(holder, name) if isinstance(holder, dict) else None
        return _spelled(name, self._spelling) if found is None else found

    @property
    def is_resource(self) -> bool:
        """Whether it is a custom resource of Kubernetes, which the webhook of consul-k8s must admit."""
        return self.body is not self.raw

    @property
    def _spelling(self) -> _Spelling:
        if self.is_resource:
            return "camel"
        return "pascal" if "Kind" in self.raw else "snake"


def of_api(raw: Json) -> Entry:
    """An entry as Consul's HTTP API, or a file, has it.

    Raises:
        Refused: it is of no kind that routes.
    """
    kind = text(raw, "kind")
    known: dict[str, EntryKind] = {one: one for one in KINDS}
    if kind not in known:
        raise Refused(f"a config entry of the kind {kind!r} sends no requests anywhere")
    meta = field(raw, "meta")
    external = meta.get("external-source") if isinstance(meta, dict) else None
    return Entry(
        kind=known[kind],
        name=text(raw, "name"),
        namespace=text(raw, "namespace") or DEFAULT,
        partition=text(raw, "partition") or DEFAULT,
        body=raw,
        raw=raw,
        owner="consul-k8s" if external == "kubernetes" else "",
    )


def of_object(raw: Json, *, kind: EntryKind, mirrored: bool, partition: str) -> Entry:
    """An entry as a custom resource; ``mirrored``: Consul's namespaces are Kubernetes'."""
    namespace, name = identity(raw)
    spec = raw.get("spec")
    body = spec if isinstance(spec, dict) else {}
    return Entry(kind=kind, name=name, namespace=namespace if mirrored else DEFAULT, partition=partition, body=body, raw=raw)


def field(holder: object, name: str) -> Any:
    """A field in whichever spelling it has; null where it is absent. ``name`` in that of files."""
    key = _key(holder, name) if isinstance(holder, dict) else None
    return None if key is None else holder[key]  # type: ignore[index]  # it has a key


def text(holder: Json, name: str) -> str:
    """A field that holds a name; empty where it is absent, or something else."""
    value = field(holder, name)
    return value if isinstance(value, str) else ""


def numbered(holder: Json, name: str) -> Iterator[tuple[int, Json]]:
    """The objects of a list, with their places in it; nothing where it is absent."""
    value = field(holder, name)
    return ((at, one) for at, one in enumerate(value) if isinstance(one, dict)) if isinstance(value, list) else iter(())


def edited(entry: Entry, edits: Iterable[Edit]) -> Json:
    """The body with these changes; what was read stays as it is."""
    body = copy.deepcopy(entry.body)
    for edit in edits:
        *above, last = edit.at
        holder: Any = body
        for step in above:
            holder = holder[step]
        match edit.op:
            case "set":
                holder[last] = edit.value
            case "append":
                holder[last].append(edit.value)
            case "remove":
                del holder[last]
    return body


def patch(edits: Sequence[Edit], *, under: str) -> tuple[Json, ...]:
    """The same changes as operations of a JSON Patch, for a body that stands at the pointer ``under``."""
    operations: list[Json] = []
    for edit in edits:
        pointer = "/".join([under, *(str(step).replace("~", "~0").replace("/", "~1") for step in edit.at)])
        match edit.op:
            case "set":
                # It sets a field that is there and one that is not; ``replace`` fails on an absent one.
                operations.append({"op": "add", "path": pointer, "value": edit.value})
            case "append":
                operations.append({"op": "add", "path": f"{pointer}/-", "value": edit.value})
            case "remove":
                operations.append({"op": "remove", "path": pointer})
    return tuple(operations)


def _key(holder: Json, name: str) -> str | None:
    plain = name.replace("_", "")
    return next((key for key in holder if key.replace("_", "").lower() == plain), None)


def _spelled(name: str, spelling: _Spelling) -> str:
    first, *rest = name.split("_")
    match spelling:
        case "snake":
            return name
        case "camel":
            return first + "".join(word.capitalize() for word in rest)
        case "pascal":
            return "".join(word.capitalize() for word in (first, *rest))


def _abroad(named: Json) -> str:
    words = (("datacenter", "datacenter"), ("peer", "peer"), ("sameness_group", "sameness group"))
    return "".join(f" in {word} {value}" for key, word in words if (value := text(named, key)))
