"""Messages of a stream through a durable consumer, for ever, whatever happens to the connection, the server or the consumer.

Short fetches in a loop: a fetch in flight while the server restarts waits out its whole time-out, so it must be short. A
message is held by heartbeats while somebody works on it, and comes again ten seconds after nobody does: neither a slow store
nor a crash loses it, and a restart need not wait long. Heartbeats follow the object: one that is dropped without an answer is
not held any longer.
"""

import asyncio
import logging
import weakref
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime, timedelta

from nats.aio.msg import Msg
from nats.errors import NotJSMessageError
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NotFoundError

from daemon.aio.backoff import pauses
from daemon.aio.throttle import LogThrottle
from daemon.bus.connection import Connection, PullSubscription
from daemon.bus.delivering import Delivery, Waiting
from daemon.bus.translating import translated
from daemon.errors import VerdictdError

logger = logging.getLogger(__name__)


class Gaps:
    """Of one consumer.

    Attributes:
        lost: how many messages were gone unread, since the daemon has started.
    """

    def __init__(self, stream: str) -> None:
        self.lost = 0
        self._stream = stream
        self._newest: int | None = None
        self._deliveries: int | None = None

    def begin(self, *, delivered: int | None, deliveries: int | None) -> None:
        """The consumer is there; ``delivered`` is the largest number given out so far, in so many deliveries. Null: it is new."""
        self._newest, self._deliveries = delivered, deliveries

    def next_is(self, number: int, *, lost_on_the_way: int = 0) -> None:
        """No message before this number will come any more, but those that have come once already, or were lost on the way."""
        if self._newest is None:
            return
        missing = number - self._newest - 1 - lost_on_the_way
        if missing > 0:
            self.lost += missing
            logger.error(
                "messages were removed from a stream before they were read",
                extra={"stream": self._stream, "messages": missing, "first": self._newest + 1, "last": number - 1},
            )
            self._newest = number - 1

    def seen(self, number: int, *, delivery: int) -> None:
        """A message with this number has come, in this one of the consumer's deliveries."""
        self.next_is(number, lost_on_the_way=0 if self._deliveries is None else delivery - self._deliveries - 1)
        self._newest = number if self._newest is None else max(self._newest, number)
        self._deliveries = delivery


BATCH = 64
FETCH_SECONDS = 1.0
ACK_WAIT_SECONDS = 10.0
HEARTBEAT_SECONDS = 3.0
# A consumer made for a stream that is there already (another cluster's) begins with the last hour, not with the last week.
LOOK_BACK_SECONDS = 3_600.0
# JetStream's number for a consumer that cannot be made so; of one that is there already, that where it begins cannot be changed.
NOT_MADE = 10012


class Consumer:
    """A durable consumer of one stream. ``keep`` is its task: the heartbeats of what is held.

    A stream that is gone is waited for. ``gaps`` knows of messages that were gone before they came; of a work queue, on which
    one subject is consumed from its beginning and others' messages lie between, nothing is told.
    """

    def __init__(self, connection: Connection, *, stream: str, durable: str, queue_subject: str | None = None) -> None:
        self.gaps = Gaps(stream)
        self._connection = connection
        self._complaints = LogThrottle()
        self._stream = stream
        self._durable = durable
        self._queue_subject = queue_subject
        self._held: weakref.WeakSet[Delivery] = weakref.WeakSet()
        self._waiting = Waiting()

    async def deliveries(self) -> AsyncGenerator[Delivery, None]:
        """Messages as they come, for ever."""
        waits = pauses()
        while True:
            try:
                await self._ensure()
                async with self._connection.pulling(self._stream, self._durable) as subscription:
                    while True:
                        batch = await self._batch(subscription)
                        waits = pauses()
                        try:
                            while batch:
                                yield batch.pop(0)
                        finally:
                            for rest in batch:
                                await rest.put_back()
            except VerdictdError as error:
                self._complain(error)
                await self._connection.rest(next(waits))

    async def keep(self) -> None:
        """Hold what has been delivered and not answered; for ever."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            await self._hold_all()

    async def release(self) -> None:
        """Put back what is unanswered, so that whoever comes next need not wait for it."""
        for delivery in list(self._held):
            if not delivery.answered:
                await delivery.put_back()

    async def _hold_all(self) -> None:
        # A function of its own, since a name left over from a loop in ``keep`` would itself hold the last delivery for ever.
        for delivery in list(self._held):
            if not delivery.answered:
                await delivery.hold()

    async def _batch(self, subscription: PullSubscription) -> list[Delivery]:
        """What has come, and before it what was postponed until now."""
        if self._waiting.is_full:
            await asyncio.sleep(FETCH_SECONDS)
            return self._waiting.take()
        come = [Delivery(message, waiting=self._waiting) for message in await self._fetch(subscription)]
        for one in come:
            if self._queue_subject is None:
                self.gaps.seen(one.number, delivery=one.message.metadata.sequence.consumer)
            self._waiting.replace(one)
        worked_on = {one.identity for one in self._held if not one.answered}
        # What comes again although it is being worked on would take the place of others; the answer under way is for both.
        fetched = [one for one in come if one.identity not in worked_on]
        self._held.update(fetched)
        return [*self._waiting.take(), *fetched]

    async def _fetch(self, subscription: PullSubscription) -> list[Msg]:
        with translated(f"fetching from {self._stream}"):
            try:
                messages = await subscription.fetch(BATCH, timeout=FETCH_SECONDS)
            except TimeoutError:  # the library raises its own and the plain one
                return []
        return [message for message in messages if self._is_of_the_stream(message)]

    def _is_of_the_stream(self, message: Msg) -> bool:
        """Whoever guesses our inbox can write to it; what has no place in a stream can be neither answered nor kept."""
        try:
            return message.metadata.stream == self._stream
        except (NotJSMessageError, ValueError, OverflowError):
            logger.warning("a message came past the stream and is not read", extra={"subject": message.subject})
            return False

    def _complain(self, error: VerdictdError) -> None:
        if self._connection.state == "connected" and self._complaints.due():
            logger.warning("no events can be read", extra={"stream": self._stream, "error": str(error)})

    async def _ensure(self) -> None:
        """Make the consumer, or bring it to what it must be; where it begins is decided once."""
        jetstream = self._connection.jetstream
        with translated(f"creating the consumer {self._durable}"):
            try:
                there = await self._made(jetstream)
            except APIError as error:
                if error.err_code != NOT_MADE:
                    raise
                there = await self._made(jetstream)  # another replica has made it since we looked: it begins where that one said
            if self._queue_subject is not None:
                return
            delivered = None if there is None else there.delivered
            if delivered is None:
                self.gaps.begin(delivered=None, deliveries=None)
            else:
                self.gaps.begin(delivered=delivered.stream_seq, deliveries=delivered.consumer_seq)
            self.gaps.next_is((await jetstream.stream_info(self._stream)).state.first_seq)

    async def _made(self, jetstream: JetStreamContext) -> api.ConsumerInfo | None:
        """How it was before it was made, or brought to what it must be; null: it was not there."""
        there: api.ConsumerInfo | None = None
        start: Mapping[str, object]
        try:
            there = await jetstream.consumer_info(self._stream, self._durable)
            start = {"deliver_policy": there.config.deliver_policy, "opt_start_time": there.config.opt_start_time}
        except NotFoundError:
            start = self._start()
        wanted = api.ConsumerConfig(
            durable_name=self._durable,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_SECONDS,
            # Without end: a limit would let a message stop coming without a word. Poison goes to the dead letters instead.
            max_deliver=-1,
            max_ack_pending=1_000,
            filter_subject=self._queue_subject,
        )
        await jetstream.add_consumer(self._stream, wanted.evolve(**start))
        return there

    def _start(self) -> dict[str, api.DeliverPolicy | datetime]:
        """Where a new one begins."""
        if self._queue_subject is not None:
            return {"deliver_policy": api.DeliverPolicy.ALL}
        begin = datetime.now(UTC) - timedelta(seconds=LOOK_BACK_SECONDS)
        return {"deliver_policy": api.DeliverPolicy.BY_START_TIME, "opt_start_time": begin}
