"""Deployment events and commands in, from JetStream.

An event is acknowledged only when the engine has made its release safe; one that cannot be used goes to the dead letters first,
whatever it is made of: nothing that a message holds gets past here as an exception. The release id is made from the event's own
identity, so that an event that comes twice is one release.
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
from nats.aio.msg import Msg

from daemon import names
from daemon.bus import subjects
from daemon.bus.connection import Connection
from daemon.bus.consuming import Consumer
from daemon.bus.deadletters import letter_of
from daemon.bus.delivering import Delivery
from daemon.bus.natsclient import UNREADABLE
from daemon.bus.serving import Served, durable_of
from daemon.errors import InvalidEvent, InvalidInput, TransientError, VerdictdError
from daemon.events.announced import Announced
from daemon.events.announcing import read_release
from daemon.events.commanding import read_command
from daemon.events.hearing import Hearing
from daemon.interventions import Command
from daemon.model import Outline, Release
from daemon.ports.events import DeadLetters

logger = logging.getLogger(__name__)

# Poison: an event that brings the daemon down, or meets a defect, each time it is delivered. Restarts for other reasons count too,
# hence so many; what is postponed because the world does not take it now is not delivered again, and does not count.
MAX_DELIVERIES = 20
RETRY_SECONDS = 5.0


class NatsAnnouncement:
    """``Announcement`` of one message: what it announces, or why it cannot be used."""

    def __init__(self, letters: DeadLetters, delivery: Delivery, content: Announced | InvalidEvent) -> None:
        self._letters = letters
        self._delivery = delivery
        self._content = content

    @property
    def release_id(self) -> str | None:
        """The same for every delivery of the event, and for the same CloudEvent sent twice; null when it cannot be used."""
        if isinstance(self._content, InvalidEvent):
            return None
        return names.new_release_id(self._content.release.service, origin=self._content.origin)

    @property
    def sender(self) -> str:
        """Its source, where it is an event that says one."""
        source = "" if isinstance(self._content, InvalidEvent) else self._content.source
        return f"event {source}" if source else "event"

    @property
    def announced_at(self) -> float:
        """When it came onto the stream."""
        return self._delivery.message.metadata.timestamp.timestamp()

    def release(self) -> Release | Outline:
        """The release; raises ``InvalidEvent`` with the reason."""
        if isinstance(self._content, InvalidEvent):
            # Another one each time: who is raised knows the frames that it went through, and they the announcement, so that
            # both would be in memory, with the message, until the next collection of cycles.
            raise type(self._content).of(self._content.faults)
        return self._content.release

    async def accept(self) -> None:
        """Acknowledge it."""
        await self._delivery.acknowledge()

    async def reject(self, reason: str) -> None:
        """Move it to the dead letters. If they do not take it now the event comes again, and is rejected then."""
        await _reject(self._letters, self._delivery, reason)

    async def postpone(self) -> None:
        """Hand it out again in a while; an outage may last."""
        self._delivery.postpone(seconds=RETRY_SECONDS)

    async def put_back(self) -> None:
        """Let it come again, which is counted: after ``MAX_DELIVERIES`` it goes to the dead letters."""
        await self._delivery.put_back(delay_seconds=RETRY_SECONDS)


class NatsEventSource:
    """``EventSource`` on JetStream, for the daemon of one cluster.

    Each cluster has consumers of its own, so that several can share a broker, and each hears every event. One that names
    another cluster is that cluster's if anybody serves it, and nobody's otherwise: then whoever hears it rejects it. One that
    names no cluster is everybody's who hears it.

    Attributes:
        consumer: whose ``keep`` must run, and whose ``release`` ends the day.
    """

    def __init__(self, connection: Connection, *, cluster: str, letters: DeadLetters, hearing: Hearing | None = None) -> None:
        durable = durable_of(names.token(cluster, path="cluster"))
        self.consumer = Consumer(connection, stream=subjects.RELEASES, durable=durable)
        self._letters = letters
        self._cluster = cluster
        self._hearing = hearing or Hearing(cluster=cluster)
        self._served = Served(connection)

    async def announcements(self) -> AsyncGenerator[NatsAnnouncement, None]:
        """Announcements as they come, for ever; also those that cannot be used, which say why and want to be rejected."""
        async with aclosing(self.consumer.deliveries()) as deliveries:
            async for delivery in deliveries:
                try:
                    content = await self._content(delivery)
                except VerdictdError as error:
                    logger.warning("an event for another cluster is looked at again later", extra={"error": str(error)})
                    delivery.postpone(seconds=RETRY_SECONDS)
                    continue
                if content is None:
                    await delivery.let_go()
                else:
                    yield NatsAnnouncement(self._letters, delivery, content)

    async def _content(self, delivery: Delivery) -> Announced | InvalidEvent | None:
        """What is in a message, or why it cannot be used; null when it is another cluster's.

        Raises:
            VerdictdError: the broker does not say now whether anybody serves its cluster.
        """
        try:
            _check(delivery)
            announced = _read(delivery.message, self._hearing)
            cluster = announced.release.cluster
            if cluster is None or cluster == self._cluster:
                return announced
            await self._served.check(cluster, path=announced.cluster_path)
        except InvalidEvent as error:
            return error.with_traceback(None)
        return None


class NatsCommandSource:
    """``CommandSource`` on JetStream: each cluster's daemon hears every command, and knows which are of its releases."""

    def __init__(self, connection: Connection, *, cluster: str, letters: DeadLetters) -> None:
        durable = durable_of(names.token(cluster, path="cluster"))
        self.consumer = Consumer(connection, stream=subjects.COMMANDS, durable=durable)
        self._letters = letters

    async def commands(self) -> AsyncGenerator[tuple[str, Command], None]:
        """Commands as they come, for ever. One is acknowledged when the next is asked for: it has been carried out by then."""
        async with aclosing(self.consumer.deliveries()) as deliveries:
            async for delivery in deliveries:
                try:
                    _check(delivery)
                    command = _read_command(delivery.message)
                except InvalidEvent as error:
                    logger.warning("command rejected", extra={"reason": str(error), "subject": delivery.message.subject})
                    await _reject(self._letters, delivery, str(error))
                    continue
                try:
                    yield command
                except GeneratorExit:
                    await delivery.put_back()
                    raise
                except TransientError:
                    await delivery.put_back(delay_seconds=RETRY_SECONDS)
                    continue
                await delivery.acknowledge()


def _check(delivery: Delivery) -> None:
    """Before anything is read: what ends the daemon in being read must not be read again and again. Raises ``InvalidEvent``."""
    message = delivery.message
    if message.metadata.num_delivered > MAX_DELIVERIES:
        raise InvalidEvent(f"delivered {MAX_DELIVERIES} times and never accepted", fix="see the log for why, and send it again")
    unreadable = (message.headers or {}).get(UNREADABLE)
    if unreadable is not None:
        # They may hold the event's id: without it, the same event sent twice would be two releases.
        raise InvalidEvent(f"cannot be read: {unreadable!r}", path="headers", fix="begin with NATS/1.0 and write UTF-8")


async def _reject(letters: DeadLetters, delivery: Delivery, reason: str) -> None:
    try:
        await letters.keep(letter_of(delivery.message, reason))
    except VerdictdError as error:
        logger.warning("a dead letter could not be kept yet", extra={"reason": reason, "error": str(error)})
        delivery.postpone(seconds=RETRY_SECONDS)
        return
    await delivery.let_go()


def _read(message: Msg, hearing: Hearing) -> Announced:
    """What a message announces, with an origin in any case. Raises ``InvalidEvent``."""
    announced = read_release(message.headers or {}, message.data, hearing)
    if announced.origin is not None:
        return announced
    return msgspec.structs.replace(announced, origin=_origin(message))


def _origin(message: Msg) -> str:
    """The sender's message id; else the message's place in the stream, with its time, for streams are made anew now and then."""
    sent_as = (message.headers or {}).get("Nats-Msg-Id")
    if sent_as:
        if "\ufffd" in sent_as:
            # What the client could not decode: two ids would become one, and the second release be taken for the first.
            raise InvalidEvent("holds bytes that are not UTF-8", path="headers.Nats-Msg-Id", fix="send UTF-8, or no id")
        return f"message\n{sent_as}"
    meta = message.metadata
    return f"stream\n{meta.stream}\n{meta.sequence.stream}\n{meta.timestamp.isoformat()}"


def _read_command(message: Msg) -> tuple[str, Command]:
    try:
        release_id = names.release_id(message.subject.rpartition(".")[2], path="subject")
    except InvalidInput as error:
        raise InvalidEvent.of(error.faults) from error
    return release_id, read_command(message.data)
