"""Notices on a work queue of JetStream: one stream, a subject and a durable consumer for each channel.

The stream keeps a notice until the channel's consumer has acknowledged it, so that broker and daemon may die at any point. How
often one was handed out, and when it is due again, is known to the server: an outage may outlast the daemon.
"""

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Final

from nats.aio.msg import Msg
from nats.js.errors import NotFoundError

from daemon import names, stored
from daemon.bus import subjects
from daemon.bus.connection import Connection
from daemon.bus.consuming import Consumer
from daemon.bus.deadletters import letter_of
from daemon.bus.delivering import Delivery
from daemon.bus.eventlog import HEADROOM_BYTES
from daemon.bus.publisher import MESSAGE_ID
from daemon.bus.translating import translated
from daemon.errors import InvalidEvent, InvalidInput, VerdictdError
from daemon.ports.events import DeadLetters
from daemon.ports.notices import Backlog, News, Notice, PersonWanted, Sequel

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
_MARKED: Final[Mapping[str, type[PersonWanted | Sequel]]] = {"Verdictd-Person-Wanted": PersonWanted, "Verdictd-Sequel": Sequel}
"""The headers of what is no verdict; a version that does not know one finds no verdict in it, and says so."""


class NatsQueuedNotice:
    """``QueuedNotice`` of one message."""

    def __init__(self, delivery: Delivery, *, letters: DeadLetters) -> None:
        self._delivery = delivery
        self._letters = letters

    @property
    def attempt(self) -> int:
        """As the server counts."""
        return self._message.metadata.num_delivered

    @property
    def queued_at(self) -> float:
        """When it came onto the stream."""
        return self._message.metadata.timestamp.timestamp()

    def notice(self) -> News:
        """What it is; fields of a newer version pass unseen. Raises ``InvalidEvent``."""
        headers = self._message.headers or {}
        kind: type[News] = next((kind for name, kind in _MARKED.items() if name in headers), Notice)
        try:
            return stored.decode(self._message.data, kind).value
        except stored.Unreadable as error:
            raise InvalidEvent(f"no notice of this version: {error}", fix="was it kept by another version?") from error

    async def done(self) -> None:
        """Acknowledge it."""
        await self._delivery.acknowledge()

    async def later(self, *, seconds: float) -> None:
        """Put it back; the server counts it."""
        await self._delivery.put_back(delay_seconds=seconds)

    async def give_up(self, reason: str) -> None:
        """Move it to the dead letters."""
        try:
            await self._letters.keep(letter_of(self._message, reason))
        except VerdictdError as error:
            logger.warning("a dead letter could not be kept yet", extra={"reason": reason, "error": str(error)})
            await self.later(seconds=RETRY_SECONDS)
            return
        await self.done()

    @property
    def _message(self) -> Msg:
        return self._delivery.message


class NatsNoticeQueue:
    """``NoticeQueue`` of one channel of one cluster's daemon.

    Attributes:
        consumer: whose ``keep`` must run, and whose ``release`` ends the day.
    """

    def __init__(self, connection: Connection, *, cluster: str, channel: str, letters: DeadLetters) -> None:
        self._connection = connection
        self._channel = channel
        self._letters = letters
        self._subject = subjects.notice_subject(cluster=cluster, channel=channel)
        durable = f"{names.token(cluster, path='cluster')}-{channel}"
        self._durable = durable
        self.consumer = Consumer(connection, stream=subjects.NOTICES, durable=durable, queue_subject=self._subject)

    async def put(self, notice: News, *, asked_as: str = "") -> None:
        """Publish it; see ``NoticeQueue.put``. The server tells attempts apart by the id for as long as its duplicate window."""
        body = stored.encode(notice, carried={})
        limit = self._connection.client.max_payload - HEADROOM_BYTES
        if len(body) > limit:
            raise InvalidInput(f"{len(body)} bytes are more than NATS takes", fix="raise max_payload of the server")
        with translated(f"queueing {notice.id}"):
            await self._connection.write(
                self._subject,
                body,
                stream=subjects.NOTICES,
                headers={
                    MESSAGE_ID: f"{self._subject}/{notice.id}" + (f"/{asked_as}" if asked_as else ""),
                    **{name: "1" for name, kind in _MARKED.items() if isinstance(notice, kind)},
                },
            )

    async def notices(self) -> AsyncGenerator[NatsQueuedNotice, None]:
        """As they come, for ever."""
        async with aclosing(self.consumer.deliveries()) as deliveries:
            async for delivery in deliveries:
                yield NatsQueuedNotice(delivery, letters=self._letters)

    async def backlog(self) -> Backlog:
        """How many are on the stream, and the oldest one's time. Raises ``VerdictdError``."""
        with translated(f"asking what waits for {self._channel}"):
            jetstream = self._connection.jetstream
            info = await jetstream.consumer_info(subjects.NOTICES, self._durable)
            waiting = (info.num_pending or 0) + (info.num_ack_pending or 0)
            if not waiting:
                return Backlog(waiting=0, oldest_at=None)
            try:
                oldest = await jetstream.get_msg(subjects.NOTICES, seq=1, next=True, subject=self._subject)
            except NotFoundError:
                return Backlog(waiting=0, oldest_at=None)
        return Backlog(waiting=waiting, oldest_at=None if oldest.time is None else oldest.time.timestamp())
