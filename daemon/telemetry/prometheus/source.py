"""Counters read through the Prometheus HTTP API: one query per metric family and tick, whatever the number of releases.

What comes back are samples with the times at which Prometheus scraped them; the subtraction is ours. Everything that can be
wrong with an answer ends as a gap with the reason.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from yarl import URL

from daemon.aio.clock import Clock
from daemon.aio.httpclient import HttpClient
from daemon.aio.threads import unless_small
from daemon.errors import Refused, TimedOut, Unavailable, VerdictdError
from daemon.measurements import Watch
from daemon.telemetry.counters.collection import Collection, Timing
from daemon.telemetry.counters.native import CustomBounds
from daemon.telemetry.counters.series import SampleKind, Series, SeriesIndex
from daemon.telemetry.prometheus.answer import AnswerReader, Item, NativeSample, alive, decoded, labels_of, learned, native
from daemon.telemetry.prometheus.blocks import Block, KnownBlocks
from daemon.telemetry.prometheus.clocks import Clocks
from daemon.telemetry.prometheus.metadata import MetadataQuery
from daemon.telemetry.prometheus.nearby import Nearby
from daemon.telemetry.prometheus.pace import Pace
from daemon.telemetry.prometheus.portions import Portions
from daemon.telemetry.prometheus.query import Asked, Queries, queries
from daemon.telemetry.schema import Schema
from daemon.telemetry.wire import number

_PATIENCE_TICKS = 2.0
log = logging.getLogger(__name__)


class PrometheusSource:
    """``Source`` over the HTTP API of a Prometheus, or of anything that speaks as one.

    Attributes:
        pace: how far apart and how late its samples are.
    """

    def __init__(
        self,
        client: HttpClient,
        *,
        url: URL,
        schema: Schema,
        index: SeriesIndex,
        clock: Clock,
        tick_seconds: float,
        stale_after_seconds: float,
    ) -> None:
        self.timing = Timing(
            tick_seconds=tick_seconds,
            stale_after_seconds=stale_after_seconds,
            patience_seconds=_PATIENCE_TICKS * tick_seconds,
        )
        self._client = client
        self._url = url / "api/v1/query"
        self._schema = schema
        self._index = index
        self._clock = clock
        self.pace = Pace(tick_seconds=tick_seconds, longest_seconds=stale_after_seconds)
        self._clocks = Clocks(str(url.origin()))
        self._watched: Sequence[Watch] = ()
        self._awaited = False
        self._said: tuple[int, int, int] | None = None
        self._asked = Asked()
        self._portions = Portions(index)
        self._blocks: dict[bytes, Block] = {}
        self._forgotten = index.forgotten
        self._custom: dict[str, CustomBounds] = {}
        self._metadata = MetadataQuery(about=schema.about, clock=clock)
        self._nearby = Nearby(client, url=self._url, index=index, clock=clock, stale_after_seconds=stale_after_seconds)

    async def collect(self) -> Collection:
        """What Prometheus has scraped since the last time, and a little more.

        Raises:
            Unavailable: one of its answers is missing, or cannot be understood.
        """
        if self._index.watched is not self._watched:
            self._watched = self._index.watched
            self.pace.widen()
        try:
            collected = await self._ask()
            while not collected.answered and self._index.selectors and self.pace.wider():
                collected = await self._ask()
        except VerdictdError as error:
            self.pace.drop()
            if isinstance(error, TimedOut | Refused):
                self._portions.failed()
            raise Unavailable(f"prometheus: {error}") from error
        await unless_small(partial(self._learn, collected), size=len(collected.answered))
        collected.cadence_of = partial(self.pace.cadence, ahead_seconds=self._clocks.ahead_seconds)
        self._say()
        self._nearby.look(collected)
        return collected

    async def close(self) -> None:
        """Ask no more."""
        await self._nearby.close()

    async def asked(self, query: str) -> list[tuple[dict[str, str], float, float]]:
        """The newest sample of each series of an answer: labels, time and value. For questions beside those of a tick.

        Raises:
            VerdictdError: there is no answer, or it is not whole.
        """
        found: list[Item] = []
        await self._client.read(self._url, lambda: AnswerReader(found.extend), form={"query": query})
        return [(labels_of(item.metric), at, number(value, path=query)) for item in found for at, value in item.values[-1:]]

    @property
    def wait_seconds(self) -> float | None:
        """How long there can be nothing new; null: it is asked at every interval, as while nothing is known of an arm."""
        return None if self._awaited else self.pace.wait_seconds(now=self._clock.now())

    def _learn(self, collected: Collection) -> None:
        """Keep what a whole answer says of its targets."""
        self.pace.settle(now=self._clock.now())
        self._awaited = any(not collected.shows(arm) for arms in self._index.arms.values() for arm in arms)
        collected.late_seconds = self.pace.later_seconds
        collected.unpaced = self.pace.unpaced
        self._metadata.settle(collected)
        # What is known of the series whose turn it is not is to be kept until it is.
        collected.met += self._portions.met(len(collected.histograms), series=collected.met_of_portion)

    def _say(self) -> None:
        """Once, and when it has changed: how far apart samples are and how late they come."""
        pace = (round(self.pace.least_spacing_seconds), round(self.pace.spacing_seconds), round(self.pace.late_seconds))
        known = self._said or (0, 0, 0)
        if pace[0] and any(abs(new - old) > max(2.0, 0.25 * old) for new, old in zip(pace, known, strict=True)):
            self._said = pace
            log.info(
                "how far apart and how late samples are",
                extra={
                    "source": str(self._url.origin()),
                    "least_spacing_seconds": pace[0],
                    "spacing_seconds": pace[1],
                    "late_seconds": pace[2],
                },
            )

    async def _ask(self) -> Collection:
        """All answers of this tick. One that fails fails them all."""
        into, asked_at = Collection(labelled=True), self._clock.now()
        requests_seconds, window_seconds = self.pace.next_seconds()
        make = partial(
            self._queries,
            outcomes=self._index.outcomes,
            requests_seconds=requests_seconds,
            latencies_seconds=window_seconds,
            longest_bytes=self._client.longest_question_bytes,
        )
        asked = await unless_small(make, size=sum(map(len, self._index.selectors.values())))
        # Latencies come while the targets of the requests are looked at: those that they show are kept apart until then.
        late: dict[str, float] = {}
        try:
            await _all(
                self._count(asked.requests, into, window_seconds=window_seconds),
                *(self._read(query, into, answered=late) for query in asked.latencies),
            )
        finally:
            self._index.attempted = into.met
        for answered, seconds in ((into.answered, requests_seconds), (late, window_seconds)):
            if answered:
                newest = max(answered.values())
                self._clocks.compare(newest, window_seconds=seconds, asked_at=asked_at, answered_at=self._clock.now())
        await unless_small(partial(self._put_together, into, late), size=len(into.answered))
        return into

    def _queries(self, **how: Any) -> Queries:
        asked = queries(self._schema, self._index.selectors, asked=self._asked, **how)
        if self._portions.number == 1:
            return asked
        selectors, known = self._portions.now
        return Queries(asked.requests, queries(self._schema, selectors, asked=known, **how).latencies)

    def _put_together(self, into: Collection, late: Mapping[str, float]) -> None:
        """Both answers are whole: what they show together. ``late``: targets and when they answered, as latencies show."""
        # One that they alone show was scraped between the two queries: of its requests nobody has said anything.
        for target, at in late.items():
            if target in into.answered:
                into.answered[target] = max(at, into.answered[target])
        into.drop_copies()
        unsettled = into.unsettled()
        for target, at in unsettled.items():
            into.answered[target] = at
            self.pace.settled(target, at)
        for target in into.torn().difference(unsettled):
            self.pace.unsettled(target)

    async def _count(self, asked: Sequence[str], into: Collection, *, window_seconds: float) -> None:
        """Collect the requests, and then ask their targets, now known, what they say of themselves.

        One after the other, so that the second answer has no older scrape than the first; both within the time for one.
        """
        by = self._client.deadline()
        await _all(*(self._read(query, into, by=by) for query in asked))
        longest_bytes = self._client.longest_question_bytes
        query = self._metadata.query(into, window_seconds=window_seconds, longest_bytes=longest_bytes)
        if query is None:
            return
        # Apart, until it is known to be whole: it may be done without, but not be half there.
        metadata = Collection()
        try:
            await self._read(query, metadata, by=by)
        except VerdictdError as error:
            self._metadata.failed(into, error)
        else:
            into.metadata.update(metadata.metadata)
            self._metadata.answered(into)

    async def _read(
        self, query: str, into: Collection, *, answered: dict[str, float] | None = None, by: float | None = None
    ) -> None:
        await self._client.read(self._url, lambda: self.reader(into, answered=answered), form={"query": query}, by=by)

    def reader(self, into: Collection, *, answered: dict[str, float] | None = None) -> AnswerReader:
        """What reads an answer into a collection: requests and what targets say of themselves, or latencies, whose targets go to
        ``answered``.
        """
        if answered is None:
            return AnswerReader(partial(self._collect, into, into.answered))
        if self._forgotten != self._index.forgotten:
            self._forgotten = self._index.forgotten
            self._blocks.clear()
        take = partial(self._collect, into, answered)
        return AnswerReader(take, KnownBlocks(self._blocks, self._index, _Blocks(self.pace, into, answered, take)))

    def _collect(
        self, into: Collection, answered: dict[str, float], items: Sequence[Item], those: Sequence[Series] | None = None
    ) -> None:
        """Take what is new of each series; ``those``: which they are, where that is known."""
        into.met += len(items)
        into.met_of_portion += len(items) if answered is not into.answered else 0
        histograms = into.histograms
        for item, series in zip(items, self._those(items) if those is None else those, strict=True):
            values = item.numbers or item.values
            if series is None or (not values and not item.histograms):
                continue
            # Nine of ten series are buckets of a histogram that has been met in this scrape: they take the shortest way.
            if series.kind is SampleKind.BUCKET and (buckets := histograms.get(series.identity)) is not None:
                at, text = values[-1]
                before = values[-2][0] if len(values) > 1 else None
                if text.isdecimal() and text.isascii() and buckets.goes_on(series.target, at, before):
                    buckets.add(series.le, float(text))
                    continue
            self._take(series, values, item.histograms or (), into, answered)

    def _those(self, items: Sequence[Item]) -> Iterator[Series | None]:
        """Which they are. One without a sample is not learnt."""
        known = self._index.series
        for item in items:
            key = bytes(item.metric)
            if key in known:
                yield known[key]
            elif item.values or item.histograms:
                yield learned(self._index, key)
            else:
                yield None

    def _take(
        self,
        series: Series,
        values: list[tuple[float, str]],
        natives: Sequence[tuple[float, NativeSample]],
        into: Collection,
        answered: dict[str, float],
    ) -> None:
        """Take what is new of one series, and learn of its target."""
        if series.of_target:
            for at, text in values:
                into.add_metadata(series, number(text, path=series.identity), target=series.target, at=at)
            return
        if not series.label_set.arms:
            return  # nobody's, now
        if series.kind is SampleKind.NATIVE:
            self._collect_native(series, natives, into)
            return
        # Where its end is marked it is not waited for.
        samples = living if (living := alive(values)) is values else ()
        if not living:
            return
        at, text = living[-1]
        before = living[-2][0] if len(living) > 1 else None
        target = series.target
        newer = at > answered.get(target, 0.0)
        if newer:
            answered[target] = at
        if answered is into.answered:
            before = _scraped_before(living)
            self._know(series, into, newest=at if newer else None, before=before)
        spacing_seconds = self.pace.spacing_of(target, apart=None if before is None else at - before)
        value = number(text, path=series.identity)
        into.add(
            series,
            value,
            target=target,
            pod=series.pod,
            at=at,
            before=before,
            spacing_seconds=spacing_seconds,
            samples=samples,
        )

    def _collect_native(self, series: Series, samples: Sequence[tuple[float, NativeSample]], into: Collection) -> None:
        """Take the newest native histogram of a series; the mark that it has ended is one whose sum is no number."""
        alive = [one for one in samples if one[1].sum != "NaN"]
        if not alive:
            return
        at, newest = alive[-1]
        custom = self._custom.setdefault(series.identity.partition("{")[0], CustomBounds())
        into.add_histogram(
            series,
            native(newest, custom=custom, path=series.identity),
            target=series.target,
            pod=series.pod,
            at=at,
            before=alive[-2][0] if len(alive) > 1 else None,
            spacing_seconds=self.pace.spacing_of(series.target),
        )

    def _know(self, series: Series, into: Collection, *, newest: float | None, before: float | None) -> None:
        """Learn of the target from one of its counters."""
        if newest is not None:
            self.pace.meet(series.target, newest, before=before)
        into.know(series)


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Takes the buckets of one target as each of them is taken by itself."""

    pace: Pace
    into: Collection
    answered: dict[str, float]
    one_by_one: Callable[[Sequence[Item], Sequence[Series]], None]

    def whole(self, block: Block, at: float, before: float | None, counts: Sequence[float]) -> None:
        """See ``Taker``."""
        into, answered = self.into, self.answered
        into.met += len(counts)
        into.met_of_portion += len(counts)
        for one in block.histograms:
            series = one.series
            if not series.label_set.arms:
                continue  # nobody's, now
            if at > answered.get(series.target, 0.0):
                answered[series.target] = at
            spacing_seconds = self.pace.spacing_of(series.target, apart=None if before is None else at - before)
            into.add_buckets(series, one.bounds, one.counts_of(counts), at=at, spacing_seconds=spacing_seconds, before=before)

    def apart(self, block: Block, array: bytes) -> None:
        """See ``Taker``."""
        self.one_by_one(decoded(array), block.series)


def _scraped_before(values: Sequence[tuple[float, str]]) -> float | None:
    """When the sample before the newest was taken. A 0 may be no scrape: some stores write one where a counter began."""
    return None if len(values) < 2 or (values[-2][1] == "0" and values[-1][1] != "0") else values[-2][0]


async def _all(*asked: Awaitable[None]) -> None:
    """Wait for all, also when one fails: what the others are read into is nobody else's until then."""
    for answer in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer
