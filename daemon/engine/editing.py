"""What a revert would write in a mesh's clusters, shown before it is; and a revert undone by hand, in each cluster that it reached.

Whoever undoes one looks first (``plan_restore``): where one object was changed by somebody since, none should be written, so that
no half of a release comes back. Nobody is told of it: it is a person's doing, and no verdict.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from daemon.engine.fanout import Clusters, words_of
from daemon.errors import Blocked, NotFound, Refused, VerdictdError
from daemon.model import Release
from daemon.packages import defects_of
from daemon.placement import PatchedObject, PlannedObject, Undo
from daemon.ports.routing import RouteEditor, TrafficRouter

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plans:
    """What would be written.

    Attributes:
        objects: in the order of their clusters.
        unknown: of which clusters it is not known, and why, a sentence each.
        blocked: why nothing would be written at all in some, since nobody would serve, a sentence each.
    """

    objects: tuple[PlannedObject, ...]
    unknown: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether nothing is known that would stand in its way."""
        return not self.blocked and all(one.failure is None for one in self.objects)


async def plan(clusters: Clusters, release: Release, *, located: str) -> Plans:
    """What taking the traffic back would write now. Nothing is written."""
    words, several = words_of(clusters, located), len(clusters) > 1

    async def one(name: str) -> Plans:
        said = f"{name}: " if several else ""
        try:
            with defects_of("the mesh's adapter"):
                planned = await _editor(clusters, name).plan(release, located=words[name])
        except VerdictdError as error:
            # In a further cluster there need not be anything of the release.
            is_nothing = name != next(iter(clusters)) and isinstance(error, NotFound)
            return Plans(objects=(), unknown=() if is_nothing else (f"{said}{error}",))
        objects = tuple(msgspec.structs.replace(part, cluster=name if several else "") for part in planned)
        harm = await _harm(clusters[name].router, release, located=words[name])
        return Plans(objects=objects, blocked=(f"{said}{harm}",) if harm else ())

    found = await asyncio.gather(*map(one, clusters))
    return Plans(
        objects=tuple(part for some in found for part in some.objects),
        unknown=tuple(part for some in found for part in some.unknown),
        blocked=tuple(part for some in found for part in some.blocked),
    )


async def plan_restore(clusters: Clusters, undos: Sequence[Undo]) -> tuple[PlannedObject, ...]:
    """What undoing a revert would write, and what cannot be undone, with the reason. Nothing is written."""

    async def one(name: str, some: list[Undo]) -> Sequence[PlannedObject]:
        try:
            with defects_of("the mesh's adapter"):
                return await _editor(clusters, name).plan_restore(some)
        except VerdictdError as error:
            return [PlannedObject(object=undo.object, cluster=undo.cluster, failure=error) for undo in some]

    return _flat(await asyncio.gather(*(one(name, some) for name, some in _by_cluster(clusters, undos).items())))


async def restore(clusters: Clusters, undos: Sequence[Undo]) -> tuple[PatchedObject, ...]:
    """Undo a revert, each object only while it is as it was left. Looked at before by ``plan_restore``."""

    async def one(name: str, some: list[Undo]) -> Sequence[PatchedObject]:
        try:
            with defects_of("the mesh's adapter"):
                return await _editor(clusters, name).restore(some)
        except VerdictdError as error:
            return [PatchedObject(object=undo.object, failure=error, sent_at=0.0, acknowledged_at=0.0) for undo in some]

    return _flat(await asyncio.gather(*(one(name, some) for name, some in _by_cluster(clusters, undos).items())))


async def _harm(router: TrafficRouter, release: Release, *, located: str) -> str:
    """Why the traffic would not be sent to the baseline; empty where that is not sure."""
    try:
        with defects_of("the mesh's adapter"):
            await router.check_baseline(release, located=located)
    except Blocked as error:
        return str(error)
    except VerdictdError:
        pass  # what is not known of the baseline stands in the placement, and holds up no revert
    return ""


def _editor(clusters: Clusters, name: str) -> RouteEditor:
    """Raises ``Refused`` where the mesh shows nothing, and ``NotFound`` where there is no such cluster."""
    if name not in clusters:
        raise NotFound(f"the mesh has no cluster {name}; it has {', '.join(clusters)}")
    router = clusters[name].router
    if not isinstance(router, RouteEditor):
        raise Refused("this mesh does not show what it writes, and cannot put it back")
    return router


def _by_cluster(clusters: Clusters, undos: Iterable[Undo]) -> dict[str, list[Undo]]:
    """An undo that says no cluster is of a mesh that had one: the first."""
    found: dict[str, list[Undo]] = {}
    for undo in undos:
        found.setdefault(undo.cluster or next(iter(clusters)), []).append(undo)
    return found


def _flat(some: Iterable[Sequence[T]]) -> tuple[T, ...]:
    return tuple(one for part in some for one in part)
