"""Asking Prometheus what targets say of themselves: denials at every tick, ages when they are due, in one query.

Optional, so the one decision: what has never been answered is done without, and said once; what has been answered before
is waited for, since its absence would read as no denials.
"""

import logging

from yarl import URL

from daemon.errors import VerdictdError
from daemon.ports import Clock
from daemon.telemetry.asides import Ages
from daemon.telemetry.collecting import Collection
from daemon.telemetry.dialect import Dialect
from daemon.telemetry.fetching import Body, Fetcher
from daemon.telemetry.promql import aside_query

_REFRESH_SECONDS = 60.0
log = logging.getLogger(__name__)


class Sidelines:
    """The query beside those for requests and latencies, and what is remembered of its answers."""

    def __init__(self, fetcher: Fetcher, *, url: URL, dialect: Dialect, clock: Clock) -> None:
        self._fetcher = fetcher
        self._url = url
        self._dialect = dialect
        self._clock = clock
        self._ages = Ages(refresh_seconds=_REFRESH_SECONDS)
        self._answered = False
        self._complained = False

    async def ask(self, about: Collection, *, window_seconds: float, by: float) -> Body | None:
        """The answer about the targets that have been collected; null when there is none and none has to be waited for.

        Raises:
            VerdictdError: it has been answered before, and is not now.
        """
        if not about.answered:
            return None
        about.ages_asked = self._ages.due(about.answered, now=self._clock.monotonic())
        query = aside_query(self._dialect, about.instances, ages=about.ages_asked, window_seconds=window_seconds)
        if query is None:
            return None
        try:
            body = await self._fetcher.post(self._url, form={"query": query}, by=by)
        except VerdictdError as error:
            if self._answered:
                raise
            about.ages_asked = False
            self._complain(error)
            return None
        self._answered = True
        about.denials_known = self._dialect.denials is not None
        return body

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
