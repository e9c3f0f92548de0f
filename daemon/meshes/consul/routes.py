"""Where a config entry names the canary, and what takes the traffic back in it. Pure.

Whatever way a request goes (router, splitter, splitters behind it, resolver), the canary is named outright at its last step but
one. So entries do not depend on each other: where every naming is gone, no way leads to the canary any more. A split stays with
weight 0, since the proxies forget the counters of one that is dropped; the baseline gets exactly its weight. What can only be
pointed is pointed: destinations, redirects, the default subset.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from daemon.errors import Refused
from daemon.meshes.consul import weights
from daemon.meshes.consul.entries import Edit, Entry, Path, Target, field, numbered, text
from daemon.meshes.references import Json
from daemon.placement import ObjectName, RouteChange, RouteReference


@dataclass(frozen=True, slots=True, kw_only=True)
class Arms:
    """The two arms of a release, in one namespace and partition. A canary without a subset is all of its service.

    ``aliases`` are other subsets of the canary's service that choose by the same filter.
    """

    baseline: Target
    canary: Target
    aliases: tuple[str, ...] = ()

    def is_canary(self, target: Target) -> bool:
        """Whether these instances are the canary's, and no others."""
        return target.is_same_service(self.canary) and (
            self.canary.subset in (None, target.subset) or target.subset in self.aliases
        )

    def is_baseline(self, target: Target) -> bool:
        """Whether they are named as the baseline is."""
        return target == self.baseline


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """What is written in one entry; nothing: there is nothing to take back."""

    edits: tuple[Edit, ...] = ()
    changes: tuple[RouteChange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Naming:
    """One place that names the canary: its share, and what is written there, or why that cannot be done."""

    place: str
    percent: float
    is_split: bool = False
    edits: tuple[Edit, ...] = ()
    detail: str = ""
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Split:
    at: int
    raw: Json
    target: Target

    @property
    def parts(self) -> int:
        return weights.hundredths(field(self.raw, "weight"))


def references(entry: Entry, *, arms: Arms, object_name: ObjectName) -> tuple[RouteReference, ...]:
    """Every place that names the canary, those with a weight of 0 included; with why, where it cannot be pointed elsewhere."""
    return tuple(
        RouteReference(
            object=object_name,
            place=one.place + (f" (it stays: {one.refusal})" if one.refusal else ""),
            kind="weight" if one.is_split else "pin",
            percent=one.percent,
            owner=entry.owner,
        )
        for one in _namings(entry, arms)
    )


def names_canary(entry: Entry, *, arms: Arms) -> bool:
    """Whether any place does."""
    return bool(_namings(entry, arms))


def revert(entry: Entry, *, arms: Arms) -> Rewrite:
    """All that goes to the canary goes to the baseline; every other field stays as it is.

    Raises:
        Refused: nothing can be written here, though the canary gets traffic.
    """
    found = [one for one in _namings(entry, arms) if one.edits or one.refusal]
    edits = tuple(edit for one in found for edit in one.edits)
    if not edits and (refusals := [f"{one.place}: {one.refusal}" for one in found if one.refusal]):
        raise Refused("; ".join(refusals))
    changes = tuple(RouteChange(place=one.place, detail=one.detail) for one in found if one.edits)
    return Rewrite(edits=edits, changes=changes)


def targets(entry: Entry) -> Iterator[Target]:
    """All that requests are sent to by this entry's splits, destinations and redirect."""
    match entry.kind:
        case "service-splitter":
            yield from (one.target for one in _splits(entry))
        case "service-router":
            yield from (entry.target(field(route, "destination")) for _, route in numbered(entry.body, "routes"))
        case "service-resolver":
            if (redirect := field(entry.body, "redirect")) is not None:
                yield entry.target(redirect)
        case _:
            assert_never(entry.kind)


def served(entry: Entry) -> Iterator[Target]:
    """The targets of a splitter's splits that get something."""
    return (one.target for one in _splits(entry) if one.parts)


def weighed(entry: Entry) -> Iterator[tuple[Target, int]]:
    """The targets of a splitter's splits, each with its part in hundredths of a percent."""
    return ((one.target, one.parts) for one in _splits(entry))


def _namings(entry: Entry, arms: Arms) -> list[_Naming]:
    match entry.kind:
        case "service-splitter":
            return list(_in_splitter(entry, arms))
        case "service-router":
            return list(_in_router(entry, arms))
        case "service-resolver":
            return list(_in_resolver(entry, arms))
        case _:
            assert_never(entry.kind)


def _splits(entry: Entry) -> list[_Split]:
    return [_Split(at=at, raw=raw, target=entry.target(raw)) for at, raw in numbered(entry.body, "splits")]


def _in_splitter(entry: Entry, arms: Arms) -> Iterator[_Naming]:
    splits = _splits(entry)
    named = [one for one in splits if arms.is_canary(one.target)]
    if not named:
        return
    moved = sum(one.parts for one in named)
    place = f"{_numbers(named)} of {len(splits)}"
    share = float(weights.percent(moved))
    if all(one.parts == 0 for one in named):
        yield _Naming(place=place, percent=0.0, is_split=True)
        return
    # Of several that name it the one that serves.
    baseline = max((one for one in splits if arms.is_baseline(one.target)), key=lambda one: one.parts, default=None)
    now = moved + (0 if baseline is None else baseline.parts)
    if not 0 <= now <= weights.WHOLE:
        why = f"the baseline would get {weights.percent(now)} of 100, since its weights are no parts of 100"
        yield _Naming(place=place, percent=share, is_split=len(named) < len(splits), refusal=why)
        return
    detail = f"weight {share:g} of {arms.canary} -> {arms.baseline}" + ("" if baseline else ", which is added as a split")
    written = {one.at: weights.percent(one.parts) for one in splits} | {one.at: 0 for one in named}
    yield _Naming(
        place=place,
        percent=share,
        is_split=len(named) < len(splits),
        edits=(
            *(_weight(entry, one, 0) for one in named),
            _given(entry, baseline, weights.percent(now), written, arms.baseline),
        ),
        detail=detail,
    )


def _weight(entry: Entry, split: _Split, weight: float) -> Edit:
    at: Path = (entry.key(entry.body, "splits"), split.at, entry.key(split.raw, "weight"))
    return Edit(op="set", at=at, value=weight)


def _given(entry: Entry, split: _Split | None, now: float, others: dict[int, float], baseline: Target) -> Edit:
    """The baseline's weight in its own split, or in one that is added at the end. ``others``: all weights, by their places."""
    at = 1 + max(others) if split is None else split.at
    written = others | {at: now}
    order = sorted(written)
    weight = weights.settled([written[one] for one in order], at=order.index(at)) if entry.is_resource else now
    if split is not None:
        return _weight(entry, split, weight)
    added = {entry.key({}, "weight"): weight, **_named_as(entry, baseline)}
    return Edit(op="append", at=(entry.key(entry.body, "splits"),), value=added)


def _in_router(entry: Entry, arms: Arms) -> Iterator[_Naming]:
    key = entry.key(entry.body, "routes")
    for at, route in numbered(entry.body, "routes"):
        destination = field(route, "destination")
        if arms.is_canary(entry.target(destination)):
            where: Path = (key, at, entry.key(route, "destination"))
            yield _Naming(
                place=f"route #{at}",
                percent=100.0,
                edits=tuple(_pointed(entry, where, destination, arms.baseline)),
                detail=f"destination {arms.canary} -> {arms.baseline}",
            )


def _in_resolver(entry: Entry, arms: Arms) -> Iterator[_Naming]:
    redirect = field(entry.body, "redirect")
    if isinstance(redirect, dict) and arms.is_canary(entry.target(redirect)):
        where: Path = (entry.key(entry.body, "redirect"),)
        back = arms.baseline == entry.own
        yield _Naming(
            place="redirect",
            percent=100.0,
            # To itself it would lead nowhere.
            edits=(Edit(op="remove", at=where),) if back else tuple(_pointed(entry, where, redirect, arms.baseline)),
            detail=f"redirect to {arms.canary} " + ("removed" if back else f"-> {arms.baseline}"),
        )
    default = text(entry.body, "default_subset")
    # Of a canary that is all of its service the default subset leads nowhere else.
    if default and arms.canary.subset is not None and arms.is_canary(entry.target({"service_subset": default})):
        yield _default_subset(entry, arms)


def _default_subset(entry: Entry, arms: Arms) -> _Naming:
    place, subset = "default subset", arms.baseline.subset
    if not arms.baseline.is_same_service(entry.own) or subset is None:
        why = f"a default subset can only be one of {entry.name}'s own, and the baseline is {arms.baseline}"
        return _Naming(place=place, percent=100.0, refusal=why)
    if subset not in (field(entry.body, "subsets") or {}):
        return _Naming(place=place, percent=100.0, refusal=f"{entry.name} has no subset {subset}")
    edit = Edit(op="set", at=(entry.key(entry.body, "default_subset"),), value=subset)
    return _Naming(place=place, percent=100.0, edits=(edit,), detail=f"{text(entry.body, 'default_subset')} -> {subset}")


def _pointed(entry: Entry, where: Path, holder: object, baseline: Target) -> Iterator[Edit]:
    """The fields that must change for the holder to name the baseline, and no other: namespace and partition are the canary's."""
    if not isinstance(holder, dict):
        yield Edit(op="set", at=where, value=_named_as(entry, baseline))
        return
    if entry.target(holder).service != baseline.service:
        yield Edit(op="set", at=(*where, entry.key(holder, "service")), value=baseline.service)
    subset = entry.key(holder, "service_subset")
    if baseline.subset is not None:
        yield Edit(op="set", at=(*where, subset), value=baseline.subset)
    elif subset in holder:
        yield Edit(op="remove", at=(*where, subset))


def _named_as(entry: Entry, target: Target) -> Json:
    """The fields that name a target in this entry; what is its own need not be named."""
    fields = (
        ("service", target.service, entry.name),
        ("service_subset", target.subset, None),
        ("namespace", target.namespace, entry.namespace),
        ("partition", target.partition, entry.partition),
    )
    return {entry.key({}, name): value for name, value, own in fields if value != own}


def _numbers(named: list[_Split]) -> str:
    return f"split{'s' if len(named) > 1 else ''} {', '.join(f'#{one.at}' for one in named)}"
