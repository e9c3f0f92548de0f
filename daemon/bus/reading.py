"""Reading a stream once, from a point to its end: for recovery and for looking something up.

An ephemeral pull consumer in batches; the library's ways (push consumers, one message at a time) are slower by an order, and
do not notice a server that went away.
"""

import contextlib
import time
from collections.abc import AsyncGenerator

import nats.errors
from nats.aio.msg import Msg
from nats.js import api

from daemon.bus.connection import Connection
from daemon.bus.translating import translated
from daemon.errors import TimedOut, VerdictdError

BATCH = 500
FETCH_SECONDS = 2.0
READ_SECONDS = 60.0


async def read_to_end(connection: Connection, stream: str, what: api.ConsumerConfig) -> AsyncGenerator[list[Msg], None]:
    """Yield the stored messages that ``what`` selects, in batches; ends where the stream ended when it was reached.

    Raises:
        Unavailable, TimedOut: the connection was lost, or it took over 60 s.
    """
    doing = f"reading {stream}"
    with translated(doing):
        info = await connection.jetstream.add_consumer(
            stream,
            what.evolve(ack_policy=api.AckPolicy.NONE, inactive_threshold=30.0, mem_storage=True, num_replicas=1),
        )
    if not info.num_pending:
        return
    deadline = time.monotonic() + READ_SECONDS
    async with connection.pulling(stream, info.name) as subscription:
        while time.monotonic() < deadline:
            with translated(doing):
                try:
                    messages = await subscription.fetch(BATCH, timeout=FETCH_SECONDS)
                except nats.errors.TimeoutError:
                    # Values overwritten while we read are not sent under their old place: the end may come without a last message.
                    if not (await subscription.consumer_info()).num_pending:
                        return
                    continue
            yield messages
            if messages and messages[-1].metadata.num_pending == 0:
                # The consumer would go by itself after a while; it goes now, so that frequent readers leave no heap of them.
                with contextlib.suppress(VerdictdError), translated(doing):
                    await connection.jetstream.delete_consumer(stream, info.name)
                return
    raise TimedOut(f"{doing}: not finished after {READ_SECONDS:g} s")
