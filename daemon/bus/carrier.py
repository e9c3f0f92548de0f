"""Words from one replica to another, as a request on a subject of its own: quick, and kept nowhere.

Answers come on subjects beside, and not in the client's inbox, so that no daemon needs the right to write into inboxes.
Whoever is asked and does not answer in time may have heard it: whoever asks asks again.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import nats.errors
from nats.aio.msg import Msg
from nats.js.api import Header

from daemon import names
from daemon.aio.tasks import TaskGroup
from daemon.bus.connection import Connection
from daemon.bus.translating import translated
from daemon.errors import Unavailable, VerdictdError

SUBJECT: Final = "verdictd.replica"
ANSWER_SECONDS: Final = 6.0
"""A release is admitted within 5 s, or refused."""
_MOST_AT_A_TIME: Final = 64
_LOOK_SECONDS: Final = 0.5
_NOBODY: Final = "503"
"""The broker's own word for nobody listening there."""


class NatsCarrier:
    """Implements ``Carrier`` among the daemons of one cluster."""

    def __init__(self, connection: Connection, *, cluster: str) -> None:
        self._connection = connection
        self._prefix = f"{SUBJECT}.{names.token(cluster, path='cluster')}"

    async def ask(self, replica: str, words: bytes) -> bytes:
        """See ``Carrier``."""
        client, answers = self._connection.client, f"{self._prefix}.answers.{uuid.uuid4().hex}"
        with translated(f"asking replica {replica}"):
            subscription = await client.subscribe(answers)
            try:
                await client.publish(f"{self._prefix}.{replica}", words, reply=answers)
                message = await subscription.next_msg(timeout=ANSWER_SECONDS)
            finally:
                with suppress(nats.errors.Error, OSError, ValueError):
                    await subscription.unsubscribe()
        if (message.headers or {}).get(Header.STATUS) == _NOBODY:
            raise Unavailable(f"there is no replica {replica} now")
        return message.data

    async def answer(self, replica: str, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        """See ``Carrier``. A client that was replaced is subscribed anew."""
        async with TaskGroup() as group:
            places = asyncio.Semaphore(_MOST_AT_A_TIME)

            async def one(message: Msg) -> None:
                async with places:
                    words = await answer(message.data)
                    with suppress(nats.errors.Error, OSError, VerdictdError):
                        await message.respond(words)

            async def heard(message: Msg) -> None:
                group.create_task(one(message), name="words of another replica")

            subscribed_with, subscription = None, None
            try:
                while True:
                    with suppress(VerdictdError):  # it is tried again; the connection says itself how it stands
                        client = self._connection.client
                        if client is not subscribed_with:
                            with translated("listening to other replicas"):
                                subscription = await client.subscribe(f"{self._prefix}.{replica}", cb=heard)
                            subscribed_with = client
                    await asyncio.sleep(_LOOK_SECONDS)
            finally:
                if subscription is not None:
                    with suppress(nats.errors.Error, OSError, ValueError):
                        await subscription.unsubscribe()
