"""Releases that other replicas have, read from what these keep after every tick: whoever asks any replica is answered."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from daemon import stored
from daemon.engine.feed import view
from daemon.engine.keptsessions import KeptSessions
from daemon.engine.registry import Registry
from daemon.engine.session import Session
from daemon.engine.tenure import Tenure
from daemon.errors import Elsewhere
from daemon.model import ReleaseView, Verdict

_LOOK_SECONDS: Final = 1.0
"""How often it is looked whether another replica's release has its verdict, for each that waits."""


class Afar:
    """Reads them from ``kept``. Where there is no other replica, nothing is read."""

    def __init__(self, kept: KeptSessions, *, registry: Registry, tenure: Tenure) -> None:
        self._kept = kept
        self._registry = registry
        self._tenure = tenure

    async def find(self, release_id: str) -> Session | None:
        """A release that is running elsewhere; null: none of this id is. Raises as the store does."""
        if not self._tenure.is_shared or release_id in self._registry:
            return None
        try:
            return await self._kept.find(release_id)
        except stored.Unreadable as error:
            raise Elsewhere(f"release {release_id}: what is kept of it cannot be read: {error}") from error

    async def views(self) -> list[ReleaseView]:
        """All that are running elsewhere. Raises as the store does."""
        if not self._tenure.is_shared:
            return []
        return [view(one) for one in await self._kept.all() if one.release_id not in self._registry]

    async def wait(self, release_id: str, *, seconds: float, ended: Callable[[], Awaitable[Verdict]]) -> Verdict | None:
        """The verdict, waiting for it at most so long, wherever the release is meanwhile; ``ended`` gives that of its record."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            left = max(0.0, end - loop.time())
            try:
                if release_id in self._registry:
                    return await self._registry.wait(release_id, seconds=left)
            except Elsewhere:
                if not self._tenure.is_shared:
                    raise
            session = await self.find(release_id)
            if session is None and release_id not in self._registry:
                return await ended()
            if session is not None and (session.settled or not left):
                return session.verdict
            await asyncio.sleep(min(left, _LOOK_SECONDS))
