"""Sessions kept safe: written after every tick, read back at the start.

Only the newest state of a session matters, so a write that is waiting is replaced by a newer one: a slow or absent broker
costs freshness, never memory and never order. Whoever needs a write to be durable waits for it by name.

Every write stands on the one before it (a revision of the store), so that no two processes can both go on with a release: who
finds another's writing in the place of its own leaves the release, and says so. What a newer version kept and this one cannot
read is left in the same way. There is no lease. A process that starts takes over what it finds (``claimed``), since that is mostly
a dead one's, whose last write may still come; one that is alive learns of it with its next write. Else who writes first goes on.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from daemon import stored
from daemon.aio.backoff import pauses
from daemon.aio.clock import Clock
from daemon.engine.keptforms import decode, encode, writer_of
from daemon.engine.session import Session
from daemon.errors import Conflict, Elsewhere, PermanentError, TransientError, VerdictdError
from daemon.ports.durable import Kept, Store
from daemon.ports.service import Meter
from daemon.standing import Standing

log = logging.getLogger(__name__)

_CONCURRENT_WRITES = 32
_CLAIMS = 3
# Short enough for what is waiting to be written two seconds after a broker is back.
_PAUSES_SECONDS = (0.1, 0.2, 0.5, 1.0)


class Checkpoints:
    """The writer. ``run`` is its task; ``flush`` empties it at the end. ``standing`` is how the store takes what is written.

    Args:
        store: where sessions are kept.
        records: where those are that have ended.
        leave: called with a release's id when it turns out to be another process's; nothing must be done about it any more.
        clock, meter: the engine's.
    """

    def __init__(self, store: Store, *, records: Store, clock: Clock, meter: Meter, leave: Callable[[str], None]) -> None:
        self._store = store
        self._records = records
        self._leave = leave
        self._writer = uuid.uuid4().hex
        self._revisions: dict[str, int] = {}
        self._left: dict[str, str] = {}  # at the start only: what is left later is known by its writer
        self._clock = clock
        self._meter = meter
        self.standing = Standing("store", now=clock.now)
        self._refused: dict[str, str] = {}
        self._pending: dict[str, Session | None] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    async def elsewhere(self, release_id: str) -> str | None:
        """Why a release is another verdictd's; null where nothing is kept that is. Raises as the store does."""
        kept = await self._store.get(release_id)
        if kept is None:
            self._left.pop(release_id, None)
            return None
        writer = writer_of(kept.value)
        return self._left.get(release_id) or (_gone_on_with_by(writer) if writer not in {"", self._writer} else None)

    def leave_alone(self, release_id: str, reason: str) -> None:
        """Note, and say, that a release that was found at the start is another verdictd's."""
        self._left[release_id] = reason
        self._say_left(release_id, reason)

    def _say_left(self, release_id: str, reason: str) -> None:
        self._meter.failed("checkpoint", Elsewhere(f"release {release_id} is left alone: {reason}"))
        log.warning("a release is left to another verdictd", extra={"release": release_id, "reason": reason})

    def save(self, session: Session) -> None:
        """Write this state soon."""
        self._enqueue(session.release_id, session)

    def remove(self, release_id: str) -> None:
        """Delete the release's state soon."""
        self._enqueue(release_id, None)

    def saved(self, session: Session) -> Awaitable[None]:
        """Write this state; the awaitable ends when it, or a newer one, is durable. Raises what the store refuses it with."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(session.release_id, []).append(future)
        self.save(session)
        return future

    async def load(self) -> list[Session]:
        """All sessions that were kept and can be gone on with.

        What cannot be read is reported and left where it is: for the newer version that kept it, or, where it is damaged, until
        its release is announced again.
        """
        sessions = []
        for release_id, kept in await self._store.items():
            try:
                sessions.append(self._read(release_id, kept))
            except stored.NewerForm as error:
                self.leave_alone(release_id, str(error))
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one, the others must be taken up
                self._revisions[release_id] = kept.revision
                self._meter.failed("checkpoint", VerdictdError(f"session {release_id} cannot be read: {error}"))
        return sessions

    async def claimed(self, sessions: Sequence[Session]) -> list[Session]:
        """These sessions, as their newest writing says, with a writing of ours over it: whoever has them besides us leaves them.

        A store that takes no writes now keeps nobody from going on; those that are gone meanwhile are left out.
        """
        places = asyncio.Semaphore(_CONCURRENT_WRITES)
        away: list[VerdictdError] = []

        async def one(session: Session) -> Session | None:
            async with places:
                return session if away else await self._claim(session, away)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(session)) for session in sessions]
        return [session for task in tasks if (session := task.result()) is not None]

    async def _claim(self, session: Session, away: list[VerdictdError]) -> Session | None:
        """Null where nothing that can be gone on with is kept any more. Why the store cannot be written goes to ``away``."""
        release_id = session.release_id
        for _ in range(_CLAIMS):
            try:
                over = self._revisions[release_id]
                self._revisions[release_id] = await self._store.put(release_id, encode(session, writer=self._writer), over=over)
            except Conflict:
                newest = await self._newest(release_id, away)
                if newest is None:
                    return session if away else None
                session = newest
            except TransientError as error:
                away.append(error)
                return session
            except VerdictdError as error:  # this one is too large, say: told when it is written for its next tick
                self._meter.failed("store", error)
                return session
            else:
                return session
        return session

    async def _newest(self, release_id: str, away: list[VerdictdError]) -> Session | None:
        try:
            kept = await self._store.get(release_id)
            return None if kept is None else self._read(release_id, kept)
        except stored.NewerForm as error:
            self.leave_alone(release_id, str(error))
        except stored.Unreadable as error:
            self._meter.failed("checkpoint", VerdictdError(f"session {release_id} cannot be read: {error}"))
        except VerdictdError as error:
            away.append(error)
        return None

    def _read(self, release_id: str, kept: Kept) -> Session:
        read = decode(kept.value, now=self._clock.now())
        self._revisions[release_id] = kept.revision
        if read.lost is not None:
            self._meter.failed("checkpoint", VerdictdError(f"evidence of {release_id} is gathered anew: {read.lost}"))
        if read.unread:
            log.warning("a newer version keeps more of a release", extra={"release": release_id, "unread": ", ".join(read.unread)})
        return read.session

    async def run(self) -> None:
        """Write what is waiting, for ever."""
        back_off = pauses(_PAUSES_SECONDS)
        while True:
            await self._wake.wait()
            if await self._write_all():
                back_off = pauses(_PAUSES_SECONDS)
            else:
                await self._clock.sleep(next(back_off))

    async def flush(self, *, seconds: float) -> bool:
        """Wait until nothing is waiting to be written; false if that took too long."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def _enqueue(self, release_id: str, session: Session | None) -> None:
        self._pending[release_id] = session
        self._idle.clear()
        self._wake.set()

    async def _write_all(self) -> bool:
        """Write everything that is waiting when called; false if something has to be tried again, after a pause."""
        self._wake.clear()
        batch = _Batch(iter(list(self._pending)))
        await asyncio.gather(*(self._write_in(batch) for _ in range(min(_CONCURRENT_WRITES, len(self._pending)))))
        if self._pending:
            self._wake.set()
        else:
            self._idle.set()
        return not batch.failed

    async def _write_in(self, batch: "_Batch") -> None:
        while not batch.failed and (release_id := self._next(batch)) is not None:
            batch.under_way.add(release_id)
            batch.failed |= not await self._write(release_id, self._pending.pop(release_id))
            batch.under_way.discard(release_id)

    def _next(self, batch: "_Batch") -> str | None:
        """What somebody waits for goes first, also when it came in the middle of the batch; never one that is under way."""
        return next((key for key in chain(self._waiting, batch.queue) if key in self._pending and key not in batch.under_way), None)

    async def _write(self, release_id: str, session: Session | None) -> bool:
        waiters = self._waiting.pop(release_id, [])
        try:
            if session is None:
                await self._delete(release_id)
            else:
                await self._put(release_id, encode(session, writer=self._writer))
        except Elsewhere as error:
            self.standing.works()
            self._give_up(release_id, error, waiters)
            return True
        except TransientError as error:
            self._meter.failed("store", error)
            self.standing.fails(str(error))
            self._pending.setdefault(release_id, session)
            if waiting := [*_undone(waiters), *self._waiting.get(release_id, [])]:
                self._waiting[release_id] = waiting
            return False
        except Exception as error:  # noqa: BLE001 - what is wrong with one state must not keep the others from being written
            self._meter.failed("store", error)
            if isinstance(error, PermanentError):
                self.standing.works()  # it has answered, if not as we like
            refused = error if isinstance(error, VerdictdError) else VerdictdError(f"{type(error).__name__}: {error}")
            self._say_refused(release_id, str(refused))
            for waiter in _undone(waiters):
                waiter.set_exception(refused)
            return True
        self.standing.works()
        self._refused.pop(release_id, None)
        for waiter in _undone(waiters):
            waiter.set_result(None)
        return True

    async def _put(self, release_id: str, value: bytes) -> None:
        """Over our last write. One that was not acknowledged may be there all the same."""
        try:
            revision = await self._store.put(release_id, value, over=self._revisions.get(release_id, 0))
        except Conflict:
            revision = await self._store.put(release_id, value, over=await self._own_revision(release_id))
        self._revisions[release_id] = revision
        self._left.pop(release_id, None)

    async def _delete(self, release_id: str) -> None:
        await self._own_revision(release_id, ended=True)
        await self._store.delete(release_id)
        self._revisions.pop(release_id, None)

    async def _own_revision(self, release_id: str, *, ended: bool = False) -> int:
        """The newest revision, which a write of ours may stand on; 0 where nothing is kept. Raises ``Elsewhere``."""
        kept = await self._store.get(release_id)
        if kept is None:
            if not ended and await self._records.get(release_id) is not None:
                raise Elsewhere("another verdictd has ended it: its record is kept already")
            return 0
        writer = writer_of(kept.value)
        # An older one than ours is what a broker that lost its last writes has left.
        if writer != self._writer and kept.revision > self._revisions.get(release_id, 0):
            raise Elsewhere(_gone_on_with_by(writer))
        return kept.revision

    def _give_up(self, release_id: str, error: Elsewhere, waiters: Iterable[asyncio.Future[None]]) -> None:
        """What its task waits for is cancelled with the task; others that wait are told."""
        self._revisions.pop(release_id, None)
        self._pending.pop(release_id, None)
        self._refused.pop(release_id, None)
        self._say_left(release_id, str(error))
        self._leave(release_id)
        for waiter in _undone([*waiters, *self._waiting.pop(release_id, [])]):
            waiter.set_exception(error)

    def _say_refused(self, release_id: str, reason: str) -> None:
        """Once for each release and reason: it comes again with every tick."""
        if self._refused.get(release_id) != reason:
            self._refused[release_id] = reason
            log.warning("a release's state cannot be kept", extra={"release": release_id, "reason": reason})


@dataclass(slots=True)
class _Batch:
    """What the writers of one batch share: the keys to be written, each by whoever comes first."""

    queue: Iterator[str]
    under_way: set[str] = field(default_factory=set)
    failed: bool = False


def _gone_on_with_by(writer: str) -> str:
    return f"another verdictd goes on with it (process {writer or 'unknown'})"


def _undone(waiters: Iterable[asyncio.Future[None]]) -> Iterator[asyncio.Future[None]]:
    return (waiter for waiter in waiters if not waiter.done())
