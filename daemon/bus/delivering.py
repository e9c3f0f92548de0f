"""A message that wants an answer, and those that wait here to be handed out again.

Whoever says "later" because the world does not take it now must not count towards a message's deliveries: they are how poison
is known. So it is kept and held, and handed out again from memory: the server sees one delivery, however long an outage lasts.
What is kept is bounded; when it is full nothing new is fetched, as nothing could be done about it either.
"""

import contextlib
import time
from collections.abc import Callable
from datetime import datetime

from nats.aio.msg import Msg

from daemon.bus.translating import translated
from daemon.errors import VerdictdError

ANSWER_SECONDS = 2.0
MAX_WAITING = 256
MAX_WAITING_BYTES = 64 * 1024 * 1024


class Delivery:
    """One message that wants an answer."""

    def __init__(self, message: Msg, *, waiting: "Waiting") -> None:
        self.message = message
        self.answered = False
        self._waiting = waiting

    @property
    def number(self) -> int:
        """Its place in the stream."""
        return self.message.metadata.sequence.stream

    @property
    def identity(self) -> tuple[int, datetime]:
        """Tells its message from all others, also from one of the same place in a stream that was made anew."""
        return self.number, self.message.metadata.timestamp

    async def acknowledge(self) -> None:
        """It need not come again. If the server does not hear it, it comes again, which must do no harm."""
        self.answered = True
        with contextlib.suppress(VerdictdError), translated("acknowledging"):
            await self.message.ack_sync(timeout=ANSWER_SECONDS)

    async def let_go(self) -> None:
        """As ``acknowledge``, without waiting for the server to hear it: for what begins nothing, of which there may be much."""
        self.answered = True
        with contextlib.suppress(VerdictdError), translated("acknowledging"):
            await self.message.ack()

    async def put_back(self, *, delay_seconds: float = 0.0) -> None:
        """It shall come again, from the server, which counts how often."""
        self.answered = True
        with contextlib.suppress(VerdictdError), translated("putting back"):
            await self.message.nak(delay=delay_seconds)

    def postpone(self, *, seconds: float) -> None:
        """It shall be handed out again in a while, as often as it takes; until then it is held."""
        self._waiting.add(self, seconds=seconds)

    async def hold(self) -> None:
        """It is being worked on."""
        with contextlib.suppress(VerdictdError), translated("holding"):
            await self.message.in_progress()


class Waiting:
    """Postponed deliveries, by their place in the stream."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._due: dict[int, tuple[float, Delivery]] = {}
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether nothing new should come before some of it is done."""
        return len(self._due) >= MAX_WAITING or self._bytes >= MAX_WAITING_BYTES

    def add(self, delivery: Delivery, *, seconds: float) -> None:
        """Hand it out again after so long."""
        self.forget(delivery.number)
        self._due[delivery.number] = (self._monotonic() + seconds, delivery)
        self._bytes += len(delivery.message.data)

    def take(self) -> list[Delivery]:
        """Those whose time has come."""
        now = self._monotonic()
        due = [delivery for at, delivery in self._due.values() if at <= now]
        for delivery in due:
            self.forget(delivery.number)
        return due

    def forget(self, number: int) -> Delivery | None:
        """The delivery of this place, which does not wait any more; null when none did."""
        _, delivery = self._due.pop(number, (0.0, None))
        if delivery is not None:
            self._bytes -= len(delivery.message.data)
        return delivery

    def replace(self, delivery: Delivery) -> None:
        """The server has delivered it anew, as it does when it did not hear from us: the old one has no say any more."""
        if (old := self.forget(delivery.number)) is not None:
            old.answered = True
