"""A freeze: for a while nothing is taken back, in a namespace or in all, whatever the policies say.

It is a switch for a person: an incident, a migration, a daemon that is not trusted today. Watches go on and end in verdicts, as
under a policy that observes. A person's own word is still carried out, and a revert that was begun goes on, its guard too: half
of a revert is worse than either. All freezes of a cluster are kept as one value, so that what is kept is what is in force.
What the audit is to be told of a change is kept in the same value, by the same write, until it has been told.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from daemon.aio.backoff import pauses
from daemon.aio.clock import Clock
from daemon.engine import auditing
from daemon.engine.sharedvalue import SharedValue
from daemon.errors import NotFound, Refused, VerdictdError
from daemon.interventions import AuditEntry, Freeze
from daemon.ports.durable import AuditLog, Store
from daemon.ports.service import Meter

log = logging.getLogger(__name__)

MOST: Final = 1_000
"""Namespaces at a time, and entries that wait for the audit."""
_KEY: Final = "all"
_PAUSES_SECONDS: Final = (0.1, 0.5, 2.0, 5.0)


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    freezes: tuple[Freeze, ...]
    untold: tuple[AuditEntry, ...] = ()


class Freezes:
    """Those of a cluster, in ``store``; in memory as they were last written."""

    def __init__(self, store: Store, clock: Clock, *, audit: AuditLog, cluster: str, meter: Meter) -> None:
        self._kept = SharedValue(
            store,
            empty=_Kept(freezes=()),
            unreadable="what is frozen cannot be read: nothing is",
            contested="others change what is frozen at the same time; do it again",
        )
        self._clock = clock
        self._audit = audit
        self._cluster = cluster
        self._meter = meter
        self._untold = asyncio.Event()
        self._freezes: tuple[Freeze, ...] = ()
        self._turn = asyncio.Lock()

    async def follow(self) -> None:
        """Read what others may have changed. What cannot be understood is no freeze, and said. Raises as the store does."""
        async with self._turn:
            self._taken(await self._kept.read(_KEY))

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
        entry = auditing.frozen(freeze, cluster=self._cluster)
        await self._change(entry, without=freeze.namespace, added=freeze)
        log.warning("frozen", extra=_about(freeze))

    async def thaw(self, namespace: str | None, *, by: str, reason: str) -> Freeze:
        """End one, and give it. Raises ``NotFound`` where none is in force there, and as the store does."""
        ended = next((freeze for freeze in self.current if freeze.namespace == namespace), None)
        if ended is None:
            others = ", ".join(sorted(_where(freeze) for freeze in self.current)) or "nothing"
            where = "all namespaces" if namespace is None else f"namespace {namespace}"
            raise NotFound(f"{where}: not frozen by a freeze of its own; frozen: {others}")
        entry = auditing.thawed(ended, by=by, reason=reason, at=self._clock.now(), cluster=self._cluster)
        await self._change(entry, without=namespace)
        log.warning("thawed", extra={**_about(ended), "by": by, "reason": reason})
        return ended

    async def account(self) -> None:
        """Tell the audit what it has not been told, for ever; over restarts too, and each change once."""
        while True:
            await self._untold.wait()
            self._untold.clear()
            for pause in pauses(_PAUSES_SECONDS):
                try:
                    await self._tell()
                except VerdictdError as error:
                    self._meter.failed("audit", error)
                    await self._clock.sleep(pause)
                else:
                    break

    async def _tell(self) -> None:
        """Whoever dies between the two has it told again, under the same id."""
        told = (await self._kept.read(_KEY)).untold
        for entry in told:
            await self._audit.publish(entry)
        if told:
            async with self._turn:
                after = await self._kept.change(_KEY, lambda kept: _without(kept, told))
                self._taken(after)

    def _taken(self, kept: _Kept) -> None:
        self._freezes = kept.freezes
        if kept.untold:
            self._untold.set()

    async def _change(self, entry: AuditEntry, *, without: str | None, added: Freeze | None = None) -> None:
        """One change at a time: what was read before another one was written must not be what is known after it."""

        def changed(kept: _Kept) -> _Kept:
            self._freezes = kept.freezes
            freezes = tuple(freeze for freeze in self.current if freeze.namespace != without)
            if added is not None and len(freezes) >= MOST:
                raise Refused(f"{len(freezes)} namespaces are frozen already; freeze all of them at once")
            untold = (*kept.untold, entry)
            if len(untold) > MOST:
                log.error("the audit takes nothing: the oldest of what it is to be told is let go", extra={"entry": untold[0].id})
            return _Kept(freezes=freezes if added is None else (*freezes, added), untold=untold[-MOST:])

        async with self._turn:
            self._taken(await self._kept.change(_KEY, changed))


def _without(kept: _Kept, told: Sequence[AuditEntry]) -> _Kept:
    ids = {entry.id for entry in told}
    return _Kept(freezes=kept.freezes, untold=tuple(entry for entry in kept.untold if entry.id not in ids))


def words(freeze: Freeze) -> str:
    """Why nothing was taken back, for the verdict."""
    because = f": {freeze.reason}" if freeze.reason else ""
    return f"nothing is taken back, since {_where(freeze)} is frozen by {freeze.by}{because}"


def _where(freeze: Freeze) -> str:
    return "everything" if freeze.namespace is None else f"namespace {freeze.namespace}"


def _about(freeze: Freeze) -> dict[str, object]:
    return {"what": _where(freeze), "by": freeze.by, "reason": freeze.reason, "until": freeze.until}
