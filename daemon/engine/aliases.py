"""By which other ids a release is known: those that announcements would have had that joined it instead.

Kept before anybody is answered, and for as long as records are, so that whoever was told of such an id, or works it out from the
event, finds the release after a restart too.
"""

from collections import OrderedDict
from typing import Final

from daemon.ports.durable import Store

_MOST_REMEMBERED: Final = 10_000


class Aliases:
    """The ids, in ``store``; the latest ones in memory too."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[str, str] = OrderedDict()

    async def meant_by(self, release_id: str) -> str | None:
        """The release that is known by this id; null where that is no other's. Raises as the store does."""
        if release_id in self._known:
            return self._known[release_id]
        kept = await self._store.get(release_id)
        if kept is None:
            return None
        meant = kept.value.decode()
        self._remember(release_id, meant)
        return meant

    async def keep(self, alias: str, *, release_id: str) -> None:
        """From now on this id is that release's. Raises as the store does."""
        await self._store.put(alias, release_id.encode())
        self._remember(alias, release_id)

    def _remember(self, alias: str, release_id: str) -> None:
        self._known[alias] = release_id
        while len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)
