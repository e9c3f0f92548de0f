"""A freeze: for a while nothing is taken back, in a namespace or in all, whatever the policies say.

It is a switch for a person: an incident, a migration, a daemon that is not trusted today. Watches go on and end in verdicts, as
under a policy that observes. A person's own word is still carried out, and a revert that was begun goes on, its guard too: half
of a revert is worse than either. All freezes of a cluster are kept as one value, so that what is kept is what is in force.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from daemon.aio.clock import Clock
from daemon.engine.sharedvalue import SharedValue
from daemon.errors import NotFound, Refused
from daemon.model import Freeze
from daemon.ports.durable import Store

log = logging.getLogger(__name__)

MOST: Final = 1_000
"""Namespaces at a time."""
_KEY: Final = "all"


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    freezes: tuple[Freeze, ...]


class Freezes:
    """Those of a cluster, in ``store``; in memory as they were last written."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._kept = SharedValue(
            store,
            empty=_Kept(freezes=()),
            unreadable="what is frozen cannot be read: nothing is",
            contested="others change what is frozen at the same time; do it again",
        )
        self._clock = clock
        self._freezes: tuple[Freeze, ...] = ()
        self._turn = asyncio.Lock()

    async def follow(self) -> None:
        """Read what others may have changed. What cannot be understood is no freeze, and said. Raises as the store does."""
        async with self._turn:
            self._freezes = (await self._kept.read(_KEY)).freezes

    async def load(self) -> None:
        """Read them back, and say them. As ``follow``."""
        await self.follow()
        for freeze in self.current:
            log.warning("nothing is taken back: frozen", extra=_about(freeze))

    @property
    def current(self) -> Sequence[Freeze]:
        """Those that are in force."""
        now = self._clock.now()
        return tuple(freeze for freeze in self._freezes if freeze.until is None or now < freeze.until)

    def over(self, namespace: str) -> Freeze | None:
        """The one that holds there: the namespace's own before the one of all."""
        found = {freeze.namespace: freeze for freeze in self.current}
        return found.get(namespace, found.get(None))

    async def freeze(self, freeze: Freeze) -> None:
        """In force once this returns; in place of another one of the same namespace. Raises ``Refused``, and as the store does."""
        await self._change(without=freeze.namespace, added=freeze)
        log.warning("frozen", extra=_about(freeze))

    async def thaw(self, namespace: str | None, *, by: str, reason: str) -> Freeze:
        """End one, and give it. Raises ``NotFound`` where none is in force there, and as the store does."""
        ended = next((freeze for freeze in self.current if freeze.namespace == namespace), None)
        if ended is None:
            others = ", ".join(sorted(_where(freeze) for freeze in self.current)) or "nothing"
            where = "all namespaces" if namespace is None else f"namespace {namespace}"
            raise NotFound(f"{where}: not frozen by a freeze of its own; frozen: {others}")
        await self._change(without=namespace)
        log.warning("thawed", extra={**_about(ended), "by": by, "reason": reason})
        return ended

    async def _change(self, *, without: str | None, added: Freeze | None = None) -> None:
        """One change at a time: what was read before another one was written must not be what is known after it."""

        def changed(kept: _Kept) -> _Kept:
            self._freezes = kept.freezes
            freezes = tuple(freeze for freeze in self.current if freeze.namespace != without)
            if added is not None and len(freezes) >= MOST:
                raise Refused(f"{len(freezes)} namespaces are frozen already; freeze all of them at once")
            return _Kept(freezes=freezes if added is None else (*freezes, added))

        async with self._turn:
            self._freezes = (await self._kept.change(_KEY, changed)).freezes


def words(freeze: Freeze) -> str:
    """Why nothing was taken back, for the verdict."""
    because = f": {freeze.reason}" if freeze.reason else ""
    return f"nothing is taken back, since {_where(freeze)} is frozen by {freeze.by}{because}"


def _where(freeze: Freeze) -> str:
    return "everything" if freeze.namespace is None else f"namespace {freeze.namespace}"


def _about(freeze: Freeze) -> dict[str, object]:
    return {"what": _where(freeze), "by": freeze.by, "reason": freeze.reason, "until": freeze.until}
