"""A store that knows what should be in it.

A bucket that somebody has emptied looks like one in which nothing is left to do. So the keys that are in use are kept a second
time, in another bucket: who is on the roll and not in the store has been removed by somebody else.
"""

from daemon.bus.store import KvStore
from daemon.ports import Kept


class RolledStore:
    """``Store`` on ``store``, with its keys on ``roll`` as well. A key is there first, and goes last."""

    def __init__(self, store: KvStore, *, roll: KvStore) -> None:
        self._store = store
        self._roll = roll
        self._enrolled: set[str] = set()

    async def put(self, key: str, value: bytes, *, over: int | None = None) -> int:
        """Write; see ``KvStore.put``."""
        if key not in self._enrolled:
            await self._roll.put(key, b"")
            self._enrolled.add(key)
        return await self._store.put(key, value, over=over)

    async def get(self, key: str) -> Kept | None:
        """Read; see ``KvStore.get``."""
        return await self._store.get(key)

    async def delete(self, key: str) -> None:
        """Remove; see ``KvStore.delete``."""
        await self._store.delete(key)
        await self._roll.delete(key)
        self._enrolled.discard(key)

    async def items(self) -> list[tuple[str, bytes]]:
        """Everything; see ``KvStore.items``."""
        return await self._store.items()

    async def lost(self) -> list[str]:
        """Keys that were written and not deleted, and are not there, in order. Raises as ``items``."""
        there = {key for key, _ in await self._store.items()}
        return sorted({key for key, _ in await self._roll.items()} - there)
