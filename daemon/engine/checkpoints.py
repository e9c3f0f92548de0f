"""Sessions kept safe: written after every tick, each as soon as the store takes it.

Only the newest state of a session matters, so a write that is waiting is replaced by a newer one: a slow or absent broker
costs freshness, never memory and never order. Whoever needs a write to be durable waits for it by name. Whose a session is, and
what was kept before, is ``keptsessions``' to know.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from daemon.aio.backoff import pauses
from daemon.aio.clock import Clock
from daemon.engine.keptsessions import CONCURRENT_WRITES, KeptSessions
from daemon.engine.session import Session
from daemon.errors import Elsewhere, PermanentError, TransientError, Unavailable, VerdictdError
from daemon.model import Release
from daemon.ports.durable import Store
from daemon.ports.service import Meter
from daemon.standing import Standing

log = logging.getLogger(__name__)

# Short enough for what is waiting to be written two seconds after a broker is back.
_PAUSES_SECONDS = (0.1, 0.2, 0.5, 1.0)


class Checkpoints:
    """The writer. ``run`` is its task; ``flush`` empties it at the end.

    Attributes:
        kept: what is there already, and whose.
        standing: how the store takes what is written.

    Args:
        store: where sessions are kept.
        records: where those are that have ended.
        leave: called with a release's id when it turns out to be another process's; nothing must be done about it any more.
        clock, meter: the engine's.
        number: see ``KeptSessions``.
    """

    def __init__(
        self,
        store: Store,
        *,
        records: Store,
        clock: Clock,
        meter: Meter,
        leave: Callable[[str], None],
        number: Callable[[Release], int] = lambda release: 0,
    ) -> None:
        self.kept = KeptSessions(store, records=records, clock=clock, meter=meter, number=number)
        self._leave = leave
        self._clock = clock
        self._meter = meter
        self.standing = Standing("store", now=clock.now)
        self._refused: dict[str, str] = {}
        self._pending: dict[str, Session | None] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

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

    def drop(self, release_id: str) -> None:
        """Another replica has it: nothing more is written of it, and whoever waits for that is told."""
        self.kept.forget(release_id)
        self._pending.pop(release_id, None)
        self._refused.pop(release_id, None)
        for waiter in _undone(self._waiting.pop(release_id, [])):
            waiter.set_exception(Unavailable(f"release {release_id} is another replica's by now; try again"))

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
        await asyncio.gather(*(self._write_in(batch) for _ in range(min(CONCURRENT_WRITES, len(self._pending)))))
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
                await self.kept.delete(release_id)
            else:
                await self.kept.put(session)
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

    def _give_up(self, release_id: str, error: Elsewhere, waiters: Iterable[asyncio.Future[None]]) -> None:
        """What its task waits for is cancelled with the task; others that wait are told."""
        self.kept.forget(release_id)
        self._pending.pop(release_id, None)
        self._refused.pop(release_id, None)
        self.kept.say_left(release_id, str(error))
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


def _undone(waiters: Iterable[asyncio.Future[None]]) -> Iterator[asyncio.Future[None]]:
    return (waiter for waiter in waiters if not waiter.done())
