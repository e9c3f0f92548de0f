"""What comes in by events and commands, for ever, from several sources side by side.

Each source has a task and a bound of events under way of its own: one that is slow, hangs or fails holds up no other. Within a
source, events of one service keep their order, since the newer release supersedes the older one; others do not wait for each
other, and how it stands can be asked. Nothing that is wrong with an event keeps the next from being taken. Those that cannot be
understood have a larger bound of their own: they only wait until they are kept elsewhere, and there may be a flood of them.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import NoReturn

from daemon.aio.backoff import pauses
from daemon.aio.clock import Clock
from daemon.aio.tasks import TaskGroup
from daemon.engine.announcementkinds import ENDINGS, SENT
from daemon.errors import Defect, Elsewhere, InvalidInput, NotFound, Refused, TransientError, VerdictdError
from daemon.interventions import Command
from daemon.packages import defects_of
from daemon.ports.events import Announcement, CommandSource, EndAnnouncement, EventSource, ExaminedSource
from daemon.ports.service import Meter, ReleaseService
from daemon.standing import Standing

log = logging.getLogger(__name__)

EVENTS_UNDER_WAY = 16
"""Of one source: taken from it, and not answered yet."""
REFUSALS_UNDER_WAY = 64
"""Of one source, beside those: not understood, and not answered yet."""
STEADY_SECONDS = 30.0
"""A source that has failed, and then goes on for so long, works again, though nothing may have come; its pauses begin anew."""


class Upkeep:
    """What a source needs to go on for ever: it is begun anew whenever it fails or ends, and how it stands is known.

    A defect of it takes nothing else with it. It never ends, so that an end is a failure too.
    """

    def __init__(self, component: str, *, clock: Clock, meter: Meter, examine: Callable[[], str | None] = lambda: None) -> None:
        self.component = component
        self._examine = examine
        self._standing = Standing(component, now=clock.now)
        self._clock = clock
        self._meter = meter
        self._begun_at: float | None = None

    @property
    def problem(self) -> str | None:
        """Why the source does not work; null while it does."""
        if self._is_steady:
            self._standing.works()
        return self._standing.problem or self._examine()

    def works(self) -> None:
        """It has brought something."""
        if self._standing.problem is not None:
            self._standing.works()

    async def run(self, take: Callable[[], Awaitable[None]]) -> NoReturn:
        """Have everything taken, for ever."""
        back_off = pauses()
        while True:
            self._begun_at = self._clock.monotonic()
            try:
                with defects_of(self.component):
                    await take()
                error: VerdictdError = Defect(f"a defect of {self.component}: it has ended")
            except VerdictdError as failure:
                error = failure
            if self._is_steady:
                back_off = pauses()
            self._begun_at = None
            self._failed(error)
            await self._clock.sleep(next(back_off))

    @property
    def _is_steady(self) -> bool:
        return self._begun_at is not None and self._clock.monotonic() - self._begun_at >= STEADY_SECONDS

    def _failed(self, error: VerdictdError) -> None:
        """Told once for each reason, however often it fails."""
        self._meter.failed("source", error)
        if str(error) != self._standing.problem:
            about = {"source": self.component, "reason": str(error), "hint": "it is begun anew"}
            log.error("a source failed", extra=about, exc_info=error.__cause__)
        self._standing.fails(str(error))


class EventConsumer:
    """Hands on what one source of events brings to the engine, and answers. ``run`` is its task.

    Attributes:
        upkeep: how the source stands.
    """

    def __init__(self, name: str, source: EventSource, *, releases: ReleaseService, clock: Clock, meter: Meter) -> None:
        self._name = name
        self._source = source
        self._releases = releases
        self._meter = meter
        self.upkeep = Upkeep(f"source {name}", clock=clock, meter=meter, examine=self._problem)
        self._under_way: set[asyncio.Task[None]] = set()
        self._refusals: set[asyncio.Task[None]] = set()
        self._has_ended = asyncio.Event()
        self._newest: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def run(self) -> NoReturn:
        """Take events until cancelled."""
        async with TaskGroup() as group:
            await self.upkeep.run(lambda: self._take_all(group))

    def _problem(self) -> str | None:
        try:
            with defects_of(f"source {self._name}"):
                return self._source.problem if isinstance(self._source, ExaminedSource) else None
        except VerdictdError as error:
            return str(error)

    async def _take_all(self, group: TaskGroup) -> None:
        async with aclosing(self._source.announcements()) as announcements:
            async for announcement in announcements:
                self.upkeep.works()
                self._begin(announcement, group)
                while self._is_full:
                    self._has_ended.clear()
                    await self._has_ended.wait()

    @property
    def _is_full(self) -> bool:
        return len(self._under_way) >= EVENTS_UNDER_WAY or len(self._refusals) >= REFUSALS_UNDER_WAY

    def _begin(self, announcement: Announcement, group: TaskGroup) -> None:
        """Give the event its task, which begins after the earlier events of its service that are under way."""
        service = _service_of(announcement)
        earlier = None if service is None else self._newest.get(service)
        task = group.create_task(self._answer(announcement, after=earlier), name=f"event of {self._name}")
        (self._refusals if service is None else self._under_way).add(task)
        if service is not None:
            self._newest[service] = task
        task.add_done_callback(lambda done: self._ended(done, service))

    def _ended(self, task: asyncio.Task[None], service: tuple[str, str] | None) -> None:
        self._under_way.discard(task)
        self._refusals.discard(task)
        self._has_ended.set()
        if service is not None and self._newest.get(service) is task:
            del self._newest[service]

    async def _answer(self, announcement: Announcement, *, after: asyncio.Task[None] | None) -> None:
        if after is not None:
            await asyncio.wait([after])
        try:
            await self._take(announcement)
        except Exception as error:
            self._meter.failed("event", error)
            if isinstance(error, TransientError) and not isinstance(error, Defect):
                await self._said(announcement.postpone)
                return
            log.exception("an event failed", extra={"source": self._name, "hint": "it comes again"})
            await self._said(announcement.put_back)

    async def _take(self, announcement: Announcement) -> None:
        if (ending := ENDINGS.seen_in(announcement)) is not None:
            await self._end(ending)
            return
        try:
            with defects_of(self.upkeep.component):
                release, release_id, announced_at = announcement.release(), announcement.release_id, announcement.announced_at
                sent = SENT.seen_in(announcement)
                sender = self._name if sent is None else sent.sender
            assert release_id is not None  # it was understood
            await self._releases.submit(release, release_id=release_id, sender=sender, announced_at=announced_at)
            answer = announcement.accept
        except Elsewhere as error:  # the event has done what it is for: its release is kept
            self._meter.failed("event", error)
            log.warning("event left to another verdictd", extra={"reason": str(error)})
            answer = announcement.accept
        except (InvalidInput, Refused) as error:
            self._meter.failed("event", error)
            log.warning("event rejected", extra={"reason": str(error)})
            answer = partial(announcement.reject, str(error))
        with defects_of(self.upkeep.component):
            await answer()

    async def _end(self, announcement: EndAnnouncement) -> None:
        """A release is over; one that is decided, not known, or another verdictd's, was over already."""
        with defects_of(self.upkeep.component):
            release_id, command = announcement.release_id, announcement.command
        assert release_id is not None  # it ends one
        try:
            await self._releases.command(release_id, command)
        except (NotFound, Refused, Elsewhere) as error:
            log.debug("nothing was left to end", extra={"release": release_id, "reason": str(error)})
        with defects_of(self.upkeep.component):
            await announcement.accept()

    async def _said(self, answer: Callable[[], Awaitable[None]]) -> None:
        """The last answer: when it fails too, the event is the source's again, unanswered."""
        try:
            with defects_of(self.upkeep.component):
                await answer()
        except Exception as error:
            log.exception("an event could not be answered", extra={"source": self._name})
            self._meter.failed("event", error)


class CommandConsumer:
    """Hands on what one source of commands brings to the engine. ``run`` is its task, and ``upkeep`` how the source stands."""

    def __init__(self, source: CommandSource, *, releases: ReleaseService, clock: Clock, meter: Meter) -> None:
        self._source = source
        self._releases = releases
        self._meter = meter
        self.upkeep = Upkeep("commands", clock=clock, meter=meter)

    async def run(self) -> NoReturn:
        """Take commands until cancelled, one after the other."""
        await self.upkeep.run(self._take_all)

    async def _take_all(self) -> None:
        async with aclosing(self._source.commands()) as commands:
            coming: Awaitable[tuple[str, Command]] = anext(commands)
            while True:
                try:
                    release_id, command = await coming
                except StopAsyncIteration:
                    return
                self.upkeep.works()
                not_now = await self._carry_out(release_id, command)
                coming = anext(commands) if not_now is None else commands.athrow(not_now)

    async def _carry_out(self, release_id: str, command: Command) -> TransientError | None:
        """Why it could not be done now, where that may be otherwise in a while."""
        about = {"release": release_id, "command": command.command}
        try:
            await self._releases.command(release_id, command)
        except TransientError as error:
            log.warning("a command comes again", extra={**about, "reason": str(error)})
            self._meter.failed("command", error)
            return error
        except VerdictdError as error:
            log.warning("command refused", extra={**about, "reason": str(error)})
        except Exception as error:
            log.exception("a command failed", extra=about)
            self._meter.failed("command", error)
        return None


def _service_of(announcement: Announcement) -> tuple[str, str] | None:
    """Null where that is not known; why is said when the event is answered, also where it is a defect of its source."""
    try:
        with defects_of("its source"):
            release = announcement.release()
    except VerdictdError:
        return None
    return release.namespace, release.service
