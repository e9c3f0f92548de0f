"""The types of what is read of the Gateway API's objects, as their definitions give them (``daemon.kube.forms``)."""

from __future__ import annotations

import msgspec

from daemon.kube.forms import Form


class _Reference(msgspec.Struct, frozen=True):
    """A parent, or what is granted to whom."""

    group: str | None = None
    kind: str | None = None
    name: str | None = None
    namespace: str | None = None


class _Backend(_Reference, frozen=True):
    port: int | None = None
    weight: int | None = None
    filters: list[_Filter] | None = None


class _Fraction(msgspec.Struct, frozen=True):
    numerator: int | None = None
    denominator: int | None = None


class _Mirror(msgspec.Struct, frozen=True, rename="camel"):
    backend_ref: _Backend | None = None
    percent: int | None = None
    fraction: _Fraction | None = None


class _Filter(msgspec.Struct, frozen=True, rename="camel"):
    type: str | None = None
    request_mirror: _Mirror | None = None


class _Rule(msgspec.Struct, frozen=True, rename="camel"):
    name: str | None = None
    backend_refs: list[_Backend] | None = None
    filters: list[_Filter] | None = None


class _Rules(msgspec.Struct, frozen=True, rename="camel"):
    parent_refs: list[_Reference] | None = None
    rules: list[_Rule] | None = None


class Route(Form, frozen=True):
    """Of each of the kinds of routes, and of what others have made in the same words."""

    spec: _Rules | None = None


class _Granted(msgspec.Struct, frozen=True):
    from_: list[_Reference] | None = msgspec.field(name="from", default=None)
    to: list[_Reference] | None = None


class ReferenceGrant(Form, frozen=True):
    """Of a ReferenceGrant."""

    spec: _Granted | None = None
