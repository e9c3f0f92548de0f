"""Relative weights of Services in one list, as a TrafficSplit and a ServiceProfile have it, and how a canary's is moved. Pure.

What a backend gets is its part of the sum, and a sum of 0 leaves nobody to go to. So a canary's weight is moved: to the
baseline where that is a backend, else with the canary's own entry, which names the baseline from then on. The sum stays.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from daemon.errors import Refused
from daemon.kube.resources import Json
from daemon.meshes.gatewayapi.services import ServiceName, ServicePair
from daemon.meshes.references import Plan, guarded, write
from daemon.meshes.smi.quantities import BILLION, MOST, billionths, quantity
from daemon.placement import ObjectName, RouteChange, RouteReference

Renamed = Callable[["Backend", ServicePair], "Rename"]
"""How a backend is written that names the baseline from now on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    """What is written; or why the baseline cannot be named there."""

    written: str = ""
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One entry of the list.

    Attributes:
        pointer: where it is in the object.
        named_by: the field that names it.
        raw: as it is there.
        service: the Service that it names; null: what it names is none of the cluster's.
        weight: in billionths; null: it is no weight.
    """

    pointer: str
    named_by: str
    raw: Json
    service: ServiceName | None
    weight: int | None

    @property
    def name(self) -> str:
        """As it is written."""
        return str(self.raw.get(self.named_by, ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The list.

    Attributes:
        object: that it is in.
        root: whose requests it is about; null: of what is no Service of the cluster.
        backends: in the order of the object.
        matched: whether it is only for requests that something else picks out.
        quantities: whether a weight may be written as text.
    """

    object: ObjectName
    root: ServiceName | None
    backends: tuple[Backend, ...]
    matched: bool = False
    quantities: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Move:
    """What takes the canary's weight away; or why that cannot be done."""

    tests: tuple[Json, ...] = ()
    writes: tuple[Json, ...] = ()
    changes: tuple[RouteChange, ...] = ()
    refusal: str = ""


def service_of(written: str, *, namespace: str) -> ServiceName | None:
    """``web``, ``web.shop`` or as DNS has it in full; null where it is the name of something else."""
    name, *rest = written.lower().rstrip(".").split(".")
    if not name:
        return None
    if not rest:
        return ServiceName(namespace=namespace, name=name)
    return ServiceName(namespace=rest[0], name=name) if len(rest) == 1 or rest[1] == "svc" else None


def backend(raw: Json, *, pointer: str, named_by: str, service: ServiceName | None) -> Backend:
    """An entry as it is read; a weight that is not there is none."""
    weight = raw.get("weight")
    return Backend(
        pointer=pointer,
        named_by=named_by,
        raw=raw,
        service=service,
        weight=0 if weight is None else billionths(weight),
    )


def references(split: Split, *, arms: ServicePair, renamed: Renamed) -> tuple[RouteReference, ...]:
    """The split, where it names the canary, with a weight of 0 too; with why, where its weight cannot be moved."""
    named = _canaries(split, arms)
    if not named:
        return ()
    refusal = _move(split, arms, renamed).refusal
    alone = split.matched or len(named) == len(split.backends)
    return (
        RouteReference(
            object=split.object,
            place=f"(it stays: {refusal})" if refusal else "",
            kind="pin" if alone else "weight",
            percent=_percent(split, named),
        ),
    )


def revert(item: Json, split: Split, *, arms: ServicePair, renamed: Renamed) -> Plan:
    """The weight of the canary, and of its other names, goes to the baseline; every other backend stays as it is.

    Raises:
        Refused: the canary gets traffic, and its weight cannot be moved.
    """
    moved = _move(split, arms, renamed)
    if moved.refusal:
        raise Refused(moved.refusal)
    return guarded(item, tests=moved.tests, writes=moved.writes, changes=moved.changes)


def _move(split: Split, arms: ServicePair, renamed: Renamed) -> _Move:
    sending = [one for one in _canaries(split, arms) if one.weight != 0]
    if not sending:
        return _Move()
    beside = [one for one in split.backends if one.service == arms.baseline]
    # Of several entries the one that serves: another one may be a leftover that nobody stands behind.
    target = max(beside or sending, key=lambda one: one.weight or 0)
    emptied = [one for one in sending if one is not target]
    if (odd := next((one for one in (target, *emptied) if one.weight is None), None)) is not None:
        return _Move(refusal=f"the weight of {odd.name} is {odd.raw.get('weight')!r}, which is none")
    rename = Rename(written=target.name) if beside else renamed(target, arms)
    total = sum(one.weight or 0 for one in (target, *emptied))
    number = _number(total, like=target, quantities=split.quantities)
    if rename.refusal or number is None:
        return _Move(refusal=rename.refusal or f"a weight of {quantity(total)} cannot be written here")
    named = [write(f"{target.pointer}/{target.named_by}", rename.written)] if rename.written != target.name else []
    weighed = [write(f"{target.pointer}/weight", number)] if emptied else []
    return _Move(
        tests=tuple({"op": "test", "path": f"{one.pointer}/{one.named_by}", "value": one.name} for one in (target, *emptied)),
        writes=(*named, *weighed, *(write(f"{one.pointer}/weight", _number(0, like=one, quantities=True)) for one in emptied)),
        changes=(RouteChange(detail=_said(sending, arms, beside=bool(beside))),),
    )


def _number(weight: int, *, like: Backend, quantities: bool) -> int | str | None:
    """As the weight that it replaces is written; null where the object has no way to write it."""
    whole, rest = divmod(weight, BILLION)
    if whole > MOST:
        return None
    if isinstance(like.raw.get("weight"), str):
        return quantity(weight)
    if rest:
        return quantity(weight) if quantities else None
    return whole


def _said(sending: Sequence[Backend], arms: ServicePair, *, beside: bool) -> str:
    weight = f"weight {quantity(sum(one.weight or 0 for one in sending))} of " if beside else "backend "
    return f"{weight}{arms.canary} -> {arms.baseline}"


def _percent(split: Split, named: Sequence[Backend]) -> float:
    """The share of the sum; of weights that are none, as much as it may be."""
    if all(one.weight == 0 for one in named):
        return 0.0
    weights = [one.weight for one in split.backends]
    if None in weights:
        return 100.0
    return 100.0 * sum(one.weight or 0 for one in named) / sum(weight or 0 for weight in weights)


def _canaries(split: Split, arms: ServicePair) -> list[Backend]:
    return [one for one in split.backends if arms.is_canary(one.service)]
