"""Ports of Services, and which of one Service's serves what a port of another does. Pure.

A route that is pointed from one Service at another must name a port that is there: what listens under the canary's number may be
something else at the baseline, or nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.kube.resources import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One port of a Service; a Service with a single one need not name it."""

    number: int
    name: str = ""


def ports_of(service: Json) -> tuple[Port, ...]:
    """As the Service has them."""
    found = (service.get("spec") or {}).get("ports") or ()
    return tuple(Port(number=int(one["port"]), name=str(one.get("name") or "")) for one in found)


def same_port(number: int, *, named: Sequence[Port], there: Sequence[Port]) -> int | None:
    """The port of ``there`` that serves what ``number`` of ``named`` does; null where that is not clear.

    One of the same name is taken for it, then one of the same number, then the only one there is.
    """
    name = next((port.name for port in named if port.number == number), "")
    same_name = [port.number for port in there if name and port.name == name]
    same_number = [port.number for port in there if port.number == number]
    found = same_name or same_number or [port.number for port in there]
    return found[0] if len(found) == 1 else None
