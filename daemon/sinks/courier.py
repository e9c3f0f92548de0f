"""Notices from a channel's queue to whoever is to be told: a few at a time, each by itself, again and again for a while.

One that is not taken comes again from the queue, ever later, so that a target that is away for an hour costs a few attempts and
holds up no other channel. What can never be told, or not for too long, is a dead letter with the reason, and is counted. The pauses
are kept by the queue, and the attempts counted there: a restart forgets neither.
"""

import asyncio
import logging
import random
from collections import OrderedDict
from contextlib import aclosing
from typing import Protocol
from weakref import WeakValueDictionary

from daemon.aio.backoff import doubled
from daemon.aio.clock import Clock
from daemon.aio.tasks import TaskGroup
from daemon.errors import Defect, InvalidInput, Refused, Throttled, TimedOut, VerdictdError
from daemon.packages import defects_of
from daemon.ports.notices import News, NoticeMeter, NoticeQueue, PersonWanted, QueuedNotice, Sequel
from daemon.standing import Standing

log = logging.getLogger(__name__)

AT_A_TIME = 4
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 300.0
WANTED_SECONDS = 600.0
"""For so long it is tried to tell that a person is waited for; later there may be a verdict that was told before a restart."""
_MOST_DECIDED = 10_000
LOOK_SECONDS = 15.0
"""Between two looks at what waits."""


class Teller(Protocol):
    """Who tells one notice over one channel."""

    @property
    def attempt_seconds(self) -> float:
        """How long one attempt may take; what hangs for longer is left."""
        ...

    async def tell(self, notice: News) -> None:
        """One attempt; returns when it was taken.

        Raises:
            InvalidInput, Refused: it will never be.
            VerdictdError: it may be later.
        """
        ...


class Courier:
    """One channel's. ``run`` and ``watch`` are its tasks.

    Args:
        name: the channel's.
        queue: its notices.
        to: who is told.
        attempt_seconds: how long one attempt may take.
        give_up_seconds: how long a notice is tried, from when it was queued.
        clock: the daemon's.
        meter: where its measurements go.
    """

    def __init__(
        self,
        name: str,
        *,
        queue: NoticeQueue,
        to: Teller,
        attempt_seconds: float,
        give_up_seconds: float,
        clock: Clock,
        meter: NoticeMeter,
    ) -> None:
        self._name = name
        self._queue = queue
        self._to = to
        self._attempt_seconds = attempt_seconds
        self._give_up_seconds = give_up_seconds
        self._clock = clock
        self._meter = meter
        self._standing = Standing(f"sink {name}", now=clock.now)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._decided: OrderedDict[str, None] = OrderedDict()
        self._again: dict[str, tuple[str, float]] = {}

    async def run(self) -> None:
        """Tell what comes, for ever."""
        room = asyncio.Semaphore(AT_A_TIME)
        async with TaskGroup() as group, aclosing(self._queue.notices()) as notices:
            async for queued in notices:
                await room.acquire()
                task = group.create_task(self.deliver(queued), name=f"a verdict to {self._name}")
                task.add_done_callback(lambda _: room.release())

    async def watch(self) -> None:
        """Measure what waits, for ever."""
        while True:
            try:
                self._meter.waits(self._name, await self._queue.backlog())
            except VerdictdError as error:
                log.debug("what waits is not known", extra={"sink": self._name, "error": str(error)})
            await self._clock.sleep(LOOK_SECONDS)

    async def deliver(self, queued: QueuedNotice) -> None:
        """One attempt at one notice, and its answer to the queue."""
        try:
            notice = queued.notice()
        except InvalidInput as unreadable:
            await self._give_up(queued, "", unreadable)
            return
        # One after the other for one release, since each takes the place of the one before.
        async with self._turns.setdefault(notice.release_id, asyncio.Lock()):
            if isinstance(notice, PersonWanted) and self._is_over(notice, queued):
                await queued.done()
                return
            if isinstance(notice, Sequel) and (due_at := self._still_to_come(notice)) is not None:
                await queued.later(seconds=max(due_at - self._clock.monotonic(), 0.0) + FIRST_PAUSE_SECONDS)
                return
            error = await self._attempt(notice)
            await self._answer(queued, notice, error)

    def _still_to_come(self, notice: Sequel) -> float | None:
        """When what was before it comes again, by what only passes; null where nothing does, and where that is overdue: another
        replica has had it."""
        before, due_at = self._again.get(notice.release_id, (notice.id, 0.0))
        is_overdue = self._clock.monotonic() > due_at + self._attempt_seconds
        return None if before == notice.id or is_overdue else due_at

    async def _answer(self, queued: QueuedNotice, notice: News, error: VerdictdError | None) -> None:
        """What came of an attempt, to the queue. What comes after it of its release waits for it, whose place it is to take."""
        if not isinstance(notice, PersonWanted):
            self._decided[notice.release_id] = None
            while len(self._decided) > _MOST_DECIDED:
                self._decided.popitem(last=False)
        self._again.pop(notice.release_id, None)
        if error is None:
            await queued.done()
            self._standing.works()
            self._meter.told(self._name)
            return
        self._meter.failed(self._name, error)
        pause = self._pause(queued.attempt, error)
        if isinstance(error, InvalidInput | Refused) or self._clock.now() + pause - queued.queued_at > self._give_up_seconds:
            await self._give_up(queued, notice.release_id, error)
            return
        self._standing.fails(str(error))
        if not isinstance(notice, PersonWanted):
            self._again[notice.release_id] = (notice.id, self._clock.monotonic() + pause)
        await queued.later(seconds=pause)

    def _is_over(self, wanted: PersonWanted, queued: QueuedNotice) -> bool:
        """Whether nobody needs to be told any more: there is a verdict, or it was too long ago to say it now."""
        now = self._clock.now()
        return wanted.release_id in self._decided or now >= wanted.until or now - queued.queued_at > WANTED_SECONDS

    async def _attempt(self, notice: News) -> VerdictdError | None:
        """Why it was not taken; null when it was."""
        try:
            async with asyncio.timeout(self._attempt_seconds):
                with defects_of(f"sink {self._name}"):
                    await self._to.tell(notice)
        except TimeoutError:
            return TimedOut(f"no acknowledgement within {self._attempt_seconds:g} s")
        except Defect as error:
            log.exception("a sink failed by a defect", extra={"sink": self._name})
            return error
        except VerdictdError as error:
            return error
        return None

    async def _give_up(self, queued: QueuedNotice, release_id: str, error: VerdictdError) -> None:
        about = {"sink": self._name, "release": release_id, "attempts": queued.attempt, "error": str(error)}
        log.error("a verdict is not told; it is among the dead letters", extra=about)
        self._meter.gave_up(self._name)
        await queued.give_up(f"sink {self._name} was not told in {queued.attempt} attempts: {error}")

    @staticmethod
    def _pause(attempt: int, error: VerdictdError) -> float:
        pause = doubled(attempt, first_seconds=FIRST_PAUSE_SECONDS, cap_seconds=LONGEST_PAUSE_SECONDS, random=random.random)
        return max(pause, error.retry_after_seconds) if isinstance(error, Throttled) else pause
