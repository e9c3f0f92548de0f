"""What would be written, as a person reads it at three in the morning, and as JSON: value by value, each with its whole path.

No lines of context: in an object of forty rules they would look the same around every change. What a change means stands above its
values, in words; whose object it is, in its heading.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from daemon.cli import rendering
from daemon.placement import ObjectName, Placement, PlannedObject, RouteReference, ValueChange

_GROWTH_REMARKED = 2.0
_PLAIN = re.compile(r"[A-Za-z_][\w-]*")


class ShownValue(msgspec.Struct, frozen=True, kw_only=True):
    """One value of ``ShownObject``; one that is not there has no ``before``, or no ``after``."""

    path: str
    before: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    after: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class ShownObject(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--json`` says of one object that would be written. ``failure``: why it cannot be; else empty."""

    kind: str
    name: str
    namespace: str
    cluster: str
    owner: str
    changes: tuple[str, ...]
    values: tuple[ShownValue, ...]
    failure: str


class ReadyPods(msgspec.Struct, frozen=True, kw_only=True):
    """The baseline's readiness for what comes back.

    Attributes:
        baseline, baseline_ready, canary, canary_ready: pods, and those of them that are sent requests.
        growth: how many times as many requests as any pod gets now a ready pod of the baseline would get; null: none is ready.
    """

    baseline: int
    baseline_ready: int
    canary: int
    canary_ready: int
    growth: float | None

    def __str__(self) -> str:
        """One line, with a remark where the baseline is small for it."""
        ours, others = (
            f"{self.baseline_ready} of the baseline's {self.baseline}",
            f"{self.canary_ready} of the canary's {self.canary}",
        )
        if self.growth is None:
            return f"ready pods: {ours}, {others}; CAREFUL: none could take what comes back"
        careful = "CAREFUL: " if self.growth >= _GROWTH_REMARKED else ""
        more = f"a pod of the baseline will get {self.growth:.2g} times what the busiest pod gets now"
        return f"ready pods: {ours}, {others}; {careful}with all of the traffic {more}"


def ready_pods(placement: Placement) -> ReadyPods | None:
    """By the pods that both arms are; null where they are not known.

    The load of a pod is its arm's share of the traffic by the number of ready ones; the canary's share is its largest weight.
    """
    if placement.pods is None or placement.pods.baseline.pods is None or placement.pods.canary.pods is None:
        return None
    baseline, canary = placement.pods.baseline.pods, placement.pods.canary.pods
    ready, others = (sum(pod.ready for pod in arm) for arm in (baseline, canary))
    share = placement.canary_percent
    busiest = max((100.0 - share) / ready if ready else 0.0, share / others if others else 0.0)
    growth = 100.0 / ready / busiest if ready and busiest else None
    return ReadyPods(baseline=len(baseline), baseline_ready=ready, canary=len(canary), canary_ready=others, growth=growth)


def owners(routes: Iterable[RouteReference]) -> Mapping[tuple[str, ObjectName], str]:
    """Who writes each object by itself, as the placement says it."""
    return {(one.cluster, one.object): one.owner for one in routes if one.owner}


def lines(objects: Sequence[PlannedObject], *, owned: Mapping[tuple[str, ObjectName], str]) -> Iterator[str]:
    """Some lines for each object; what came from outside is shown without its control characters."""
    for one in objects:
        owner = owned.get((one.cluster, one.object), "")
        yield rendering.clean(f"{one}" + (f", owned by {owner}" if owner else ""))
        if one.failure is not None:
            yield rendering.clean(f"  cannot be written: {one.failure}")
        yield from (rendering.clean(f"  {change}") for change in one.changes)
        for value in one.values:
            yield from (rendering.clean(line) for line in _both(value))


def shown(objects: Sequence[PlannedObject], *, owned: Mapping[tuple[str, ObjectName], str]) -> tuple[ShownObject, ...]:
    """The same for ``--json``."""
    return tuple(
        ShownObject(
            kind=one.object.kind,
            name=one.object.name,
            namespace=one.object.namespace,
            cluster=one.cluster,
            owner=owned.get((one.cluster, one.object), ""),
            changes=tuple(map(str, one.changes)),
            values=tuple(_value(value) for value in one.values),
            failure="" if one.failure is None else str(one.failure),
        )
        for one in objects
    )


def _value(value: ValueChange) -> ShownValue:
    before, after = (msgspec.UNSET if text is None else msgspec.Raw(text.encode()) for text in (value.before, value.after))
    return ShownValue(path=value.path, before=before, after=after)


def _both(value: ValueChange) -> Iterator[str]:
    where = _dotted(value.path)
    if value.before is not None:
        yield f"  - {where}: {value.before}"
    if value.after is not None:
        yield f"  + {where}: {value.after}"


def _dotted(pointer: str) -> str:
    """``spec.http[0].route[1].weight``."""
    said = ""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        said += f"[{name}]" if name.isdecimal() else f".{name}" if _PLAIN.fullmatch(name) else f"[{name!r}]"
    return said.removeprefix(".")
