"""What people write on a route or on the Services of its arms about how it is watched. Pure.

What stands on the route goes before what stands on a Service. A value that means nothing is a fault with its place, and never
taken for another: somebody who wrote ``of`` for ``off`` shall hear of it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from config.errors import Fault, one_of
from daemon import names
from daemon.discovery.picture import Destination
from daemon.errors import InvalidInput

Watching = Literal["off", "observe", "enforce"]

WATCH: Final = "verdictd.io/watch"
POLICY: Final = "verdictd.io/policy"
BASELINE: Final = "verdictd.io/baseline"
CANARY: Final = "verdictd.io/canary"
KNOWN: Final = (WATCH, POLICY, BASELINE, CANARY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotated:
    """An object and its annotations; ``said`` is how it is called."""

    said: str
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is wished. Null: nothing was written of it. ``faults``: what means nothing."""

    watch: Watching | None = None
    policy: str | None = None
    baseline: Destination | None = None
    canary: Destination | None = None
    faults: tuple[Fault, ...] = ()


def wishes(route: Annotated, services: Sequence[Annotated], *, destinations: Iterable[Destination]) -> Wishes:
    """What is written on a route and on the Services that it sends to.

    Args:
        route: the route.
        services: of its destinations.
        destinations: that an arm may be named of.
    """
    among, faults = sorted(set(destinations)), list[Fault]()
    written = {key: _written(key, route, services, faults) for key in KNOWN}
    return Wishes(
        watch=_watch(written[WATCH], faults),
        policy=_policy(written[POLICY], faults),
        baseline=_arm(written[BASELINE], among, faults),
        canary=_arm(written[CANARY], among, faults),
        faults=tuple(faults),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    value: str
    path: str
    on_route: bool


def _written(key: str, route: Annotated, services: Sequence[Annotated], faults: list[Fault]) -> _Written | None:
    """What the route says, else what the Services do; those that disagree are a fault."""
    if key in route.annotations:
        return _Written(value=route.annotations[key], path=_path(route, key), on_route=True)
    found = [
        _Written(value=one.annotations[key], path=_path(one, key), on_route=False) for one in services if key in one.annotations
    ]
    other = next((one for one in found if one.value != found[0].value), None)
    if other is not None:
        wrong = f"is {other.value[:80]!r}, and {found[0].value[:80]!r} at {found[0].path}"
        faults.append(Fault(path=other.path, message=wrong, fix="write it on the route, or the same on all its Services"))
        return None
    return found[0] if found else None


def _path(of: Annotated, key: str) -> str:
    return f"{of.said} {key}"


def _watch(written: _Written | None, faults: list[Fault]) -> Watching | None:
    if written is None:
        return None
    known: tuple[Watching, ...] = get_args(Watching)
    for word in known:
        if written.value == word:
            return word
    faults.append(Fault(path=written.path, message=f"is {written.value[:80]!r}", fix=f"write {one_of(known)}"))
    return None


def _policy(written: _Written | None, faults: list[Fault]) -> str | None:
    if written is None:
        return None
    try:
        return names.token(written.value, path=written.path)
    except InvalidInput as error:
        faults.extend(error.faults)
        return None


def _arm(written: _Written | None, among: Sequence[Destination], faults: list[Fault]) -> Destination | None:
    """The one destination that has this name; on a Service it may be about another route."""
    if written is None:
        return None
    found = [one for one in among if written.value in _names(one)]
    if len(found) == 1:
        return found[0]
    if written.on_route or found:
        there = one_of(one.short for one in among) if among else "nothing, since the route sends to nobody"
        said = f"{written.value[:80]!r} is {'several' if found else 'none'} of the route's destinations"
        faults.append(Fault(path=written.path, message=said, fix=f"write {there}"))
    return None


def _names(destination: Destination) -> Iterator[str]:
    """``v2``, ``web/v2``; without a subset ``web-v2``, and any host in full."""
    if destination.subset:
        yield from (destination.subset, f"{destination.service or destination.host}/{destination.subset}")
    else:
        yield from (destination.service, destination.host)
