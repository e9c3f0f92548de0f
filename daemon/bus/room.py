"""Room for new messages in the streams that refuse them when they are full.

What everybody has answered is kept for a while, for people to look at, and need not be: where it takes half of the room it goes.
What somebody has not answered stays, and if there is no room beside it new messages are refused: their senders are told, and
nothing is lost unseen.
"""

import asyncio
import logging
from typing import NoReturn

from nats.js import api

from daemon.aio.throttle import LogThrottle
from daemon.bus import subjects
from daemon.bus.connection import Connection
from daemon.bus.serving import daemons
from daemon.bus.translating import translated
from daemon.errors import VerdictdError

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
TIDY_ABOVE = 0.5
WARN_ABOVE = 0.9

REFUSING_STREAMS = (subjects.RELEASES, subjects.COMMANDS)


class Room:
    """``keep`` is its task."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._warnings = {stream: LogThrottle() for stream in REFUSING_STREAMS}

    async def keep(self) -> NoReturn:
        """Look every few seconds, for ever. What cannot be looked at now is looked at again."""
        while True:
            for stream in REFUSING_STREAMS:
                try:
                    await self.tidy(stream)
                except VerdictdError as error:
                    logger.debug("no look at the room in a stream", extra={"stream": stream, "error": str(error)})
            await asyncio.sleep(LOOK_SECONDS)

    async def tidy(self, stream: str) -> None:
        """Remove what every daemon has answered, where the stream is half full; say so where it is full without that."""
        jetstream = self._connection.jetstream
        with translated(f"looking for room in {stream}"):
            info = await jetstream.stream_info(stream)
            if _filled(info) <= TIDY_ABOVE:
                return
            slowest = min(await daemons(jetstream, stream), key=_answered, default=None)
            if slowest is not None and _answered(slowest) >= info.state.first_seq:
                await jetstream.purge_stream(stream, seq=_answered(slowest) + 1)
                logger.info("answered messages make room", extra={"stream": stream, "up_to": _answered(slowest)})
                info = await jetstream.stream_info(stream)
        if _filled(info) > WARN_ABOVE and self._warnings[stream].due():
            logger.error(
                "a stream is nearly full: new messages will be refused",
                extra={
                    "stream": stream,
                    "messages": info.state.messages,
                    "unanswered_by": "nobody" if slowest is None else slowest.name,
                    "hint": "start that daemon; delete the consumer of one that is no more; or raise the stream's limits",
                },
            )


def _filled(info: api.StreamInfo) -> float:
    """The part of the room that is taken, by bytes or by messages, whichever is more."""
    config, state = info.config, info.state
    by_bytes = state.bytes / config.max_bytes if config.max_bytes and config.max_bytes > 0 else 0.0
    by_messages = state.messages / config.max_msgs if config.max_msgs and config.max_msgs > 0 else 0.0
    return max(by_bytes, by_messages)


def _answered(consumer: api.ConsumerInfo) -> int:
    """The number up to which this consumer has answered everything."""
    return 0 if consumer.ack_floor is None else consumer.ack_floor.stream_seq
