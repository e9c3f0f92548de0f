"""A replica's place among the others: it shows that it lives, sees whether they do, and takes and hands over slots.

Two loops. One renews the sign of life, by compare-and-set on its own last one; when that has been overwritten, this replica was
taken for dead, and joins anew under another name. The other looks at the table and at the others' signs. Who is silent for a whole
lease has its sign overwritten first, and only then leaves the table.

While the store is away nobody can be taken for dead, and nobody is: time in which nothing could be read counts for nothing. Nor
does time in which one's own signs came too late: a store that is slow with these is so with those of the others.
"""

import asyncio
import logging
import uuid
from itertools import count
from typing import Final

import msgspec

from daemon.aio.backoff import jittered, pauses
from daemon.aio.clock import Clock
from daemon.aio.tasks import TaskGroup
from daemon.errors import Conflict, VerdictdError
from daemon.ports.durable import Store
from daemon.ports.service import Meter
from daemon.ports.sharing import Moves, Of
from daemon.replicas.bounded import Bounded
from daemon.replicas.lease import Lease
from daemon.replicas.others import DEAD, TABLE, Others, Spoiled, read_table, sign
from daemon.replicas.slots import slot_of
from daemon.replicas.solo import Before
from daemon.replicas.table import Table
from daemon.standing import Standing

log = logging.getLogger(__name__)

_RENEWALS_IN_A_LEASE: Final = 4
_LOOK_SECONDS: Final = 0.25
_LEAVE_SECONDS: Final = 1.0
_PAUSES_SECONDS: Final = (0.05, 0.1, 0.2)


class Keeper:
    """Implements ``Sharing`` on ``store``, which all replicas have in common and nobody else writes.

    Args:
        store: for the table and the signs of life.
        lease_seconds: how long a replica may be silent before it is taken for dead.
        clock, meter: the daemon's.

    Attributes:
        me: this replica, as others know where to find it.
        name: the same in the table: another one whenever it has been taken for dead.
    """

    def __init__(self, store: Store, *, lease_seconds: float, clock: Clock, meter: Meter) -> None:
        self._store = store = Bounded(store, lease_seconds=lease_seconds)
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._meter = meter
        self._standing = Standing("replicas", now=clock.now)
        # Apart: while signs of life go out, a table that cannot be read would be said anew after each of them.
        self._table_standing = Standing("the table of replicas", now=clock.now)
        self.me = uuid.uuid4().hex[:16]
        self._names = (f"{self.me}-{number}" for number in count(1))
        self.name = next(self._names)
        self._lease: Lease | None = None
        self._renewed = asyncio.Event()
        self._own_revision = 0
        self._others = Others(store, lease_seconds=lease_seconds, clock=clock)
        self._before = Before(store, lease_seconds=lease_seconds, clock=clock)
        self._table = Table()
        self._active: frozenset[int] = frozenset()

    @property
    def problem(self) -> str | None:
        """Why it cannot be sure of its part now; null while it can."""
        if not self.is_sure():
            return self._standing.problem or self._table_standing.problem or "it has not joined the other replicas yet"
        return self._before.problem

    def slot_of(self, of: Of) -> int:
        """See ``Sharing``."""
        return slot_of(of.namespace, of.service)

    def holder_of(self, of: Of) -> str | None:
        """See ``Sharing``."""
        return self._table.slots[self.slot_of(of)].holder.partition("-")[0] or None

    def number_of(self, of: Of) -> int:
        """See ``Sharing``."""
        one = self._table.slots[self.slot_of(of)]
        return one.number if one.holder == self.name else 0

    def held(self, slot: int) -> int | None:
        """The number under which this replica has the slot, as far as it knows; null: it has not."""
        return self._table.slots[slot].number if slot in self._active else None

    def is_sure(self) -> bool:
        """See ``Sharing``."""
        return self._lease is not None and self._lease.is_sure(self._clock.monotonic())

    async def sure(self) -> None:
        """See ``Sharing``."""
        while not self.is_sure():
            self._renewed.clear()
            await self._renewed.wait()

    async def run(self, moves: Moves) -> None:
        """See ``Sharing``."""
        while True:
            async with TaskGroup() as group:
                loops = [
                    group.create_task(self._live(), name="sign of life"),
                    group.create_task(self._look_on(moves), name="replicas"),
                ]
                await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
                for loop in loops:
                    loop.cancel()
            log.warning("this replica was taken for dead, and joins anew", extra={"replica": self.name})
            self._lease = None
            lost, self._active = self._active, frozenset()
            if lost:
                moves.lost(lost)
            self.name, self._own_revision = next(self._names), 0
            self._table = Table()
            self._others.forget()

    async def leave(self) -> None:
        """See ``Sharing``."""
        self._lease = None
        back_off = pauses(_PAUSES_SECONDS)
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                while not await self._left():
                    await self._clock.sleep(next(back_off))
        except (TimeoutError, VerdictdError) as error:
            log.warning("could not be handed over: others take over when the lease has ended", extra={"reason": str(error)})

    # --- the sign of life -------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        """Until others take it for dead."""
        back_off = pauses(_PAUSES_SECONDS)
        while True:
            try:
                if not await self._renewed_in_time():
                    return
            except VerdictdError as error:
                self._failed(error, self._standing)
                await self._clock.sleep(next(back_off))
            else:
                back_off = pauses(_PAUSES_SECONDS)
                # Counted from when it was sent, as the lease is: a sign that took long to arrive is followed at once.
                took = 0.0 if self._lease is None else self._clock.monotonic() - self._lease.sent_at
                await self._clock.sleep(max(_PAUSES_SECONDS[0], jittered(self._lease_seconds / _RENEWALS_IN_A_LEASE) - took))

    async def _renewed_in_time(self) -> bool:
        """Show that we live; false: we are taken for dead. Where an answer was lost the sign may be there all the same."""
        sent_at = self._clock.monotonic()
        words = msgspec.json.encode(sent_at)
        try:
            self._own_revision = await self._store.put(sign(self.name), words, over=self._own_revision)
        except Conflict:
            kept = await self._store.get(sign(self.name))
            if kept is None:
                if not await self._is_emptied():
                    return False
                self._own_revision = await self._store.put(sign(self.name), words, over=0)
            elif kept.value == DEAD:
                return False
            elif (earlier := _sent_at(kept.value, by=sent_at)) is None:
                log.warning("this replica's sign of life was changed by hand, and is written over", extra={"replica": self.name})
                self._own_revision = await self._store.put(sign(self.name), words, over=kept.revision)
            else:
                # An earlier attempt of ours, whose answer was lost; how early it was sent stands in it.
                self._own_revision, sent_at = kept.revision, earlier
        self._lease = Lease(sent_at=sent_at, seconds=self._lease_seconds)
        self._standing.works()
        self._renewed.set()
        return True

    async def _is_emptied(self) -> bool:
        """Whether somebody has emptied the store: who is taken for dead leaves the table before its sign goes."""
        table, revision = await read_table(self._store, now=self._clock.now())
        return self.is_sure() and self.name in (table if revision else self._table).members

    # --- the table --------------------------------------------------------------------------------------------------

    async def _look_on(self, moves: Moves) -> None:
        """Join, and look again and again, until others have taken it from the table."""
        await self.sure()
        back_off, has_joined = pauses(_PAUSES_SECONDS), False
        while True:
            try:
                if not has_joined:
                    has_joined = await self._joined() and await self._before.has_gone()
                elif not await self._looked(moves):
                    return
            except Conflict:
                await self._clock.sleep(next(back_off))
            except VerdictdError as error:
                self._failed(error, self._table_standing)
                self._others.forget()
                self._before.forget()
                await self._clock.sleep(next(back_off))
            else:
                self._table_standing.works()
                back_off = pauses(_PAUSES_SECONDS)
                await self._clock.sleep(jittered(_LOOK_SECONDS))

    async def _joined(self) -> bool:
        """Raises ``Conflict``, and as the store does: it may be in the table or not."""
        table, revision = await read_table(self._store, now=self._clock.now())
        if self.name not in table.members:
            await self._store.put(TABLE, msgspec.json.encode(table.joined_by(self.name)), over=revision)
            log.info("joined the other replicas", extra={"replica": self.name, "others": len(table.members)})
        return True

    async def _looked(self, moves: Moves) -> bool:
        """One look; false: it is not in the table any more. Raises as ``_joined``."""
        table, revision = await self._found()
        if self.name not in table.members:
            return False
        if not self.is_sure():
            # The store is slow with our own signs: it may be so with theirs.
            self._others.forget()
        elif gone := await self._others.dead([name for name in table.members if name != self.name]):
            table = table.without(gone)
            revision = await self._store.put(TABLE, msgspec.json.encode(table), over=revision)
            log.warning("replicas are gone, and their work is shared out", extra={"gone": sorted(gone), "replica": self.name})
            for name in gone:
                await self._store.delete(sign(name))
        self._take(table, moves)
        if due := table.due_from(self.name):
            giving = due & self._active
            await moves.give_up(giving)
            self._active -= giving
            table = table.handed_over(due)
            await self._store.put(TABLE, msgspec.json.encode(table), over=revision)
            self._take(table, moves)
            log.info("handed over to other replicas", extra={"slots": len(due), "replica": self.name})
        return True

    async def _found(self) -> tuple[Table, int]:
        """The table and its revision. Where somebody has removed or spoiled it, who is sure of its part says what it was."""
        try:
            table, revision = await read_table(self._store, now=self._clock.now(), since=self._table.number)
            if revision or not self._can_tell_the_table():
                return table, revision
        except Spoiled as error:
            if not self._can_tell_the_table():
                raise
            revision = error.revision
        revision = await self._store.put(TABLE, msgspec.json.encode(self._table), over=revision)
        log.warning("the table of replicas was gone, and is put there again", extra={"replica": self.name})
        return self._table, revision

    def _can_tell_the_table(self) -> bool:
        return self.is_sure() and self.name in self._table.members

    def _take(self, table: Table, moves: Moves) -> None:
        self._table = table
        held = table.held_by(self.name)
        lost, gained = self._active - held, held - table.due_from(self.name) - self._active
        self._active = (self._active - lost) | gained
        if lost:
            moves.lost(lost)
        if gained:
            moves.gained(gained)

    async def _left(self) -> bool:
        """Whether it is out of the table; else it was changed at the same moment. Raises as the store does."""
        table, revision = await read_table(self._store, now=self._clock.now())
        if self.name in table.members:
            try:
                await self._store.put(TABLE, msgspec.json.encode(table.without({self.name})), over=revision)
            except Conflict:
                return False
        await self._store.delete(sign(self.name))
        return True

    def _failed(self, error: VerdictdError, standing: Standing) -> None:
        self._meter.failed("replicas", error)
        standing.fails(str(error))


def _sent_at(words: bytes, *, by: float) -> float | None:
    """When an attempt of ours was sent that says so; null: it is none of ours. A later time would make the lease last for ever."""
    try:
        sent_at = msgspec.json.decode(words, type=float)
    except ValueError:
        return None
    return sent_at if sent_at <= by else None
