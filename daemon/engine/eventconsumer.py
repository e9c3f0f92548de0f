"""What comes in by events and commands, for ever. Nothing that is wrong with one of them keeps the next from being taken."""

import asyncio
import logging
from typing import NoReturn

from daemon.errors import InvalidInput, Refused, TransientError, VerdictdError
from daemon.ports import Announcement, EventSource, Meter, ReleaseService

log = logging.getLogger(__name__)


class EventConsumer:
    """Hands on what ``events`` brings to the engine, and answers."""

    def __init__(self, events: EventSource, *, releases: ReleaseService, meter: Meter) -> None:
        self._events = events
        self._releases = releases
        self._meter = meter

    async def run(self) -> NoReturn:
        """Take events and commands until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take_events(), name="events")
            group.create_task(self._take_commands(), name="commands")
        raise AssertionError("event sources never end")

    async def _take_events(self) -> None:
        async for announcement in self._events.announcements():
            try:
                await self._take_event(announcement)
            except TransientError as error:
                self._meter.failed("event", error)
                await announcement.postpone()
            except Exception as error:
                log.exception("an event failed", extra={"hint": "it comes again"})
                self._meter.failed("event", error)
                await announcement.put_back()

    async def _take_event(self, announcement: Announcement) -> None:
        try:
            release = announcement.release()
            assert announcement.release_id is not None  # it was understood
            await self._releases.submit(release, release_id=announcement.release_id)
        except (InvalidInput, Refused) as error:
            self._meter.failed("event", error)
            log.warning("event rejected", extra={"reason": str(error)})
            await announcement.reject(str(error))
        else:
            await announcement.accept()

    async def _take_commands(self) -> None:
        async for release_id, command in self._events.commands():
            about = {"release": release_id, "command": command.command}
            try:
                await self._releases.command(release_id, command)
            except VerdictdError as error:
                log.warning("command refused", extra={**about, "reason": str(error)})
            except Exception as error:
                log.exception("a command failed", extra=about)
                self._meter.failed("command", error)
