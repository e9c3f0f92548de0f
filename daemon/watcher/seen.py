"""A route as it is now, what is written beside it, and whether anything can come of looking at it. Pure."""

from dataclasses import dataclass, field

import msgspec

from daemon.discovery.picture import Labels, Picture, Uses, uses
from daemon.watcher.annotations import Annotated, Wishes, wishes
from daemon.watcher.kept import KeptRoute, RouteKey, used
from daemon.watcher.reading import Around
from daemon.watcher.settings import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A route as it is now.

    Attributes:
        key: which.
        uid, version: of the object; empty: it is not there.
        picture: what it sends where.
        annotations: its own.
        is_ours: whether it was verdictd that wrote last what it sends where.
    """

    key: RouteKey
    uid: str = ""
    version: str = ""
    picture: Picture
    annotations: Labels = field(default_factory=dict)
    is_ours: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How routes of a mesh are watched.

    Attributes:
        mesh: its name in the settings.
        mode: whether anything may be taken back.
        guard_seconds: for how long whoever has taken a canary back puts it back where somebody undoes that.
    """

    mesh: str
    mode: Mode
    guard_seconds: float


def wishes_of(seen: Seen, around: Around, now: Uses) -> Wishes:
    """What is wished of the route, by itself and by the Services that it sends to. ``now``: what its destinations get."""
    named = dict.fromkeys((one.namespace, one.service) for one in sorted(now) if one.service)
    services = [
        Annotated(said=f"Service {namespace}/{name}", annotations=around.annotations.get((namespace, name), {}))
        for namespace, name in named
    ]
    return wishes(Annotated(said=str(seen.key), annotations=seen.annotations), services, destinations=now)


def is_quiet(kept: KeptRoute | None, seen: Seen) -> bool:
    """Whether nothing can come of a look, so that nothing around need be read: no two destinations, or nothing has changed."""
    now = uses(seen.picture)
    if kept is None or kept.opened or kept.asked or kept.refused:
        return kept is None and len(now) < 2
    return len(now) < 2 or (kept.before == now and _said(seen) == ())


def unasked(kept: KeptRoute | None, seen: Seen) -> KeptRoute | None:
    """What is to be kept of a route of which nothing can come."""
    if not seen.uid:
        return None
    still = kept or KeptRoute(key=seen.key)
    return msgspec.structs.replace(still, uid=seen.uid, version=seen.version, uses=used(uses(seen.picture)))


def _said(seen: Seen) -> tuple[str, ...]:
    """What of ours is written on the route."""
    return tuple(f"{key}={value}" for key, value in sorted(seen.annotations.items()) if key.startswith("verdictd.io/"))
