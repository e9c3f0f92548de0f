"""A server's history as a ``Source``: raw samples are had in wide pieces, and shown as they stood at the clock's time."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Generic, TypeVar

from daemon.telemetry.counters.collection import Collection, Timing
from daemon.telemetry.counters.native import CustomBounds
from daemon.telemetry.counters.series import SampleKind, Series, SeriesIndex
from daemon.telemetry.history.asking import Asking, TooMuch
from daemon.telemetry.prometheus.answer import ENDED, Item, NativeSample, learned, native
from daemon.telemetry.prometheus.query import metadata_query, queries
from daemon.telemetry.schema import Schema
from daemon.telemetry.wire import number

LOOKBACK_SECONDS = 300.0
"""What is read before a watch begins: as far back as Prometheus itself takes a series to be there."""
_PATIENCE_TICKS = 2.0
_STALE_SPACINGS = 3.5


class SetClock:
    """A clock that is set. It stands still in between."""

    def __init__(self) -> None:
        self.moment = 0.0

    def now(self) -> float:
        """Seconds since 1970."""
        return self.moment

    def monotonic(self) -> float:
        """The same."""
        return self.moment

    async def sleep(self, seconds: float, /) -> None:
        """Nobody waits for the past."""
        self.moment += seconds


V = TypeVar("V", str, NativeSample)
"""What one sample is: a number as it is written, or a native histogram."""


@dataclass(slots=True)
class _Held(Generic[V]):
    """The raw samples of one series that are at hand, in order of time."""

    times: list[float] = field(default_factory=list)
    values: list[V] = field(default_factory=list)

    def add(self, samples: Iterable[tuple[float, V]]) -> None:
        """Neighbouring pieces share their edge, by some servers."""
        for at, value in samples:
            if not _ended(value) and (not self.times or at > self.times[-1]):
                self.times.append(at)
                self.values.append(value)

    def forget(self, *, before: float) -> None:
        gone = bisect_right(self.times, before)
        del self.times[:gone], self.values[:gone]


def _ended(value: str | NativeSample) -> bool:
    """Whether it is no sample, but the mark that its series has ended."""
    return (value if isinstance(value, str) else value.sum) == ENDED


class HistorySource:
    """``Source`` over what a Prometheus keeps of one stretch of time.

    ``load`` asks; ``collect`` only looks at what is there, so that a query that fails ends the reading of a release, and never
    becomes a gap that the service did not have.

    Args:
        tick_seconds: the sampling interval; null: as far apart as the samples are, and ``least_tick_seconds`` at least.
        stale_after_seconds: a newest sample older than this is no information; more where samples are so far apart.

    Attributes:
        late_seconds: how long after its time a sample could be read.
        instances: the targets that were met.
    """

    def __init__(
        self,
        asking: Asking,
        *,
        schema: Schema,
        index: SeriesIndex,
        clock: SetClock,
        tick_seconds: float | None,
        least_tick_seconds: float,
        stale_after_seconds: float,
    ) -> None:
        self._asking = asking
        self._schema = schema
        self._index = index
        self._clock = clock
        self._tick_seconds = tick_seconds
        self._least_tick_seconds = least_tick_seconds
        self._stale_after_seconds = stale_after_seconds
        self.late_seconds = 0.0
        self.instances: set[str] = set()
        self._spacing_seconds = 0.0
        self._held: dict[bytes, _Held[str]] = {}
        self._natives: dict[bytes, _Held[NativeSample]] = {}
        self._custom: dict[str, CustomBounds] = {}
        self._loaded_to: float | None = None

    @property
    def timing(self) -> Timing:
        """Its times, which follow the samples."""
        tick = self._tick_seconds or max(self._least_tick_seconds, round(self._spacing_seconds, 1))
        return Timing(
            tick_seconds=tick,
            stale_after_seconds=max(self._stale_after_seconds, _STALE_SPACINGS * self._spacing_seconds),
            patience_seconds=_PATIENCE_TICKS * tick,
        )

    @property
    def spacing_seconds(self) -> float:
        """How far apart samples are; 0 where none were found."""
        return self._spacing_seconds

    @property
    def wait_seconds(self) -> float | None:
        """Nobody waits for the past."""
        return None

    async def load(self, moment: float, *, end: float) -> None:
        """Have all samples up to ``moment`` at hand, and of what follows, up to ``end``, as much as one query gives.

        Raises:
            VerdictdError: they cannot be had.
        """
        begin = moment - LOOKBACK_SECONDS if self._loaded_to is None else self._loaded_to
        while begin < moment:
            width = self._asking.width_seconds
            until = min(begin + width, max(end, moment))
            try:
                await self._piece(begin, until)
            except TooMuch as error:
                self._asking.narrow(error)
                continue
            begin = self._loaded_to = until
            for held in self._held.values():
                held.forget(before=min(moment, until) - LOOKBACK_SECONDS)
            for natives in self._natives.values():
                natives.forget(before=min(moment, until) - LOOKBACK_SECONDS)
            self._learn_spacing()

    async def collect(self) -> Collection:
        """What the server had shown by the clock's time."""
        now, stale = self._clock.now() - self.late_seconds, self.timing.stale_after_seconds
        collected = Collection(denials_known=bool(self._schema.about.denials), labelled=True)
        for key, held in self._held.items():
            last, first = bisect_right(held.times, now), bisect_right(held.times, now - stale)
            if first == last:
                continue
            collected.met += 1
            if (series := self._series(key)) is not None:
                self._take(series, held, first, last, into=collected)
        for key, natives in self._natives.items():
            last, first = bisect_right(natives.times, now), bisect_right(natives.times, now - stale)
            if first < last and (series := self._series(key)) is not None and series.label_set.arms:
                self._take_native(series, natives, first, last, into=collected)
        collected.drop_copies()
        return collected

    def _take(self, series: Series, held: _Held[str], first: int, last: int, *, into: Collection) -> None:
        if series.of_target:
            for place in range(first, last):
                value = number(held.values[place], path=series.identity)
                into.add_metadata(series, value, target=series.target, at=held.times[place])
            return
        if not series.label_set.arms:
            return
        at, before = held.times[last - 1], held.times[last - 2] if last - first > 1 else None
        into.answered[series.target] = max(at, into.answered.get(series.target, at))
        if series.kind is SampleKind.COUNTER:
            into.know(series)
        spacing = self._spacing_seconds if before is None else at - before
        value = number(held.values[last - 1], path=series.identity)
        into.add(series, value, target=series.target, pod=series.pod, at=at, before=before, spacing_seconds=spacing)

    def _take_native(self, series: Series, held: _Held[NativeSample], first: int, last: int, *, into: Collection) -> None:
        at, before = held.times[last - 1], held.times[last - 2] if last - first > 1 else None
        custom = self._custom.setdefault(series.identity.partition("{")[0], CustomBounds())
        into.add_histogram(
            series,
            native(held.values[last - 1], custom=custom, path=series.identity),
            target=series.target,
            pod=series.pod,
            at=at,
            before=before,
            spacing_seconds=self._spacing_seconds if before is None else at - before,
        )

    async def _piece(self, begin: float, end: float) -> None:
        """All families over the same stretch of time, or none."""
        width = end - begin
        outcomes = self._index.outcomes
        longest_bytes = self._asking.longest_question_bytes
        asked = queries(
            self._schema,
            self._index.selectors,
            outcomes=outcomes,
            requests_seconds=width,
            latencies_seconds=width,
            longest_bytes=longest_bytes,
        )
        found = [item for query in asked.requests for item in await self._asking.raw(query, at=end)]
        instances = {one.instance for item in found if (one := self._series(bytes(item.metric))) is not None and one.label_set.arms}
        self.instances |= instances
        for query in asked.latencies:
            found += await self._asking.raw(query, at=end)
        about = (
            metadata_query(self._schema.about, instances, ages=True, window_seconds=width, longest_bytes=longest_bytes)
            if instances
            else None
        )
        if about is not None:
            found += await self._asking.raw(about, at=end)
        self._hold(found)

    def _hold(self, found: Sequence[Item]) -> None:
        for item in found:
            key = bytes(item.metric)
            if item.histograms:
                self._natives.setdefault(key, _Held()).add(item.histograms)
            if values := item.values:
                self._held.setdefault(key, _Held()).add(values)

    def _learn_spacing(self) -> None:
        """Once, and then it stays: a tick has one length throughout a recording."""
        if self._spacing_seconds:
            return
        apart = [
            (held.times[-1] - held.times[0]) / (len(held.times) - 1)
            for key, held in self._held.items()
            if len(held.times) > 1 and (series := self._series(key)) is not None and series.label_set.arms
        ]
        self._spacing_seconds = median(apart) if apart else 0.0

    def _series(self, key: bytes) -> Series | None:
        try:
            return self._index[key]
        except KeyError:
            return learned(self._index, key)
