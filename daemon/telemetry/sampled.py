"""What every kind of telemetry does at a tick, whatever it asks and whomever.

A ``Source`` asks and reads, and nothing else. Releases that come and go, readings numbered one after the other, what a source
that fails is to them, and the clock that its times are held against: all of this is the frame around it, the same for every one.
"""

import logging
from collections.abc import Mapping, Sequence
from functools import partial

from daemon.aio.clock import Clock
from daemon.aio.threads import unless_small
from daemon.errors import VerdictdError
from daemon.measurements import Reading, Watch
from daemon.telemetry.counters.collection import Collection, Source
from daemon.telemetry.counters.deltas import ScrapeRound
from daemon.telemetry.counters.readings import CounterState, DeltaTracker
from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.identification import words
from daemon.telemetry.outage import Outage
from daemon.telemetry.schema import Schema
from daemon.telemetry.telling import Telling

log = logging.getLogger(__name__)


class SampledTelemetry(Telling):
    """``Telemetry`` over one source, which knows its series by the same ``index``."""

    def __init__(self, source: Source, *, schema: Schema, index: SeriesIndex, clock: Clock) -> None:
        super().__init__(schema)
        self._source = source
        self._index = index
        self._clock = clock
        self._state = CounterState(index)
        self._outage = Outage(clock=clock)
        self._serial = 0
        self._met = 0
        self._before: Mapping[str, float] = {}
        self._failure: str | None = None
        self._missing: set[str] = set()
        self._unusable: set[str] = set()
        self._told: dict[str, tuple[tuple[str, ...], str]] = {}

    @property
    def tick_seconds(self) -> float:
        """The sampling interval."""
        return self._source.timing.tick_seconds

    @property
    def wait_seconds(self) -> float | None:
        """How long there can be nothing new; null: it is asked at every interval."""
        return self._source.wait_seconds

    @property
    def failure(self) -> str | None:
        """Why the last reading brought nothing at all; null when somebody has answered."""
        return self._failure

    async def read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
        """Counts since the last call, by release id. Never raises for a source that fails."""
        self._state.open(watches)
        self._say(watches)
        self._serial += 1
        before, self._before = self._before, {}
        try:
            collected = await self._outage.bridged(self._source.collect, tick_seconds=self.tick_seconds)
        except VerdictdError as error:
            # Series may have been met before it failed, new ones at every tick. What was learnt of as many as one answer has
            # is kept: where learning takes longer than there is time for a question, it would begin anew for ever.
            self._index.tidy(max(self._met, self._index.attempted))
            self._failure = str(error)
            return {release_id: tracker.gap(str(error)) for release_id, tracker in self._state.trackers(watches).items()}
        reasons = (*collected.failed.values(), *collected.unknown.values())
        self._failure = None if collected.answered else next(iter(reasons), None)
        self._before = collected.answered
        self._met = collected.met
        self._index.tidy(self._met)
        self._say_what_is_missing()
        this = self._round(collected, before)
        # The trackers are looked up here and now: while a thread works, releases may end and be closed.
        trackers = self._state.trackers(watches)
        work = partial(self._readings, trackers, collected, this)
        readings = await unless_small(work, size=sum(map(len, collected.builders.values())))
        self._say_what_is_unusable()
        return readings

    def _readings(self, trackers: Mapping[str, DeltaTracker], collected: Collection, this: ScrapeRound) -> Mapping[str, Reading]:
        """What was collected as readings; nothing of it is needed any more then. In a thread, where there is much."""
        readings = self._state.readings(trackers, collected, this)
        collected.let_go()
        return readings

    def forget(self, release_id: str) -> None:
        """The release has ended."""
        self._state.close(release_id)
        self._told.pop(release_id, None)

    def _say(self, watches: Sequence[Watch]) -> None:
        """Once for each release, and when it changes: by which labels its arms are told apart."""
        for watch in watches:
            known = self._index.known.get(watch.release_id)
            if known is None or (told := (known.by, known.note)) == self._told.get(watch.release_id):
                continue
            self._told[watch.release_id] = told
            one, other = (words(arm.series[0]) if arm.series else "" for arm in (known.baseline, known.canary))
            extra = {"release": watch.release_id, "baseline": one, "canary": other}
            if known.note:
                log.warning("the arms are known by what the release says of them", extra={**extra, "reason": known.note})
            else:
                log.info("the arms are known by these labels", extra=extra)

    def _say_what_is_missing(self) -> None:
        """Once for each label without which it is not known how requests ended."""
        missing = {label for outcomes in self._index.outcomes for label in outcomes.missing} - self._missing
        if missing:
            self._missing |= missing
            log.warning(
                "series do not say how their requests ended; these promote no release",
                extra={"dialect": self._schema.name, "missing": sorted(missing)},
            )

    def _say_what_is_unusable(self) -> None:
        """Once for each release whose latencies cannot be used for longer than a tick."""
        unusable = self._state.unusable()
        for release_id in unusable.keys() - self._unusable:
            extra = {"release": release_id, "reason": unusable[release_id]}
            log.warning("latencies cannot be used; errors are judged without them", extra=extra)
        self._unusable = set(unusable)

    def _round(self, collected: Collection, before: Mapping[str, float]) -> ScrapeRound:
        timing, epoch = self._source.timing, self._clock.now()
        now = self._clock.monotonic() if timing.monotonic else epoch
        return ScrapeRound(
            serial=self._serial,
            now=now,
            newest=max(collected.answered.values(), default=now),
            epoch_offset=epoch - now,
            answered=collected.answered,
            before=before,
            failed=collected.failed,
            there=collected.there,
            stale_after_seconds=timing.stale_after_seconds,
            patience_seconds=timing.patience_seconds,
            late_seconds=collected.late_seconds,
            unpaced=collected.unpaced,
        )
