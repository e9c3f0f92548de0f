"""Sessions kept safe: written after every tick, read back at the start.

Only the newest state of a session matters, so a write that is waiting is replaced by a newer one: a slow or absent broker
costs freshness, never memory and never order. Whoever needs a write to be durable waits for it by name.
"""

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Literal

import msgspec

from analyzers.judge import JudgeState
from config import earlier
from daemon.aio.backoff import pauses
from daemon.engine.session import Session
from daemon.errors import PermanentError, TransientError, VerdictdError
from daemon.ports import Clock, Meter, Store
from daemon.standing import Standing

log = logging.getLogger(__name__)

_CONCURRENT_WRITES = 32
# Short enough for what is waiting to be written two seconds after a broker is back.
_PAUSES_SECONDS = (0.1, 0.2, 0.5, 1.0)


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the store. The judge's state is beside the session, as its own exact bytes."""

    session: Session
    judge: bytes | None
    format: Literal["verdictd.session/1"] = "verdictd.session/1"


def encode(session: Session) -> bytes:
    """A session as JSON; nothing is rounded."""
    judge = None if session.judge is None else session.judge.save()
    return msgspec.json.encode(_Kept(session=replace(session, judge=None), judge=judge))


def decode(data: bytes) -> tuple[Session, ValueError | None]:
    """The session back, and why its evidence could not be read.

    The evidence of another version has another layout. The watch goes on and gathers it anew: a pipeline waits for the verdict.

    Raises:
        ValueError, TypeError (and theirs): the session itself cannot be read.
    """
    kept, _ = earlier.decode(data, _Kept, at=("session", "policy"))
    if kept.judge is None:
        return kept.session, None
    try:
        return replace(kept.session, judge=JudgeState.restore(kept.judge)), None
    except ValueError as error:
        return kept.session, error


class Checkpoints:
    """The writer. ``run`` is its task; ``flush`` empties it at the end. ``standing`` is how the store takes what is written."""

    def __init__(self, store: Store, *, clock: Clock, meter: Meter) -> None:
        self._store = store
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

    async def load(self) -> list[Session]:
        """All sessions that were kept. One that cannot be read, and evidence that cannot, are reported and left where they are."""
        sessions = []
        for release_id, data in await self._store.items():
            try:
                session, lost = decode(data)
                sessions.append(session)
                if lost is not None:
                    self._meter.failed("checkpoint", VerdictdError(f"evidence of {release_id} is gathered anew: {lost}"))
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one, the others must be taken up
                self._meter.failed("checkpoint", VerdictdError(f"session {release_id} cannot be read: {error}"))
        return sessions

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
                await self._store.delete(release_id)
            else:
                await self._store.put(release_id, encode(session))
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
