"""What stood beside the counts in the past, by the questions that the daemon asks of its stores, answered at even steps.

One query for each kind of sign and release. What the server does not answer is not known, as it would not have been then.
"""

from collections.abc import Sequence

from daemon.aio.clock import Clock
from daemon.errors import PermanentError
from daemon.measurements import Watch
from daemon.telemetry.history.asking import Asking
from daemon.telemetry.prometheus.answer import labels_of
from daemon.telemetry.prometheus.slowly import EVERY_SECONDS, RAW, Row
from daemon.telemetry.signalled import SignalSource
from daemon.telemetry.wire import number


class PastQuestion:
    """``Question`` that is answered for a whole stretch of time at once, and shows what the clock's moment had."""

    def __init__(self, asking: Asking, *, clock: Clock) -> None:
        self._asking = asking
        self._clock = clock
        self._question: str | None = None
        self._begin = 0.0
        self._steps = 0
        self._rows: dict[int, list[Row]] = {}

    @property
    def longest_bytes(self) -> int:
        """See ``Question``."""
        return self._asking.longest_question_bytes

    @property
    def due(self) -> bool:
        """See ``Question``: it is put once."""
        return self._question is None

    @property
    def problem(self) -> str | None:
        """See ``Question``: history does not tell why nobody answered."""
        return None

    @property
    def fresh(self) -> bool:
        """See ``Question``."""
        return 0 <= int((self._clock.now() - self._begin) / EVERY_SECONDS) < self._steps

    @property
    def rows(self) -> Sequence[Row]:
        """See ``Question``."""
        return self._rows.get(int((self._clock.now() - self._begin) / EVERY_SECONDS), ())

    def ask(self, question: str) -> None:
        """See ``Question``: it is answered by ``load``."""
        self._question = question.removesuffix(RAW)

    async def load(self, source: SignalSource, watch: Watch, *, begin: float, end: float) -> None:
        """Have what ``source`` asks of a release answered, as often as the daemon asks.

        Raises:
            TransientError: the server cannot be asked.
        """
        await source.look([watch])
        if self._question is None:
            return
        try:
            found = await self._asking.steps(self._question, begin=begin, end=end, step_seconds=EVERY_SECONDS)
        except PermanentError:
            return
        for item in found:
            labels = labels_of(item.metric)
            for at, value in item.values:
                self._rows.setdefault(round((at - begin) / EVERY_SECONDS), []).append((labels, number(value, path="value")))
        # A step without an answer is one at which nothing stood.
        self._steps = int((end - begin) / EVERY_SECONDS) + 1
        self._begin = begin
