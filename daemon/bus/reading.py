"""Reading a stream once, from a point to its end: for recovery and for looking something up.

An ephemeral pull consumer in batches; the library's ways (push consumers, one message at a time) are slower by an order, and
do not notice a server that went away. Nothing is acknowledged, so what is lost on the way is not sent again: the numbers that
the consumer gives its messages are checked, and a gap fails the reading, which is then done anew.
"""

import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from datetime import datetime

from nats.aio.msg import Msg
from nats.js import api

from daemon.bus.connection import Connection, PullSubscription
from daemon.bus.translating import translated
from daemon.errors import NotFound, TimedOut, Unavailable, VerdictdError

# Values may be as large as a message may be, some MiB; a batch of them must fit into what the client is ready to hold (256 MiB).
BATCH = 50
FETCH_SECONDS = 2.0
READ_SECONDS = 60.0


async def read_to_end(
    connection: Connection,
    stream: str,
    what: api.ConsumerConfig,
    *,
    before: int | None = None,
    began: Callable[[datetime], None] = lambda _at: None,
) -> AsyncGenerator[list[Msg], None]:
    """Yield the stored messages that ``what`` selects, in batches; ends where the stream ended when it was reached.

    With ``before`` it ends there already: the last batch may reach beyond that place on the stream.
    ``began`` hears first what the server's clock says.

    Raises:
        Unavailable, TimedOut: the connection was lost, or it took over 60 s; read again from the start.
    """
    doing = f"reading {stream}"
    try:
        with translated(doing):
            info = await connection.jetstream.add_consumer(
                stream,
                what.evolve(ack_policy=api.AckPolicy.NONE, inactive_threshold=30.0, mem_storage=True, num_replicas=1),
            )
        began(info.created)
        if info.num_pending:
            async with connection.pulling(stream, info.name) as subscription:
                with translated(doing):
                    async for batch in _batches(subscription, doing=doing, before=before):
                        yield batch
    except NotFound as error:
        # Not the caller's mistake: a server that was restarted has forgotten our consumer.
        raise Unavailable(f"{doing}: interrupted") from error
    # The consumer would go by itself after a while; it goes now, so that frequent readers leave no heap of them.
    with contextlib.suppress(VerdictdError), translated(doing):
        await connection.jetstream.delete_consumer(stream, info.name)


async def _batches(subscription: PullSubscription, *, doing: str, before: int | None) -> AsyncGenerator[list[Msg], None]:
    deadline = time.monotonic() + READ_SECONDS
    read, stalled = 0, False
    while time.monotonic() < deadline:
        try:
            messages = await subscription.fetch(BATCH, timeout=FETCH_SECONDS)
        except TimeoutError:  # the library raises its own and the plain one
            # Values overwritten while we read are not sent under their old place: the end may come without a last message.
            info = await subscription.consumer_info()
            if info.num_pending:
                continue
            if info.delivered is not None and info.delivered.consumer_seq != read and not stalled:
                stalled = True  # what was sent while we asked may be here now
                continue
            _check(read, info.delivered.consumer_seq if info.delivered is not None else read, doing=doing)
            return
        for message in messages:
            read += 1
            _check(read, message.metadata.sequence.consumer, doing=doing)
        yield messages
        if messages and _is_last(messages[-1], before=before):
            return
    raise TimedOut(f"{doing}: not finished after {READ_SECONDS:g} s, {read} messages read")


def _is_last(message: Msg, *, before: int | None) -> bool:
    """Whether none comes after it, or none that is wanted."""
    return message.metadata.num_pending == 0 or (before is not None and message.metadata.sequence.stream >= before - 1)


def _check(read: int, sent: int, *, doing: str) -> None:
    if read != sent:
        raise Unavailable(f"{doing}: messages were lost on the way")
