"""The routes of one cluster as their watches have them, and who is told when one changes, or a controller that owns some.

A route is watched once, though several meshes go by it: by the first of them in the settings.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from config.settings import Mesh
from daemon.aio.clock import Clock
from daemon.aio.tasks import TaskGroup
from daemon.delivery.ownerkind import Owning
from daemon.discovery.owned import Owned
from daemon.discovery.picture import Picture
from daemon.errors import NotFound, Refused, Unavailable, VerdictdError
from daemon.kube.answers import Expired
from daemon.kube.applying import wrote_last
from daemon.kube.forms import Misread, well_formed
from daemon.kube.informer import Informer
from daemon.kube.listwatch import Source
from daemon.kube.resources import Json, Resource, metadata_of
from daemon.meshes.kind import Pictured
from daemon.placement import ObjectName
from daemon.standing import Standing
from daemon.watcher.kept import RouteKey, key_of
from daemon.watcher.reading import annotations_of
from daemon.watcher.seen import Manner, Seen

log = logging.getLogger(__name__)

Beside = Mapping[Resource, Sequence[Json] | VerdictdError]

UNREAD: Final = Unavailable("it was not read")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """Of a kind of route: the mesh that goes by it, how that is watched, and how its routes are read."""

    mesh: Mesh
    manner: Manner
    pictured: Pictured


@dataclass(frozen=True, slots=True)
class _Route:
    item: Json
    is_ours: bool


class Watches:
    """All watches of one cluster.

    Args:
        cluster: its name in the settings.
        kinds: the kinds of routes.
        owning: the kinds of controllers.
        namespaces: where; none: everywhere.
        source: where objects of a kind are listed and watched, in a namespace or, null, in all.
        changed: hears of each route that has changed.
        owner_changed: hears of each namespace where a controller says something else than before.
    """

    def __init__(
        self,
        cluster: str,
        *,
        kinds: Mapping[Resource, Watched],
        owning: Sequence[Owning],
        namespaces: Sequence[str],
        source: Callable[[Resource, str | None], Source],
        clock: Clock,
        changed: Callable[[RouteKey], None],
        owner_changed: Callable[[str], None],
    ) -> None:
        self._cluster = cluster
        self.kinds = kinds
        self._places: Sequence[str | None] = list(namespaces) or [None]
        self._owning = owning
        self._source = source
        self._clock = clock
        self._changed = changed
        self._owner_changed = owner_changed
        self._routes: dict[tuple[Resource, str | None], Informer[_Route | Misread]] = {}
        self._owners: list[tuple[Resource, Informer[None]]] = []

    @property
    def problem(self) -> str | None:
        """Why some changes may not be seen now; null where all are. A kind that the cluster does not know changes nothing."""
        routes = [(resource, informer.failure) for (resource, _), informer in self._routes.items()]
        failures = [*routes, *((resource, informer.failure) for resource, informer in self._owners)]
        serious = [(what, why) for what, why in failures if why is not None and not isinstance(why, NotFound | Expired)]
        if not serious and routes and all(isinstance(why, NotFound) for _, why in routes):
            serious = [(what, why) for what, why in routes if why is not None]
        return next((f"watch of {what} in {self._cluster}: {why}" for what, why in serious), None)

    async def run(self, known: Mapping[RouteKey, str]) -> None:
        """Watch for ever; cancel it to end it. ``known``: the uids of routes that were there when they were last looked at."""
        async with TaskGroup() as group:
            for place in self._places:
                for resource in self.kinds:
                    self._routes[resource, place] = informer = self._informer(resource, place, known)
                    group.create_task(informer.run(), name=f"watch of {resource}")
                for owning in self._owning:
                    follower = self._follower(owning, place)
                    self._owners.append((owning.resource, follower))
                    group.create_task(follower.run(), name=f"watch of {owning.resource}")

    def follows(self, key: RouteKey) -> bool:
        """Whether a route is of a kind that is watched where it is: another one may have been, when it was kept."""
        there = any((one.group, one.kind) == (key.group, key.kind) for one in self.kinds)
        return there and any(place in {None, key.namespace} for place in self._places)

    def is_listed(self, key: RouteKey) -> bool:
        """Whether it is known if a route is there: before the first listing nothing is, and nothing is gone."""
        informer = self._informer_of(self.resource(key), key)
        return informer is not None and informer.age_seconds is not None

    def seen(self, key: RouteKey, *, beside: Beside) -> Seen:
        """A route as its watch has it now. Raises ``Refused``: it is not of its kind's form."""
        resource = self.resource(key)
        watched, found = self.kinds[resource], self._found(resource, key)
        if isinstance(found, Misread):
            raise Refused(str(found))
        if found is None:
            name = ObjectName(kind=key.kind, namespace=key.namespace, name=key.name)
            return Seen(key=key, picture=Picture(route=name))
        settings: Any = watched.mesh
        metadata = metadata_of(found.item)
        return Seen(
            key=key,
            uid=str(metadata.get("uid", "")),
            version=str(metadata.get("resourceVersion", "")),
            picture=watched.pictured.picture(settings, kind=resource, item=found.item, beside=beside),
            annotations=annotations_of(found.item),
            is_ours=found.is_ours,
        )

    def resource(self, key: RouteKey) -> Resource:
        """The kind of a route that is followed."""
        return next(one for one in self.kinds if (one.group, one.kind) == (key.group, key.kind))

    def beside(self, key: RouteKey) -> tuple[Resource, ...]:
        """The kinds that say what is meant in a route."""
        return self.kinds[self.resource(key)].pictured.beside

    def unread(self, key: RouteKey) -> Beside:
        """As if none of them could be read."""
        return dict.fromkeys(self.beside(key), UNREAD)

    def _found(self, resource: Resource, key: RouteKey) -> _Route | Misread | None:
        informer = self._informer_of(resource, key)
        return None if informer is None else informer.known.get((key.namespace, key.name))

    def _informer_of(self, resource: Resource, key: RouteKey) -> Informer[_Route | Misread] | None:
        found = (one for (kind, place), one in self._routes.items() if kind == resource and place in {None, key.namespace})
        return next(found, None)

    def _informer(self, resource: Resource, place: str | None, known: Mapping[RouteKey, str]) -> Informer[_Route | Misread]:
        standing = self._standing(resource, place)

        def changed(name: tuple[str, str]) -> None:
            standing.works()
            self._changed(key_of(resource, cluster=self._cluster, namespace=name[0], name=name[1]))

        return Informer(
            self._source(resource, place),
            kept=partial(_route, resource),
            clock=self._clock,
            changed=changed,
            failed=partial(_failed, standing),
            known={
                (key.namespace, key.name): uid
                for key, uid in known.items()
                if (key.cluster, key.group, key.kind) == (self._cluster, resource.group, resource.kind)
                and place in {None, key.namespace}
            },
        )

    def _follower(self, owning: Owning, place: str | None) -> Informer[None]:
        """A watch that keeps what each controller's object said, so as to tell when it says something else."""
        standing = self._standing(owning.resource, place)
        said: dict[tuple[str, str], Owned | None] = {}

        def heard(item: Json) -> None:
            metadata = metadata_of(item)
            key = (str(metadata.get("namespace", "")), str(metadata.get("name", "")))
            says = None
            try:
                says = owning.read(item)
            except Refused:
                pass  # said where it is read
            except Exception:
                log.exception("an owner cannot be read, through a defect", extra={"object": f"{key[0]}/{key[1]}"})
            if key not in said or said[key] != says:
                said[key] = says
                self._owner_changed(key[0])

        def changed(key: tuple[str, str]) -> None:
            standing.works()
            if key not in informer.known and key in said:  # it is gone, and says nothing any more
                del said[key]
                self._owner_changed(key[0])

        informer = Informer(
            self._source(owning.resource, place),
            kept=heard,
            clock=self._clock,
            changed=changed,
            failed=partial(_failed, standing),
        )
        return informer

    def _standing(self, resource: Resource, place: str | None) -> Standing:
        where = f"{self._cluster}/{place}" if place is not None else self._cluster
        return Standing(f"watch of {resource} in {where} for releases", now=self._clock.now)


def _failed(standing: Standing, error: VerdictdError) -> None:
    # A kind that the cluster does not know has no objects; a version that has grown too old is how a watch goes on.
    if not isinstance(error, NotFound | Expired):
        standing.fails(str(error))


def _route(resource: Resource, item: Json) -> _Route | Misread:
    """Without what a watched object carries along for others, since it may be kept a thousand times; or that it cannot be read."""
    good, misread = well_formed(resource, [item])
    if not good:
        return misread[0]
    metadata = {key: value for key, value in metadata_of(item).items() if key != "managedFields"}
    return _Route({**item, "metadata": metadata}, wrote_last(item))


def watched_kinds(meshes: Sequence[Watched]) -> dict[Resource, Watched]:
    """Each kind of route with the first mesh that goes by it."""
    found: dict[Resource, Watched] = {}
    seen: set[tuple[str, str]] = set()
    for watched in meshes:
        for resource in watched.pictured.routes:
            if (resource.group, resource.kind) not in seen:
                seen.add((resource.group, resource.kind))
                found[resource] = watched
    return found
