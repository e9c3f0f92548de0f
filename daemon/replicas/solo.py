"""A daemon that is alone beside those that share the work: the two kinds would both act, so that one gives way to the other.

It has no part in the table and asks nobody before it acts. All it does is to show that it lives, under one key. Who comes to share
the work writes there that it is to leave, and begins once it has left, or was silent for a whole lease; it stops as it does when it
is told to. One that starts beside living ones of several does not run. Each writes what it is before it looks for the other, so
that of two that start at the same moment at least one sees the other, and the one that is alone is the one that leaves.
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import msgspec

from daemon.aio.backoff import jittered
from daemon.aio.clock import Clock
from daemon.aio.tasks import background
from daemon.errors import Conflict, InvalidInput, Refused, VerdictdError
from daemon.ports.durable import Store
from daemon.ports.service import Meter
from daemon.replicas.bounded import Bounded
from daemon.replicas.lease import Heard
from daemon.replicas.others import TABLE, Others, read_table, sign
from daemon.standing import Standing

log = logging.getLogger(__name__)

ALONE: Final = "alone"
_LEAVE: Final = b"leave"
"""Said by one of several to one that is alone, ..."""
_LEAVING: Final = b"leaving"
"""... which says that it does, ..."""
_GONE: Final = b"gone"
"""... and that it has."""
_RENEWALS_IN_A_LEASE: Final = 4
_LOOK_SECONDS: Final = 0.25
_LEASES_TO_BE_HEARD: Final = 1.25
_GOING_SECONDS: Final = 1.0
_GAVE_WAY: Final = (
    "daemons that share the work (replicas.count of 2 or more) have come to the same NATS and cluster, and this one is alone "
    "(replicas.count of 1): it has given way to them"
)
_ANOTHER: Final = (
    "another daemon that is alone (replicas.count of 1) watches this cluster through the same NATS: end one of them, or set "
    "replicas.count to 2 for both"
)
_WAITS: Final = "a daemon that is alone (replicas.count of 1) is still here; it was asked to give way"


class Solo:
    """The one that is alone.

    Args:
        store: the replicas', where they are several.
        lease_seconds: how long one may be silent before it is taken for dead.
        clock, meter: the daemon's.
    """

    def __init__(self, store: Store, *, lease_seconds: float, clock: Clock, meter: Meter) -> None:
        self._store = Bounded(store, lease_seconds=lease_seconds)
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._meter = meter
        self._standing = Standing("replicas", now=clock.now)
        self._me = f"alone-{uuid.uuid4().hex[:16]}".encode()
        self._revision = 0
        self._other: Heard | None = None
        self._gives_way = False

    @property
    def problem(self) -> str | None:
        """Who else is here; null while nobody is."""
        return _GAVE_WAY if self._gives_way else self._standing.problem

    async def comes(self) -> None:
        """To be called before anything is begun. Who was here before and is silent for a lease is put out of the table.

        Raises:
            InvalidInput: some that share the work are alive.
            VerdictdError: as the store does.
        """
        await self._none_shares()
        self._revision = await self._store.put(ALONE, self._me)
        try:
            await self._none_shares()
        except InvalidInput:
            await self._says_gone()
            raise

    @asynccontextmanager
    async def at_work(self, stop: asyncio.Event) -> AsyncIterator[None]:
        """Show that it lives until the body has ended; ``stop`` is set where it is to give way, and the body is to end then.

        Raises:
            Refused: it has given way.
        """
        try:
            async with background(self._live(stop)):
                yield
        finally:
            await self._says_gone()
        if self._gives_way:
            raise Refused(_GAVE_WAY)

    async def _live(self, stop: asyncio.Event) -> None:
        while True:
            try:
                await self._shows(stop)
            except Conflict:
                pass  # somebody writes there at the same moment: seen next time
            except VerdictdError as error:
                self._other = None  # who could not be heard was not silent
                self._meter.failed("replicas", error)
            await self._clock.sleep(jittered(self._lease_seconds / _RENEWALS_IN_A_LEASE))

    async def _shows(self, stop: asyncio.Event) -> None:
        words = _LEAVING if self._gives_way else self._me
        try:
            self._revision = await self._store.put(ALONE, words, over=self._revision)
        except Conflict:
            await self._reads(words, stop)
        else:
            self._other = None
            self._standing.works()

    async def _reads(self, words: bytes, stop: asyncio.Event) -> None:
        """What somebody else has written there. Raises ``Conflict`` where that has changed meanwhile."""
        kept = await self._store.get(ALONE)
        if kept is None:  # somebody has emptied the store
            self._revision = await self._store.put(ALONE, words, over=0)
        elif kept.value == words:  # our own, whose answer was lost
            self._revision = kept.revision
        elif kept.value in {_LEAVE, _GONE}:
            if not self._gives_way:
                log.warning("gives way to daemons that share the work")
                self._gives_way = True
                stop.set()
            if kept.value == _LEAVE:
                self._revision = await self._store.put(ALONE, _LEAVING, over=kept.revision)
        elif self._is_silent(kept.revision):
            self._revision = await self._store.put(ALONE, words, over=kept.revision)
        else:
            self._standing.fails(_ANOTHER)

    def _is_silent(self, revision: int) -> bool:
        now = self._clock.monotonic()
        self._other = (self._other or Heard(revision=0, at=now)).again(revision, now=now)
        return self._other.is_silent(now, lease_seconds=self._lease_seconds)

    async def _says_gone(self) -> None:
        """Where that cannot be said, whoever waits for it waits for a lease."""
        with suppress(TimeoutError, VerdictdError):
            async with asyncio.timeout(_GOING_SECONDS):
                await self._store.put(ALONE, _GONE, over=self._revision)

    async def _none_shares(self) -> None:
        others = Others(self._store, lease_seconds=self._lease_seconds, clock=self._clock)
        end = self._clock.monotonic() + self._lease_seconds * _LEASES_TO_BE_HEARD
        while True:
            table, revision = await read_table(self._store, now=self._clock.now())
            if not table.members:
                return
            if gone := await others.dead(table.members):
                with suppress(Conflict):
                    await self._store.put(TABLE, msgspec.json.encode(table.without(gone)), over=revision)
                    for name in gone:
                        await self._store.delete(sign(name))
            elif self._clock.monotonic() >= end:
                raise InvalidInput(
                    f"1, and {len(table.members)} that share the work watch the same cluster through this NATS",
                    path="replicas.count",
                    fix="set it to as many as they are, or end them first",
                )
            await self._clock.sleep(_LOOK_SECONDS)


class Before:
    """The one that is alone, as one of several finds it when it comes."""

    def __init__(self, store: Store, *, lease_seconds: float, clock: Clock) -> None:
        self._store = store
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._heard: Heard | None = None
        self.problem: str | None = None

    def forget(self) -> None:
        """Who could not be heard was not silent."""
        self._heard = None

    async def has_gone(self) -> bool:
        """Whether there is none, any more; else it is asked to give way. Raises as the store does, and ``Conflict``: look again."""
        kept = await self._store.get(ALONE)
        if kept is None or kept.value == _GONE:
            self.problem = None
            return True
        self.problem = _WAITS
        now = self._clock.monotonic()
        self._heard = (self._heard or Heard(revision=0, at=now)).again(kept.revision, now=now)
        if self._heard.is_silent(now, lease_seconds=self._lease_seconds):
            await self._store.put(ALONE, _GONE, over=kept.revision)
            log.warning("a daemon that was alone is gone, and its work is shared out")
        elif kept.value not in {_LEAVE, _LEAVING}:
            revision = await self._store.put(ALONE, _LEAVE, over=kept.revision)
            self._heard = Heard(revision=revision, at=now)
            log.warning("a daemon that is alone was asked to give way")
        return False
