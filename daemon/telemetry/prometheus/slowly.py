"""A question that a store is asked now and then, beside the ticks, which take its last answer and wait for none."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from yarl import URL

from daemon.aio.clock import Clock
from daemon.aio.httpclient import HttpClient
from daemon.aio.tasks import cancel_all
from daemon.errors import VerdictdError
from daemon.standing import Standing
from daemon.telemetry.prometheus.answer import AnswerReader, Item, labels_of
from daemon.telemetry.wire import number

EVERY_SECONDS = 15.0
"""So often it is asked while somebody reads."""
BELIEVED_SECONDS = 60.0
"""So long an answer counts while no newer one comes."""
RAW = "[1s:1s]"
"""Makes raw samples of an expression's answer, the one form that is read."""

Row = tuple[Mapping[str, str], float]
"""A sample of an answer: its labels, its value."""


def raw(parts: Sequence[str]) -> str:
    """One question of several expressions, whose answers have labels that tell them apart."""
    return f"({' or '.join(parts)}){RAW}"


class Question(Protocol):
    """What those ask by who make signals of answers; see ``SlowQuestion``."""

    @property
    def rows(self) -> Sequence[Row]:
        """Of the last answer."""
        ...

    @property
    def longest_bytes(self) -> int:
        """Of what names those that are asked for."""
        ...

    @property
    def due(self) -> bool:
        """Whether it is time to ask again."""
        ...

    @property
    def fresh(self) -> bool:
        """Whether the last answer still counts."""
        ...

    @property
    def problem(self) -> str | None:
        """Why the last question was not answered."""
        ...

    def ask(self, question: str) -> None:
        """Ask this; nobody waits for the answer."""
        ...


class SlowQuestion:
    """Asks, and keeps the last answer.

    Attributes:
        rows: of the last answer.
        answered_at: when it came, by the clock that never goes back.
    """

    def __init__(self, client: HttpClient, *, url: URL, clock: Clock, what: str) -> None:
        self.rows: Sequence[Row] = ()
        self.answered_at = -math.inf
        self._client = client
        self._url = url / "api/v1/query"
        self._clock = clock
        self._standing = Standing(f"the question for {what}", now=clock.now)
        self._asked_at = -math.inf
        self._asking: asyncio.Task[None] | None = None

    @property
    def longest_bytes(self) -> int:
        """Of what names those that are asked for."""
        return self._client.longest_question_bytes

    @property
    def due(self) -> bool:
        """Whether it is time to ask again."""
        return self._clock.monotonic() - self._asked_at >= EVERY_SECONDS and (self._asking is None or self._asking.done())

    @property
    def fresh(self) -> bool:
        """Whether the last answer still counts."""
        return self._clock.monotonic() - self.answered_at < BELIEVED_SECONDS

    @property
    def problem(self) -> str | None:
        """Why the last question was not answered."""
        return self._standing.problem

    def ask(self, question: str) -> None:
        """Ask this; nobody waits for the answer."""
        self._asked_at = self._clock.monotonic()
        self._asking = asyncio.create_task(self._ask(question), name=self._standing.component)

    async def close(self) -> None:
        """Ask no more."""
        await cancel_all([] if self._asking is None else [self._asking])

    async def _ask(self, question: str) -> None:
        found: list[Item] = []
        try:
            await self._client.read(self._url, lambda: AnswerReader(found.extend), form={"query": question})
            rows = [(labels_of(item.metric), number(text, path="value")) for item in found for _, text in item.values[-1:]]
        except VerdictdError as error:
            self._standing.fails(str(error))
            return
        self._standing.works()
        self.rows, self.answered_at = rows, self._clock.monotonic()
