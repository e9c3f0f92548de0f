"""The types of what is read of a TrafficSplit and a ServiceProfile, as their definitions give them (``daemon.kube.forms``).

Weights are of no type here: what is none is told as such where it is read, with its split (``daemon.meshes.smi.splits``).
"""

from typing import Any

import msgspec

from daemon.kube.forms import Form


class _Backend(msgspec.Struct, frozen=True):
    service: str | None = None


class _Splits(msgspec.Struct, frozen=True):
    service: str | None = None
    backends: list[_Backend] | None = None
    matches: list[Any] | None = None


class TrafficSplit(Form, frozen=True):
    """Of a TrafficSplit, in each of its versions."""

    spec: _Splits | None = None


class _Override(msgspec.Struct, frozen=True):
    authority: str | None = None


class _Profiled(msgspec.Struct, frozen=True, rename="camel"):
    dst_overrides: list[_Override] | None = None


class ServiceProfile(Form, frozen=True):
    """Of a ServiceProfile."""

    spec: _Profiled | None = None
