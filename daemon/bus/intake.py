"""Deployment events and commands in, from JetStream.

An event is acknowledged only when the engine has made its release safe; one that cannot be understood goes to the dead letters
first. The release id is made from the event's own identity, so that an event that comes twice is one release.
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
from nats.aio.msg import Msg

from daemon import names
from daemon.bus import subjects
from daemon.bus.connection import Connection
from daemon.bus.consuming import Consumer, Delivery, Repair
from daemon.bus.deadletters import bury
from daemon.errors import InvalidEvent, InvalidInput, TransientError
from daemon.events.announcing import Announced, read_release
from daemon.model import Command, Release

logger = logging.getLogger(__name__)

# Poison: an event that brings the daemon down each time it is delivered. Restarts for other reasons count too, hence so many.
MAX_DELIVERIES = 20
RETRY_SECONDS = 5.0


class NatsAnnouncement:
    """``Announcement`` of one message."""

    def __init__(self, connection: Connection, delivery: Delivery) -> None:
        self._connection = connection
        self._delivery = delivery
        self._announced: Announced | InvalidEvent = _read(delivery.message)

    @property
    def release_id(self) -> str | None:
        """The same for every delivery of the event, and for the same CloudEvent sent twice; null when it is not understood."""
        if isinstance(self._announced, InvalidEvent):
            return None
        origin = self._announced.origin or _origin(self._delivery.message)
        return names.new_release_id(self._announced.release.service, origin=origin)

    def release(self) -> Release:
        """The release; raises ``InvalidEvent`` with the reason."""
        if isinstance(self._announced, InvalidEvent):
            raise self._announced
        return self._announced.release

    async def accept(self) -> None:
        """Acknowledge it."""
        await self._delivery.acknowledge()

    async def reject(self, reason: str) -> None:
        """Move it to the dead letters. If they cannot be reached the event comes again, and is rejected then."""
        try:
            await bury(self._connection, self._delivery.message, reason)
        except TransientError as error:
            logger.warning("an event could not be buried yet", extra={"reason": reason, "error": str(error)})
            await self._delivery.put_back(delay_seconds=RETRY_SECONDS)
            return
        logger.warning("event rejected", extra={"reason": reason, "subject": self._delivery.message.subject})
        await self._delivery.acknowledge()

    async def postpone(self) -> None:
        """Let it come again. Said in words, since heartbeats would hold it for as long as anybody remembers it."""
        await self._delivery.put_back(delay_seconds=RETRY_SECONDS)


class Intake:
    """``EventSource`` on JetStream, for the daemon of one cluster.

    Each cluster has consumers of its own, so that several can share a broker: an event that names another cluster is that
    cluster's, one that names none is everybody's who hears it.
    """

    def __init__(self, connection: Connection, *, cluster: str, repair: Repair) -> None:
        durable = f"verdictd-{names.token(cluster, path='cluster')}"
        self._connection = connection
        self._cluster = cluster
        self._releases = Consumer(connection, stream=subjects.RELEASES, durable=durable, repair=repair)
        self._commands = Consumer(connection, stream=subjects.COMMANDS, durable=durable, repair=repair)

    @property
    def consumers(self) -> tuple[Consumer, ...]:
        """Whose ``keep`` must run, and whose ``release`` ends the day."""
        return self._releases, self._commands

    async def announcements(self) -> AsyncGenerator[NatsAnnouncement, None]:
        """Announcements as they come, for ever."""
        async with aclosing(self._releases.deliveries()) as deliveries:
            async for delivery in deliveries:
                announcement = NatsAnnouncement(self._connection, delivery)
                if delivery.message.metadata.num_delivered > MAX_DELIVERIES:
                    await announcement.reject(f"delivered {MAX_DELIVERIES} times and never accepted")
                elif self._is_elsewhere(announcement):
                    await announcement.accept()
                else:
                    yield announcement

    async def commands(self) -> AsyncGenerator[tuple[str, Command], None]:
        """Commands as they come, for ever. One is acknowledged when the next is asked for: it has been carried out by then."""
        async with aclosing(self._commands.deliveries()) as deliveries:
            async for delivery in deliveries:
                try:
                    command = _read_command(delivery.message)
                except InvalidEvent as error:
                    await NatsAnnouncement(self._connection, delivery).reject(str(error))
                    continue
                try:
                    yield command
                except GeneratorExit:
                    await delivery.put_back()
                    raise
                await delivery.acknowledge()

    def _is_elsewhere(self, announcement: NatsAnnouncement) -> bool:
        try:
            cluster = announcement.release().cluster
        except InvalidEvent:
            return False
        return cluster is not None and cluster != self._cluster


def _read(message: Msg) -> Announced | InvalidEvent:
    try:
        return read_release(message.headers or {}, message.data)
    except InvalidEvent as error:
        return error


def _origin(message: Msg) -> str:
    """The sender's message id; else the message's place in the stream, with its time, for streams are made anew now and then."""
    sent_as = (message.headers or {}).get("Nats-Msg-Id")
    if sent_as:
        return f"message\n{sent_as}"
    meta = message.metadata
    return f"stream\n{meta.stream}\n{meta.sequence.stream}\n{meta.timestamp.isoformat()}"


def _read_command(message: Msg) -> tuple[str, Command]:
    release_id = message.subject.rpartition(".")[2]
    try:
        return names.release_id(release_id, path="subject"), msgspec.json.decode(message.data, type=Command)
    except InvalidInput as error:
        raise InvalidEvent(error.message, path=error.path, fix=error.fix) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        text, _, where = str(error).partition(" - at ")
        raise InvalidEvent(
            text, path=where.strip("`") or "$", fix='send {"command":"rollback","by":"name","reason":"..."}'
        ) from error
