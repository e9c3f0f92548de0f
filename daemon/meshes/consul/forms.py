"""The types of what is read of Consul's config entries, as it has them itself and as custom resources have them.

Both are made of one: the words are the same, and only their spelling differs.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from daemon.kube.forms import Form
from daemon.meshes.consul.entries import EntryKind

_Names = list[str]


def _bodies(rename: Literal["camel", "pascal"]) -> Mapping[EntryKind, type[msgspec.Struct]]:
    """Of each kind the fields of its body, each of which may be absent or null."""

    def struct(name: str, **fields: Any) -> type[msgspec.Struct]:
        return msgspec.defstruct(name, [(key, kind | None, None) for key, kind in fields.items()], rename=rename, frozen=True)

    target = {"service": str, "service_subset": str, "namespace": str, "partition": str}
    abroad = {"datacenter": str, "peer": str, "sameness_group": str}
    destination = struct("Destination", **target)
    route = struct("Route", destination=destination)
    split = struct("Split", weight=int | float, **target)
    subset = struct("Subset", filter=str, only_passing=bool)
    elsewhere = struct("Elsewhere", **target, **abroad)
    failover = struct("Failover", datacenters=_Names, targets=list[elsewhere], **target, **abroad)  # type: ignore[valid-type]  # made here
    return {
        "service-router": struct("Router", routes=list[route]),  # type: ignore[valid-type]
        "service-splitter": struct("Splitter", splits=list[split]),  # type: ignore[valid-type]
        "service-resolver": struct(
            "Resolver",
            default_subset=str,
            subsets=dict[str, subset | None],  # type: ignore[valid-type]
            redirect=elsewhere,
            failover=dict[str, failover | None],  # type: ignore[valid-type]
        ),
    }


class _Status(msgspec.Struct, frozen=True):
    conditions: list[dict[str, Any]] | None = None


class _Resource(Form, frozen=True):
    status: _Status | None = None


class _Entry(msgspec.Struct, frozen=True, rename="pascal"):
    name: str
    namespace: str | None = None
    partition: str | None = None
    meta: dict[str, Any] | None = None


def _entry(kind: EntryKind, body: type[msgspec.Struct]) -> type[msgspec.Struct]:
    fields = [(one.encode_name, one.type, None) for one in msgspec.structs.fields(body)]
    return msgspec.defstruct(kind, fields, bases=(_Entry,), frozen=True, rename=None, kw_only=True)


RESOURCES: Mapping[EntryKind, type[msgspec.Struct]] = {
    kind: msgspec.defstruct(kind, [("spec", body | None, None)], bases=(_Resource,), frozen=True)
    for kind, body in _bodies("camel").items()
}
"""As custom resources."""

ENTRIES: Mapping[EntryKind, type[msgspec.Struct]] = {kind: _entry(kind, body) for kind, body in _bodies("pascal").items()}
"""As Consul's HTTP API has them."""
