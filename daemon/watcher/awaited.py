"""Announcements that wait for their canary, in the store where routes are kept: over restarts, for a while, and not without end.

What each route says of one is remembered only, since every look says it anew; the reason for which it lapses is made of that, and
kept before it waits no more.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from daemon import stored
from daemon.aio.clock import Clock
from daemon.errors import Conflict, InvalidInput, Refused
from daemon.model import Outline
from daemon.ports.awaiting import Awaited, Over, RouteSays
from daemon.ports.durable import Store
from daemon.watcher.lapsed import Lapsed

log = logging.getLogger(__name__)

MOST_AWAITED: Final = 1_000


class AwaitedCanaries:
    """Implements ``Awaiting``.

    Args:
        store: where they are kept.
        lapsed: where it is kept why some came to nothing.
        clock: the daemon's.
        wait_seconds: for how long one waits.
        namespaces: where routes are watched; none: everywhere.
    """

    def __init__(self, store: Store, *, lapsed: Store, clock: Clock, wait_seconds: float, namespaces: Sequence[str] = ()) -> None:
        self._store = store
        self._lapsed = Lapsed(lapsed, clock=clock)
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._namespaces = tuple(namespaces)
        self._waiting: dict[str, Awaited] = {}
        self._said: dict[str, dict[str, RouteSays]] = {}
        self._followers: list[Callable[[], None]] = []
        self._changed = asyncio.Event()

    async def load(self) -> None:
        """Read them back, those too that another daemon beside the store has taken; see ``Awaiting``."""
        before, found = set(self._waiting), dict[str, Awaited]()
        for key, kept in await self._store.items():
            try:
                found[key] = stored.decode(kept.value, Awaited).value
            except stored.Unreadable as error:
                log.warning("an announcement that was kept cannot be read", extra={"release": key, "reason": str(error)})
        came, went = self._waiting.keys() - before, before - self._waiting.keys()  # while the store was read
        now = {key: one for key, one in found.items() if key not in went} | {key: self._waiting[key] for key in came}
        is_other = now.keys() != self._waiting.keys()
        self._waiting = now
        if is_other:
            self._tell()

    async def keep(self, outline: Outline, *, release_id: str, sender: str, since: float) -> Awaited:
        """See ``Awaiting``."""
        if self._namespaces and outline.namespace not in self._namespaces:
            wrong = f"routes are watched in {', '.join(self._namespaces)}, and arms are found nowhere else"
            fix = "add the namespace to that of the source of kind kubernetes in the settings, or name baseline and canary"
            raise InvalidInput(wrong, path="$.namespace", fix=fix)
        if (there := self._waiting.get(release_id)) is not None:
            return there
        if len(self._waiting) >= MOST_AWAITED:
            raise Refused(f"{len(self._waiting)} announcements wait for their canaries already; try again later")
        # By now, not by when it was sent: one that comes late has its time too.
        until = self._clock.now() + self._wait_seconds
        one = Awaited(release_id=release_id, sender=sender, outline=outline, since=since, until=until)
        await self._lapsed.remove(release_id)
        with suppress(Conflict):  # a daemon beside this one has it
            await self._store.put(release_id, stored.encode(one, carried={}), over=0)
        self._waiting[release_id] = one
        log.info("an announcement waits for its canary", extra={"release": release_id, "new": outline.named})
        self._tell()
        return one

    def follow(self, changed: Callable[[], None]) -> None:
        """Hear of each that comes or goes."""
        self._followers.append(changed)

    def unfollow(self, changed: Callable[[], None]) -> None:
        """Hear no more."""
        self._followers.remove(changed)

    def find(self, release_id: str) -> Awaited | None:
        """See ``Awaiting``."""
        return self._waiting.get(release_id)

    def all(self) -> list[Awaited]:
        """See ``Awaiting``."""
        return sorted(self._waiting.values(), key=lambda one: (one.since, one.release_id))

    def says(self, release_id: str, *, route: str, why: str, missing: Sequence[str] = ()) -> None:
        """What a route says of one, and what it asks for; empty: nothing any more."""
        said = self._said.setdefault(release_id, {})
        said.pop(route, None)
        if why:
            said[route] = RouteSays(route=route, why=why, missing=tuple(missing))

    def said(self, release_id: str) -> list[RouteSays]:
        """See ``Awaiting``."""
        return [one for _, one in sorted(self._said.get(release_id, {}).items())]

    async def over(self, release_id: str) -> Over | None:
        """See ``Awaiting``."""
        return await self._lapsed.find(release_id)

    def why(self, release_id: str) -> str:
        """Why one waits; empty: that is not known."""
        return "; ".join(f"{one.route}: {one.why}" for one in self.said(release_id))

    async def answered(self, release_id: str, *, seconds: float) -> None:
        """See ``Awaiting``."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while release_id in self._waiting:
                    await self._changed.wait()

    async def forget(self, release_id: str, *, why: str = "") -> None:
        """See ``Awaiting``."""
        if why and (waits := self._waiting.get(release_id)) is not None:
            await self._lapsed.keep(release_id, why=why, since=waits.since)
        await self._store.delete(release_id)
        self._said.pop(release_id, None)
        if self._waiting.pop(release_id, None) is not None:
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
        for follower in list(self._followers):
            follower()
