"""Counters read through the Prometheus HTTP API: one query per metric family and tick, whatever the number of releases.

What comes back are samples with the times at which Prometheus scraped them; the subtraction is ours. Everything that can be
wrong with an answer ends as a gap with the reason.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from functools import partial

from yarl import URL

from daemon.aio.clock import Clock
from daemon.aio.httpclient import HttpClient
from daemon.errors import Unavailable, VerdictdError
from daemon.telemetry.counters.collection import Collection, Timing
from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.prometheus.answer import AnswerReader, Item, learned
from daemon.telemetry.prometheus.metadata import MetadataQuery
from daemon.telemetry.prometheus.query import Window, queries
from daemon.telemetry.schema import Schema
from daemon.telemetry.wire import number

_PATIENCE_TICKS = 2.0


class PrometheusSource:
    """``Source`` over the HTTP API of a Prometheus, or of anything that speaks as one."""

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
        self._window = Window(tick_seconds=tick_seconds, longest_seconds=stale_after_seconds)
        self._metadata = MetadataQuery(about=schema.about, clock=clock)

    async def collect(self) -> Collection:
        """What Prometheus has scraped since the last time, and a little more.

        Raises:
            Unavailable: one of its answers is missing, or cannot be understood.
        """
        collected = Collection()
        try:
            await self._ask(collected)
        except VerdictdError as error:
            self._window.widen()
            raise Unavailable(f"prometheus: {error}") from error
        if not collected.answered:
            self._window.widen()
        self._metadata.settle(collected)
        return collected

    async def _ask(self, into: Collection) -> None:
        """Collect all answers of this tick. One that fails fails them all."""
        window_seconds = self._window.next_seconds()
        longest_bytes = self._client.longest_question_bytes
        asked = queries(self._schema, self._index.selectors, window_seconds=window_seconds, longest_bytes=longest_bytes)
        # Latencies come while the targets of the requests are looked at: those that they show are kept apart until then.
        late: dict[str, float] = {}
        await _all(
            self._count(asked.requests, into, window_seconds=window_seconds),
            *(self._read(query, into, answered=late) for query in asked.latencies),
        )
        for target, at in late.items():
            into.answered[target] = max(at, into.answered.get(target, at))

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
        take = partial(self._collect, into=into, answered=into.answered if answered is None else answered)
        await self._client.read(self._url, lambda: AnswerReader(take), form={"query": query}, by=by)

    def _collect(self, items: Sequence[Item], into: Collection, answered: dict[str, float]) -> None:
        for item in items:
            into.met += 1
            if not item.values:
                continue
            key = bytes(item.metric)
            try:
                series = self._index[key]
            except KeyError:
                series = learned(self._index, key)
            if series is not None and series.of_target:
                for at, text in item.values:
                    into.add_metadata(series, number(text, path=series.identity), target=series.target, at=at)
                continue
            at, text = item.values[-1]
            spacing = at - item.values[-2][0] if len(item.values) > 1 else self._window.spacing_seconds
            self._window.spaced(spacing)
            if series is None or not series.label_set.arms:
                continue
            if at > answered.get(series.target, 0.0):
                answered[series.target] = at
            if answered is into.answered:
                into.instances.add(series.instance)
            value = float(text) if text.isdecimal() and text.isascii() else number(text, path=series.identity)
            into.add(series, value, target=series.target, pod=series.pod, at=at, spacing_seconds=spacing)


async def _all(*asked: Awaitable[None]) -> None:
    """Wait for all, also when one fails: what the others are read into is nobody else's until then."""
    for answer in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer
