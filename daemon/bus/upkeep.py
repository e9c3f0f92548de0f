"""The streams stay: one that is deleted while we run is made again, whoever needs it.

A broker that has lost its disk has none of them, and who clears up by hand may delete a single one. Those who write to it can only
try again, and those who read from it would wait for ever.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn

from daemon.aio.backoff import jittered
from daemon.aio.throttle import LogThrottle
from daemon.bus.connection import Connection
from daemon.bus.looking import missing
from daemon.errors import VerdictdError

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


async def keep_streams(connection: Connection, *, make: Callable[[], Awaitable[None]]) -> NoReturn:
    """Look every second whether all are there, and ``make`` those that are not; for ever. What fails is tried at the next look."""
    complaints = LogThrottle()
    while True:
        await connection.rest(jittered(LOOK_SECONDS))
        try:
            if gone := await missing(connection):
                if complaints.due():
                    logger.warning("streams are gone and are made again", extra={"streams": gone})
                await make()
        except VerdictdError as error:
            if connection.state == "connected" and complaints.due():
                logger.warning("streams cannot be looked after", extra={"error": str(error)})
