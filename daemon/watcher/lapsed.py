"""Why announcements came to nothing, for whoever asks after them: at any replica, over restarts, for a week and not without end.

The store is asked each time, since another replica may have written since. Each that is added makes room for itself: what is older
than a week goes, and beyond a thousand the oldest. What cannot be removed now goes with a later one.
"""

import logging
from typing import Final

from daemon import stored
from daemon.aio.clock import Clock
from daemon.errors import VerdictdError
from daemon.ports.awaiting import Over
from daemon.ports.durable import Store

log = logging.getLogger(__name__)

KEPT_SECONDS: Final = 7 * 86_400.0
MOST_KEPT: Final = 1_000
_LONGEST_WHY: Final = 2_000
_LISTED_SECONDS: Final = 3_600.0
"""After so long it is listed anew what others have added."""


class Lapsed:
    """Those of a cluster, in ``store``. Every method raises as the store does."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._at: dict[str, float] = {}
        self._listed_at: float | None = None

    async def keep(self, release_id: str, *, why: str, since: float) -> None:
        """It came to nothing now; returns when that is durable."""
        now = self._clock.now()
        over = Over(why=why if len(why) <= _LONGEST_WHY else f"{why[:_LONGEST_WHY]}...", since=since, at=now)
        await self._store.put(release_id, stored.encode(over, carried={}))
        self._at[release_id] = now
        try:
            await self._make_room(now)
        except VerdictdError as error:
            log.debug("what came to nothing long ago cannot be removed now", extra={"reason": str(error)})

    async def find(self, release_id: str) -> Over | None:
        """One of them; null: none, or none that can be read."""
        kept = await self._store.get(release_id)
        if kept is None:
            return None
        over = _read(release_id, kept.value)
        return None if over is None or self._is_old(over.at) else over

    async def remove(self, release_id: str) -> None:
        """It waits again. No error where it is none of them."""
        await self._store.delete(release_id)
        self._at.pop(release_id, None)

    def _is_old(self, at: float) -> bool:
        return self._clock.now() - at > KEPT_SECONDS

    async def _make_room(self, now: float) -> None:
        if self._listed_at is None or now - self._listed_at > _LISTED_SECONDS:
            found = {key: _read(key, kept.value) for key, kept in await self._store.items()}
            self._at = {key: 0.0 if over is None else over.at for key, over in found.items()}
            self._listed_at = now
        oldest_first = sorted(self._at, key=lambda key: self._at[key])
        beyond = set(oldest_first[: max(0, len(oldest_first) - MOST_KEPT)])
        for key in (one for one in oldest_first if one in beyond or self._is_old(self._at[one])):
            await self.remove(key)


def _read(release_id: str, value: bytes) -> Over | None:
    try:
        return stored.decode(value, Over).value
    except stored.Unreadable as error:
        log.warning("why an announcement came to nothing cannot be read", extra={"release": release_id, "reason": str(error)})
        return None
