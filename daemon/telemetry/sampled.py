"""What every kind of telemetry does at a tick, whatever it asks and whomever.

A ``Source`` asks and reads, and nothing else. Releases that come and go, readings numbered one after the other, what a source
that fails is to them, and the clock that its times are held against: all of this is the frame around it, the same for every one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from daemon.errors import VerdictdError
from daemon.model import Reading, Watch
from daemon.ports import Clock
from daemon.telemetry.counters.collection import Books, Collection
from daemon.telemetry.counters.readings import Round
from daemon.telemetry.counters.series import Catalogue
from daemon.telemetry.schema import Dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How often a source is asked, and how long its silence is borne.

    Attributes:
        tick_seconds: the sampling interval.
        stale_after_seconds: a newest sample older than this is no information.
        patience_seconds: least time to wait for a target that has gone quiet, before going on without it.
        monotonic: its samples are dated by our clock that never goes backwards; else in seconds since 1970.
    """

    tick_seconds: float
    stale_after_seconds: float
    patience_seconds: float
    monotonic: bool = False


class Source(Protocol):
    """How counters are asked for, and how what comes is read."""

    @property
    def timing(self) -> Timing:
        """Its times."""
        ...

    async def collect(self) -> Collection:
        """Ask once for all that the catalogue selects.

        Raises:
            VerdictdError: nothing of what came can be used; says who has failed, and how.
        """
        ...


class SampledTelemetry:
    """``Telemetry`` over one source, which knows its series by the same ``catalogue``."""

    def __init__(self, source: Source, *, dialect: Dialect, catalogue: Catalogue, clock: Clock) -> None:
        self._source = source
        self._dialect = dialect
        self._catalogue = catalogue
        self._clock = clock
        self._books = Books(catalogue, unit_ms=dialect.unit_ms)
        self._serial = 0
        self._met = 0
        self._before: Mapping[str, float] = {}
        self._failure: str | None = None

    @property
    def tick_seconds(self) -> float:
        """The sampling interval."""
        return self._source.timing.tick_seconds

    @property
    def split(self) -> bool:
        """Whether the latency histograms hold successes only."""
        return self._dialect.split

    @property
    def failure(self) -> str | None:
        """Why the last reading brought nothing at all; null when somebody has answered."""
        return self._failure

    async def read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
        """Counts since the last call, by release id. Never raises for a source that fails."""
        self._books.open(watches)
        self._serial += 1
        before, self._before = self._before, {}
        try:
            collected = await self._source.collect()
        except VerdictdError as error:
            # Series may have been met before it failed, new ones at every tick.
            self._catalogue.tidy(self._met)
            self._failure = str(error)
            return self._books.gaps(watches, str(error))
        self._failure = None if collected.answered else next(iter(collected.failed.values()), None)
        self._before = collected.answered
        self._met = collected.met
        self._catalogue.tidy(self._met)
        return await self._books.readings(watches, collected, self._round(collected, before))

    def forget(self, release_id: str) -> None:
        """The release has ended."""
        self._books.close(release_id)

    def _round(self, collected: Collection, before: Mapping[str, float]) -> Round:
        timing, epoch = self._source.timing, self._clock.now()
        now = self._clock.monotonic() if timing.monotonic else epoch
        return Round(
            serial=self._serial,
            now=now,
            newest=max(collected.answered.values(), default=now),
            epoch_offset=epoch - now,
            answered=collected.answered,
            before=before,
            failed=collected.failed,
            stale_after_seconds=timing.stale_after_seconds,
            patience_seconds=timing.patience_seconds,
            server_side=self._dialect.server_side,
        )
