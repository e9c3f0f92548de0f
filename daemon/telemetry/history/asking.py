"""A server asked for its past, kindly: one query at a time, a pause after each, no more at once than it is willing to give.

What is too much for one answer (samples, bytes, time) is asked for in halves, and the narrower width is kept for what follows.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice

from yarl import URL

from daemon.aio.backoff import pauses
from daemon.aio.httpclient import HttpClient
from daemon.errors import InvalidInput, Refused, Throttled, TimedOut, TransientError, Unavailable, VerdictdError
from daemon.telemetry.prometheus.answer import AnswerReader, Item

WIDEST_SECONDS = 300.0
NARROWEST_SECONDS = 15.0
_ATTEMPTS = 5
_STEPS_SECONDS = (1.0, 2.0, 5.0, 10.0)
_TOO_MUCH = ("too many samples", "too many series", "exceeded", "limit", "more than", "longer than", "timed out", "too long")
log = logging.getLogger(__name__)


class Asking:
    """Questions about the past of one server.

    Args:
        url: its base URL.
        pause_seconds: after each query.
        sleep: how to wait.

    Attributes:
        width_seconds: how much time one query of raw samples may span.
        queries: asked so far.
    """

    def __init__(self, client: HttpClient, *, url: URL, pause_seconds: float, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._client = client
        self._url = url
        self._pause_seconds = pause_seconds
        self._sleep = sleep
        self.width_seconds = WIDEST_SECONDS
        self.queries = 0

    @property
    def longest_question_bytes(self) -> int:
        """How long a query may be, by the way in which it goes out."""
        return self._client.longest_question_bytes

    async def raw(self, query: str, *, at: float) -> list[Item]:
        """The answer to a query of raw samples (a range selector) at a time; whole, or not at all.

        Raises:
            TooMuch: the server will not give so much at once.
            VerdictdError: it does not answer, or says no.
        """
        return await self._ask("api/v1/query", {"query": query, "time": f"{at:.3f}"})

    async def steps(self, query: str, *, begin: float, end: float, step_seconds: float) -> list[Item]:
        """The answer to a query at even steps. Raises as ``raw``."""
        form = {"query": query, "start": f"{begin:.3f}", "end": f"{end:.3f}", "step": f"{step_seconds:g}"}
        return await self._ask("api/v1/query_range", form)

    def narrow(self, error: "TooMuch") -> None:
        """Ask for half as much from now on.

        Raises:
            Refused: there is no less to ask for.
        """
        if self.width_seconds <= NARROWEST_SECONDS:
            fix = "raise its limit (of Prometheus: --query.max-samples, --query.timeout), or max_answer_bytes and timeout_seconds"
            raise Refused(f"even {self.width_seconds:g} s at once are too much: {error}; {fix} of this telemetry") from error
        self.width_seconds = max(NARROWEST_SECONDS, self.width_seconds / 2.0)
        log.info("asking for less at once", extra={"seconds": self.width_seconds, "reason": str(error)})

    async def _ask(self, path: str, form: dict[str, str]) -> list[Item]:
        for pause in islice(pauses(_STEPS_SECONDS), _ATTEMPTS - 1):
            try:
                return await self._once(path, form)
            except Throttled as error:
                await self._sleep(max(pause, error.retry_after_seconds))
            except TransientError:
                await self._sleep(pause)
        return await self._once(path, form)

    async def _once(self, path: str, form: dict[str, str]) -> list[Item]:
        found: list[Item] = []

        def take(items: Sequence[Item]) -> None:
            found.extend(items)

        self.queries += 1
        try:
            await self._client.read(self._url / path, lambda: AnswerReader(take), form=form)
        except VerdictdError as error:
            if _is_too_much(error):
                raise TooMuch(str(error)) from error
            raise
        if self._pause_seconds:
            await self._sleep(self._pause_seconds)
        return found


class TooMuch(Refused):
    """The server will not give so much at once, or not in this time."""


def _is_too_much(error: VerdictdError) -> bool:
    """By words where there is nothing else: Prometheus answers 422 and 503 for limits, others 400 and 413."""
    if isinstance(error, TimedOut):
        return True
    return isinstance(error, Refused | Unavailable | InvalidInput) and any(word in str(error).lower() for word in _TOO_MUCH)
