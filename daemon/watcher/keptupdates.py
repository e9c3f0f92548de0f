"""Which rolling updates are being watched, over restarts: so that a watch ends with the pods beside which it compares."""

import logging

import msgspec

from daemon import stored
from daemon.ports.durable import Store
from daemon.watcher.kept import RouteKey

log = logging.getLogger(__name__)


class KeptUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """The newest one of a Deployment that was announced: the Deployment, and under which id."""

    key: RouteKey
    release_id: str


class KeptUpdates:
    """All of them in memory, as the store has them. ``load`` comes first; every method raises as the store does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._updates: dict[RouteKey, KeptUpdate] = {}

    async def load(self) -> None:
        """Read them all. What cannot be read counts as not known, and is said."""
        self._updates.clear()
        for name, kept in await self._store.items():
            try:
                update = stored.decode(kept.value, KeptUpdate).value
            except stored.Unreadable as error:
                log.warning("what was kept of a rolling update cannot be read", extra={"key": name, "reason": str(error)})
                continue
            self._updates[update.key] = update

    def get(self, key: RouteKey) -> KeptUpdate | None:
        """Of a Deployment; null: none."""
        return self._updates.get(key)

    def all(self) -> list[KeptUpdate]:
        """Every one."""
        return list(self._updates.values())

    async def put(self, update: KeptUpdate) -> None:
        """Keep it; returns when that is durable."""
        await self._store.put(update.key.stored, stored.encode(update, carried={}))
        self._updates[update.key] = update

    async def remove(self, key: RouteKey) -> None:
        """Forget it."""
        await self._store.delete(key.stored)
        self._updates.pop(key, None)
