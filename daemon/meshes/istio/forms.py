"""The types of what is read of Istio's objects, as their definitions give them (``daemon.kube.forms``)."""

from typing import Any

import msgspec

from daemon.kube.forms import Form


class _Port(msgspec.Struct, frozen=True):
    number: int | None = None


class _Destination(msgspec.Struct, frozen=True):
    host: str | None = None
    subset: str | None = None
    port: _Port | None = None


class _Operations(msgspec.Struct, frozen=True):
    set: dict[str, str] | None = None
    add: dict[str, str] | None = None
    remove: list[str] | None = None


class _Headers(msgspec.Struct, frozen=True):
    request: _Operations | None = None


class _Target(msgspec.Struct, frozen=True):
    destination: _Destination | None = None
    weight: int | None = None
    headers: _Headers | None = None


class _Percent(msgspec.Struct, frozen=True):
    value: int | float | None = None


class _Mirror(msgspec.Struct, frozen=True):
    destination: _Destination | None = None
    percentage: _Percent | None = None


class _Delegate(msgspec.Struct, frozen=True):
    name: str | None = None
    namespace: str | None = None


class _Rewrite(msgspec.Struct, frozen=True):
    authority: str | None = None


class _Stream(msgspec.Struct, frozen=True):
    """A route of TCP or TLS."""

    name: str | None = None
    route: list[_Target] | None = None


class _Http(msgspec.Struct, frozen=True):
    name: str | None = None
    route: list[_Target] | None = None
    headers: _Headers | None = None
    mirror: _Destination | None = None
    mirrors: list[_Mirror] | None = None
    # Both names of a field that was renamed, and that of protobuf: whichever is there is read.
    mirror_percentage: _Percent | None = msgspec.field(name="mirrorPercentage", default=None)
    mirror_percent: int | None = msgspec.field(name="mirrorPercent", default=None)
    mirror_percent_: int | None = msgspec.field(name="mirror_percent", default=None)
    delegate: _Delegate | None = None
    rewrite: _Rewrite | None = None


class _Routes(msgspec.Struct, frozen=True):
    hosts: list[str] | None = None
    gateways: list[str] | None = None
    http: list[_Http] | None = None
    tcp: list[_Stream] | None = None
    tls: list[_Stream] | None = None


class VirtualService(Form, frozen=True):
    """Of a VirtualService."""

    spec: _Routes | None = None


class _Subset(msgspec.Struct, frozen=True):
    name: str | None = None
    labels: dict[str, str] | None = None


class _Rule(msgspec.Struct, frozen=True, rename="camel"):
    host: str | None = None
    subsets: list[_Subset] | None = None
    export_to: list[str] | None = None
    workload_selector: dict[str, Any] | None = None


class DestinationRule(Form, frozen=True):
    """Of a DestinationRule."""

    spec: _Rule | None = None


class _Machine(msgspec.Struct, frozen=True):
    labels: dict[str, str] | None = None


class WorkloadEntry(Form, frozen=True):
    """Of a WorkloadEntry."""

    spec: _Machine | None = None


class _Hosts(msgspec.Struct, frozen=True):
    hosts: list[str] | None = None


class ServiceEntry(Form, frozen=True):
    """Of a ServiceEntry."""

    spec: _Hosts | None = None
