"""What comes in by events and commands, for ever, from several sources side by side.

Each source has a task and a bound of events under way of its own: one that is slow, hangs or fails holds up no other. Within a
source, events of one service keep their order, since the newer release supersedes the older one; others do not wait for each
other. Nothing that is wrong with an event keeps the next from being taken.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import NoReturn

from daemon.aio.backoff import pauses
from daemon.aio.clock import Clock
from daemon.aio.tasks import contained
from daemon.errors import Elsewhere, InvalidInput, Refused, TransientError, VerdictdError
from daemon.ports.events import Announcement, CommandSource, EventSource
from daemon.ports.service import Meter, ReleaseService

log = logging.getLogger(__name__)

EVENTS_UNDER_WAY = 16
"""Of one source: taken from it, and not answered yet."""


class EventConsumer:
    """Hands on what one source of events brings to the engine, and answers. ``run`` is its task."""

    def __init__(self, name: str, source: EventSource, *, releases: ReleaseService, clock: Clock, meter: Meter) -> None:
        self._name = name
        self._source = source
        self._releases = releases
        self._clock = clock
        self._meter = meter
        self._under_way: set[asyncio.Task[None]] = set()
        self._newest: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def run(self) -> NoReturn:
        """Take events until cancelled."""
        async with asyncio.TaskGroup() as group:
            await _for_ever(lambda: self._take_all(group), name=self._name, clock=self._clock, meter=self._meter)

    async def _take_all(self, group: asyncio.TaskGroup) -> None:
        async with aclosing(self._source.announcements()) as announcements:
            async for announcement in announcements:
                self._begin(announcement, group)
                while len(self._under_way) >= EVENTS_UNDER_WAY:
                    await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)

    def _begin(self, announcement: Announcement, group: asyncio.TaskGroup) -> None:
        """Give the event its task, which begins after the earlier events of its service that are under way."""
        service = _service_of(announcement)
        earlier = None if service is None else self._newest.get(service)
        task = group.create_task(self._answer(announcement, after=earlier), name=f"event of {self._name}")
        self._under_way.add(task)
        if service is not None:
            self._newest[service] = task
        task.add_done_callback(lambda done: self._ended(done, service))

    def _ended(self, task: asyncio.Task[None], service: tuple[str, str] | None) -> None:
        self._under_way.discard(task)
        if service is not None and self._newest.get(service) is task:
            del self._newest[service]

    async def _answer(self, announcement: Announcement, *, after: asyncio.Task[None] | None) -> None:
        if after is not None:
            await asyncio.wait([after])
        try:
            with contained():
                await self._take(announcement)
        except TransientError as error:
            self._meter.failed("event", error)
            await self._said(announcement.postpone)
        except Exception as error:
            log.exception("an event failed", extra={"source": self._name, "hint": "it comes again"})
            self._meter.failed("event", error)
            await self._said(announcement.put_back)

    async def _take(self, announcement: Announcement) -> None:
        try:
            release = announcement.release()
            assert announcement.release_id is not None  # it was understood
            await self._releases.submit(release, release_id=announcement.release_id)
        except Elsewhere as error:  # the event has done what it is for: its release is kept
            self._meter.failed("event", error)
            log.warning("event left to another verdictd", extra={"reason": str(error)})
            await announcement.accept()
        except (InvalidInput, Refused) as error:
            self._meter.failed("event", error)
            log.warning("event rejected", extra={"reason": str(error)})
            await announcement.reject(str(error))
        else:
            await announcement.accept()

    async def _said(self, answer: Callable[[], Awaitable[None]]) -> None:
        """The last answer: when it fails too, the event is the source's again, unanswered."""
        try:
            with contained():
                await answer()
        except Exception as error:
            log.exception("an event could not be answered", extra={"source": self._name})
            self._meter.failed("event", error)


class CommandConsumer:
    """Hands on what one source of commands brings to the engine. ``run`` is its task."""

    def __init__(self, source: CommandSource, *, releases: ReleaseService, clock: Clock, meter: Meter) -> None:
        self._source = source
        self._releases = releases
        self._clock = clock
        self._meter = meter

    async def run(self) -> NoReturn:
        """Take commands until cancelled, one after the other."""
        await _for_ever(self._take_all, name="commands", clock=self._clock, meter=self._meter)

    async def _take_all(self) -> None:
        async with aclosing(self._source.commands()) as commands:
            async for release_id, command in commands:
                about = {"release": release_id, "command": command.command}
                try:
                    await self._releases.command(release_id, command)
                except VerdictdError as error:
                    log.warning("command refused", extra={**about, "reason": str(error)})
                except Exception as error:
                    log.exception("a command failed", extra=about)
                    self._meter.failed("command", error)


async def _for_ever(take: Callable[[], Awaitable[None]], *, name: str, clock: Clock, meter: Meter) -> NoReturn:
    """Sources never end. One that does, by a defect, is begun anew after a pause, and takes nothing else with it."""
    for pause in pauses():
        try:
            with contained():
                await take()
        except Exception as error:
            log.exception("a source failed", extra={"source": name, "hint": "a defect of ours; it is begun anew"})
            meter.failed("source", error)
        await clock.sleep(pause)
    raise AssertionError("pauses never end")


def _service_of(announcement: Announcement) -> tuple[str, str] | None:
    """Null where that is not known; why is said when the event is answered, also where it is a defect of its source."""
    try:
        with contained():
            release = announcement.release()
    except Exception:  # noqa: BLE001 - as above
        return None
    return release.namespace, release.service
