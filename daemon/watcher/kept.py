"""What is kept of each route over restarts: what it sent where when it was last looked at, and what came of that.

A route is looked at as it is, however many changes led there; so all that must survive is what was before. It is written only once
whoever was told has the release safe: a daemon that dies in between finds the same change again, and tells of it under the same id.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from daemon import stored
from daemon.discovery.openings import OpenRelease
from daemon.discovery.picture import Destination, Use, Uses
from daemon.errors import Conflict
from daemon.kube.resources import Resource
from daemon.ports.durable import Kept, Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class RouteKey:
    """Which object: of a cluster by its name in the settings, of a kind by its name and its API's group."""

    cluster: str
    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """``VirtualService shop/web``."""
        return f"{self.kind} {self.namespace}/{self.name}"

    @property
    def stored(self) -> str:
        """Its key in the store, which takes no names from outside."""
        named = msgspec.json.encode((self.cluster, self.group, self.kind, self.namespace, self.name))
        return f"route-{hashlib.sha256(named).hexdigest()[:40]}"


def key_of(resource: Resource, *, cluster: str, namespace: str, name: str) -> RouteKey:
    """Of an object of this kind."""
    return RouteKey(cluster=cluster, group=resource.group, kind=resource.kind, namespace=namespace, name=name)


class KeptUse(msgspec.Struct, frozen=True, kw_only=True):
    """What a destination got."""

    to: Destination
    use: Use


class KeptRelease(msgspec.Struct, frozen=True, kw_only=True):
    """A release of a route.

    Attributes:
        arms: as discovery knows it.
        release_id: under which it was announced.
        runs: what its canary ran, to be compared only; empty: not known.
        reverted_at: when we were seen to have taken it back, in seconds since 1970; null: we have not.
    """

    arms: OpenRelease
    release_id: str
    runs: str = ""
    reverted_at: float | None = None


class KeptRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One route as it was when it was last looked at.

    Attributes:
        key: which.
        uid, version: of the object then; empty: it was not there.
        uses: what each destination got.
        opened: releases that have not ended.
        reverted: those that we have taken back, as long as they may come back.
        asked: questions that have no answer, by what tells them apart.
        refused: what could not be announced as it is, by what tells it apart. What was before is kept then, so that the same change
            is announced once it can be.
    """

    key: RouteKey
    uid: str = ""
    version: str = ""
    uses: tuple[KeptUse, ...] = ()
    opened: tuple[KeptRelease, ...] = ()
    reverted: tuple[KeptRelease, ...] = ()
    asked: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def before(self) -> Uses:
        """What each destination got, as discovery takes it."""
        return {one.to: one.use for one in self.uses}


def used(uses: Uses) -> tuple[KeptUse, ...]:
    """What each destination gets, as it is kept."""
    return tuple(KeptUse(to=to, use=use) for to, use in sorted(uses.items()))


class KeptRoutes:
    """All of them in memory, as the store has them. ``load`` comes first."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._routes: dict[RouteKey, KeptRoute] = {}
        self._revisions: dict[str, int] = {}
        self._followers: list[Callable[[RouteKey], None]] = []
        self.loaded = asyncio.Event()
        """That they have been read."""

    async def load(self) -> None:
        """Read them all. What cannot be read counts as not known, and is said."""
        self._routes.clear()
        self._revisions.clear()
        for key, kept in await self._store.items():
            self._take(key, kept)
        self.loaded.set()

    def follow(self, changed: Callable[[RouteKey], None]) -> None:
        """Hear of each that is kept otherwise than before, or no more."""
        self._followers.append(changed)

    def get(self, key: RouteKey) -> KeptRoute | None:
        """What is known of a route; null: nothing."""
        return self._routes.get(key)

    def all(self) -> list[KeptRoute]:
        """Every one."""
        return list(self._routes.values())

    async def put(self, route: KeptRoute) -> None:
        """Keep it; returns when that is durable.

        Raises:
            Conflict: another daemon has written it meanwhile, or we have, and were not told; what is there is known by then.
            VerdictdError: it may be kept or not.
        """
        if route == self._routes.get(route.key):
            return
        key = route.key.stored
        try:
            revision = await self._store.put(key, stored.encode(route, carried={}), over=self._revisions.get(key, 0))
        except Conflict:
            await self._reload(route.key)
            raise
        self._routes[route.key], self._revisions[key] = route, revision
        self._tell(route.key)

    async def remove(self, key: RouteKey) -> None:
        """Forget it. Raises as ``put``, but for ``Conflict``."""
        if key in self._routes:
            await self._store.delete(key.stored)
        self._routes.pop(key, None)
        self._revisions.pop(key.stored, None)
        self._tell(key)

    def _tell(self, key: RouteKey) -> None:
        for follower in self._followers:
            follower(key)

    async def _reload(self, key: RouteKey) -> None:
        kept = await self._store.get(key.stored)
        self._routes.pop(key, None)
        self._revisions.pop(key.stored, None)
        if kept is not None:
            self._take(key.stored, kept)

    def _take(self, key: str, kept: Kept) -> None:
        self._revisions[key] = kept.revision
        try:
            route = stored.decode(kept.value, KeptRoute).value
        except stored.Unreadable as error:
            log.warning("what was kept of a route cannot be read", extra={"reason": str(error), "hint": "it is asked about anew"})
            return
        self._routes[route.key] = route
