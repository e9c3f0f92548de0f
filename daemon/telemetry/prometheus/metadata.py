"""Asking Prometheus what targets say of themselves: denials at every tick, ages when they are due, in one query.

Optional, so the one decision: what has never been answered is done without, and said once; what has been answered before
is waited for, since its absence would read as no denials.
"""

import logging
from collections.abc import Collection as AbstractCollection
from collections.abc import Mapping

from daemon.aio.clock import Clock
from daemon.errors import VerdictdError
from daemon.telemetry.counters.collection import Collection
from daemon.telemetry.counters.snapshot import TargetMetadata
from daemon.telemetry.prometheus.query import metadata_query
from daemon.telemetry.schema import SelfReport

_REFRESH_SECONDS = 60.0
log = logging.getLogger(__name__)


class Ages:
    """Since when each target runs, asked for when a target is new and now and then, and advanced by the clock in between.

    Args:
        refresh_seconds: how often all are asked for again: a process that has begun anew is otherwise not noticed.
    """

    def __init__(self, *, refresh_seconds: float) -> None:
        self._refresh_seconds = refresh_seconds
        self._born: dict[str, float] = {}
        self._asked: set[str] = set()
        self._fresh_since = -1.0e18

    def due(self, targets: AbstractCollection[str], *, now: float) -> bool:
        """Whether to ask now. A target that has not said is not asked again before the others are."""
        return now - self._fresh_since >= self._refresh_seconds or not self._asked.issuperset(targets)

    def asked(self, targets: AbstractCollection[str], metadata: Mapping[str, TargetMetadata], *, now: float) -> None:
        """These targets have been asked for, and what they said. What those that are gone said is forgotten."""
        self._born = {target: one.born for target, one in metadata.items() if one.born is not None}
        self._asked = set(targets)
        self._fresh_since = now

    def into(self, metadata: dict[str, TargetMetadata]) -> None:
        """Add what is known to what the targets have said at this tick."""
        for target, born in self._born.items():
            metadata.setdefault(target, TargetMetadata()).born = born


class MetadataQuery:
    """The query beside those for requests and latencies, and what is remembered of its answers."""

    def __init__(self, *, about: SelfReport, clock: Clock) -> None:
        self._about = about
        self._clock = clock
        self._ages = Ages(refresh_seconds=_REFRESH_SECONDS)
        self._answered = False
        self._complained = False

    def query(self, about: Collection, *, window_seconds: float, longest_bytes: int) -> str | None:
        """What to ask about the targets that have been collected; null when there is nothing to ask."""
        if not about.answered:
            return None
        about.ages_asked = self._ages.due(about.answered, now=self._clock.monotonic())
        return metadata_query(
            self._about, about.instances, ages=about.ages_asked, window_seconds=window_seconds, longest_bytes=longest_bytes
        )

    def answered(self, about: Collection) -> None:
        """The answer is there, and whole."""
        self._answered = True
        about.denials_known = bool(self._about.denials)

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
            self._ages.asked(collected.answered, collected.metadata, now=self._clock.monotonic())
        self._ages.into(collected.metadata)

    def _complain(self, error: VerdictdError) -> None:
        if not self._complained:
            self._complained = True
            log.warning(
                "denials and ages of pods cannot be read; they are done without until they can", extra={"reason": str(error)}
            )
