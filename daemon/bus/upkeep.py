"""The streams stay as they must be: one that is deleted while we run is made again, one that is set by hand is set right.

A broker that has lost its disk has none of them, and who clears up by hand may delete a single one. Those who write to it can only
try again, and those who read from it would wait for ever. One that was set by hand to refuse what is new, to acknowledge nothing,
or to keep less of a subject holds verdicts up, or loses them. Both are seen by the same look.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn

from nats.js import api

from daemon.aio.backoff import jittered
from daemon.aio.throttle import LogThrottle
from daemon.bus.connection import Connection
from daemon.bus.looking import as_they_are
from daemon.bus.streams import PLANS, set_right
from daemon.bus.translating import translated
from daemon.errors import VerdictdError

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
# Somebody who sets a stream again and again, such as a tool with a mind of its own, is not answered in kind.
AGAIN_SECONDS = 60.0


async def keep_streams(connection: Connection, *, make: Callable[[], Awaitable[None]]) -> NoReturn:
    """Look every second, ``make`` those that are not there, set right what is not as it must be; for ever.

    What fails is tried again: making at the next look, setting right a minute later.
    """
    complaints = LogThrottle()
    righting = Righting(connection)
    while True:
        await connection.rest(jittered(LOOK_SECONDS))
        try:
            there = await as_they_are(connection)
            if gone := [name for name, config in there.items() if config is None]:
                if complaints.due():
                    logger.warning("streams are gone and are made again", extra={"streams": gone})
                await make()
            await righting.of(there)
        except VerdictdError as error:
            if connection.state == "connected" and complaints.due():
                logger.warning("streams cannot be looked after", extra={"error": str(error)})


class Righting:
    """Sets streams right, each at most once a minute."""

    def __init__(self, connection: Connection, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._monotonic = monotonic
        self._not_before: dict[str, float] = {}

    async def of(self, there: Mapping[str, api.StreamConfig | None]) -> None:
        """Set right what is not as it must be. Raises what the broker says of the first that it does not let us."""
        for plan in PLANS:
            current, now = there[plan.name], self._monotonic()
            if current is None or self._not_before.get(plan.name, now) > now:
                continue
            right = set_right(current, plan)
            if right == current:
                continue
            self._not_before[plan.name] = now + AGAIN_SECONDS
            with translated(f"setting the stream {plan.name} right"):
                await self._connection.jetstream.update_stream(right)
            logger.warning(
                "a stream was set by hand to what verdictd cannot work with, and was set right",
                extra={"stream": plan.name, "was": _difference(current, right)},
            )


def _difference(current: api.StreamConfig, right: api.StreamConfig) -> str:
    """The values that were set right, as they were."""
    was, now = current.as_dict(), right.as_dict()
    return ", ".join(f"{key}={was.get(key)}" for key in sorted({*was, *now}) if was.get(key) != now.get(key))
