"""Who served each Service when it was last looked at, over restarts: a second Deployment is new only beside what served before.

A Deployment that crashes and comes back was there all the while: it leaves when nobody wants pods of it any more. Those that came
together are one installation; who comes once another has served is new.
"""

import logging

import msgspec

from daemon import stored
from daemon.errors import Conflict
from daemon.ports.durable import Kept, Store
from daemon.watcher.kept import RouteKey

log = logging.getLogger(__name__)


class KeptServer(msgspec.Struct, frozen=True, kw_only=True):
    """A Deployment behind a Service.

    Attributes:
        name, uid: of the object.
        runs: its images and version, to be compared only.
        served: whether pods of it were ready at any time.
    """

    name: str
    uid: str
    runs: str
    served: bool = False


class KeptArm(msgspec.Struct, frozen=True, kw_only=True):
    """A Deployment, and the number of its template."""

    name: str
    uid: str
    number: int


class KeptPair(msgspec.Struct, frozen=True, kw_only=True):
    """Two Deployments that are compared, and under which id."""

    release_id: str
    baseline: KeptArm
    canary: KeptArm


class KeptServing(msgspec.Struct, frozen=True, kw_only=True):
    """One Service.

    Attributes:
        key: which.
        uid: of the object.
        stood: the Deployments behind it that are not new.
        pair: those that are compared; null: none are.
        since: when this was written, in seconds since 1970: what changes after it is one attempt.
    """

    key: RouteKey
    uid: str
    stood: tuple[KeptServer, ...] = ()
    pair: KeptPair | None = None
    since: float = 0.0

    @property
    def named(self) -> set[str]:
        """All Deployments that it speaks of."""
        arms = () if self.pair is None else (self.pair.baseline, self.pair.canary)
        return {one.name for one in (*self.stood, *arms)}


class KeptServings:
    """All of them in memory, as the store has them. ``load`` comes first; every method raises as the store does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._servings: dict[RouteKey, KeptServing] = {}
        self._revisions: dict[str, int] = {}

    async def load(self) -> None:
        """Read them all. What cannot be read counts as not known, and is said."""
        self._servings.clear()
        self._revisions.clear()
        for name, kept in await self._store.items():
            self._take(name, kept)

    def get(self, key: RouteKey) -> KeptServing | None:
        """Of a Service; null: it has not been looked at."""
        return self._servings.get(key)

    def all(self) -> list[KeptServing]:
        """Every one."""
        return list(self._servings.values())

    async def put(self, serving: KeptServing) -> None:
        """Keep it; returns when that is durable. ``Conflict``: another daemon has written it, which is known by then."""
        name = serving.key.stored
        try:
            revision = await self._store.put(name, stored.encode(serving, carried={}), over=self._revisions.get(name, 0))
        except Conflict:
            kept = await self._store.get(name)
            self._forget(serving.key)
            if kept is not None:
                self._take(name, kept)
            raise
        self._servings[serving.key], self._revisions[name] = serving, revision

    async def remove(self, key: RouteKey) -> None:
        """Forget it."""
        await self._store.delete(key.stored)
        self._forget(key)

    def _forget(self, key: RouteKey) -> None:
        self._servings.pop(key, None)
        self._revisions.pop(key.stored, None)

    def _take(self, name: str, kept: Kept) -> None:
        self._revisions[name] = kept.revision
        try:
            serving = stored.decode(kept.value, KeptServing).value
        except stored.Unreadable as error:
            log.warning("what was kept of a Service cannot be read", extra={"key": name, "reason": str(error)})
            return
        self._servings[serving.key] = serving
