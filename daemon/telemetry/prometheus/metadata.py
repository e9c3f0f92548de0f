"""Asking Prometheus what targets say of themselves: denials at every tick, ages when they are due, in one query.

Optional, so the one decision: what has never been answered is done without, and said once; what has been answered before
is waited for, since its absence would read as no denials.
"""

import logging

from daemon.errors import VerdictdError
from daemon.ports import Clock
from daemon.telemetry.counters.asides import Ages
from daemon.telemetry.counters.collection import Collection
from daemon.telemetry.prometheus.query import aside_query
from daemon.telemetry.schema import Dialect

_REFRESH_SECONDS = 60.0
log = logging.getLogger(__name__)


class Sidelines:
    """The query beside those for requests and latencies, and what is remembered of its answers."""

    def __init__(self, *, dialect: Dialect, clock: Clock) -> None:
        self._dialect = dialect
        self._clock = clock
        self._ages = Ages(refresh_seconds=_REFRESH_SECONDS)
        self._answered = False
        self._complained = False

    def query(self, about: Collection, *, window_seconds: float) -> str | None:
        """What to ask about the targets that have been collected; null when there is nothing to ask."""
        if not about.answered:
            return None
        about.ages_asked = self._ages.due(about.answered, now=self._clock.monotonic())
        return aside_query(self._dialect, about.instances, ages=about.ages_asked, window_seconds=window_seconds)

    def answered(self, about: Collection) -> None:
        """The answer is there, and whole."""
        self._answered = True
        about.denials_known = self._dialect.denials is not None

    def failed(self, about: Collection, error: VerdictdError) -> None:
        """There is no answer.

        Raises:
            VerdictdError: this very error, if it has been answered before.
        """
        if self._answered:
            raise error
        about.ages_asked = False
        self._complain(error)

    def settle(self, collected: Collection) -> None:
        """The answer has been collected: keep the ages it tells, and add those that are known already."""
        if collected.ages_asked:
            self._ages.asked(collected.answered, collected.asides, now=self._clock.monotonic())
        self._ages.into(collected.asides)

    def _complain(self, error: VerdictdError) -> None:
        if not self._complained:
            self._complained = True
            log.warning(
                "denials and ages of pods cannot be read; they are done without until they can", extra={"reason": str(error)}
            )
