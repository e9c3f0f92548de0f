"""A source of events and a sink of verdicts that nobody has, in one module, as a package of somebody else would bring them.

The source is a pipe: who has the daemon's settings can push a message into it. The sink is a list.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from daemon import names
from daemon.connectors import Connector, ConnectorContext
from daemon.engine.dependencies import Sink
from daemon.errors import InvalidEvent, TransientError
from daemon.events.announced import Announced
from daemon.events.announcing import read_release
from daemon.model import Outline, Release, Verdict
from daemon.ports.events import DeadLetter, DeadLetters, EventSource


@dataclass(frozen=True, slots=True)
class Pushed:
    """Implements ``Announcement``."""

    pipe: "Pipe"
    number: int
    body: bytes
    content: Announced | InvalidEvent
    announced_at: float | None = None

    @property
    def release_id(self) -> str | None:
        if isinstance(self.content, InvalidEvent):
            return None
        return names.new_release_id(self.content.release.service, origin=f"pipe\n{self.number}")

    def release(self) -> Release | Outline:
        if isinstance(self.content, InvalidEvent):
            raise self.content
        return self.content.release

    async def accept(self) -> None:
        self.pipe.answers[self.number] = "accepted"

    async def reject(self, reason: str) -> None:
        key = f"pipe:{self.number}"
        try:
            await self.pipe.letters.keep(DeadLetter(body=self.body, headers={}, reason=reason, key=key, sent_to="pipe"))
        except TransientError:
            await self.postpone()
        else:
            self.pipe.answers[self.number] = "rejected"

    async def postpone(self) -> None:
        self.pipe.waiting.put_nowait((self.number, self.body))

    async def put_back(self) -> None:
        await self.postpone()


@dataclass(slots=True)
class Pipe:
    """Implements ``EventSource``."""

    letters: DeadLetters
    waiting: asyncio.Queue[tuple[int, bytes]] = field(default_factory=asyncio.Queue)
    answers: dict[int, str] = field(default_factory=dict)

    async def announcements(self) -> AsyncGenerator[Pushed, None]:
        while True:
            number, body = await self.waiting.get()
            try:
                content: Announced | InvalidEvent = read_release({}, body)
            except InvalidEvent as error:
                content = error
            yield Pushed(self, number, body, content)


@dataclass(slots=True)
class Heard:
    """Implements ``VerdictSink``."""

    verdicts: dict[str, Verdict] = field(default_factory=dict)

    def wants(self, _release: Release, _verdict: Verdict) -> bool:
        return True

    async def publish(self, _release: Release, verdict: Verdict) -> None:
        self.verdicts.setdefault(verdict.release_id, verdict)


PIPES: list[Pipe] = []
HEARD = Heard()


@asynccontextmanager
async def _pipe(given: ConnectorContext) -> AsyncIterator[EventSource]:
    PIPES.append(Pipe(letters=given.bus.dead_letters))
    try:
        yield PIPES[-1]
    finally:
        PIPES.pop()


@asynccontextmanager
async def _heard(_given: ConnectorContext) -> AsyncIterator[Sink]:
    yield Sink(to=HEARD)


@asynccontextmanager
async def _nothing(_given: ConnectorContext) -> AsyncIterator[None]:
    yield None


PIPE = Connector[EventSource](name="pipe", open=_pipe)
LIST = Connector[Sink](name="list", open=_heard)
NOT_ASKED_FOR = Connector[Sink](name="not-asked-for", open=_nothing)
