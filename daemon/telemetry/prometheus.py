"""Counters read through the Prometheus HTTP API: one query per metric family and tick, whatever the number of releases.

What comes back are samples with the times at which Prometheus scraped them; the subtraction is ours. Everything that can be
wrong with an answer ends as a gap with the reason.
"""

import asyncio
from collections.abc import Sequence

import msgspec
from yarl import URL

from daemon.errors import Unavailable, VerdictdError
from daemon.ports import Clock
from daemon.telemetry.answer import items
from daemon.telemetry.catalogue import Catalogue, Series
from daemon.telemetry.collecting import INLINE_BYTES, Collection, beside
from daemon.telemetry.dialect import Dialect
from daemon.telemetry.exposition import number
from daemon.telemetry.fetching import Body, Fetcher
from daemon.telemetry.promql import queries
from daemon.telemetry.sampling import Timing
from daemon.telemetry.sidelines import Sidelines
from daemon.telemetry.window import Window

_PATIENCE_TICKS = 2.0
_LABELS = msgspec.json.Decoder(dict[str, str])


class PrometheusSource:
    """``Source`` over the HTTP API of a Prometheus, or of anything that speaks as one."""

    def __init__(
        self,
        fetcher: Fetcher,
        *,
        url: URL,
        dialect: Dialect,
        catalogue: Catalogue,
        clock: Clock,
        tick_seconds: float,
        stale_after_seconds: float,
    ) -> None:
        self.timing = Timing(
            tick_seconds=tick_seconds,
            stale_after_seconds=stale_after_seconds,
            patience_seconds=_PATIENCE_TICKS * tick_seconds,
        )
        self._fetcher = fetcher
        self._url = url / "api/v1/query"
        self._dialect = dialect
        self._catalogue = catalogue
        self._window = Window(tick_seconds=tick_seconds, longest_seconds=stale_after_seconds)
        self._sidelines = Sidelines(fetcher, url=self._url, dialect=dialect, clock=clock)

    async def collect(self) -> Collection:
        """What Prometheus has scraped since the last time, and a little more.

        Raises:
            Unavailable: one of its answers is missing, or cannot be understood.
        """
        collected = Collection()
        try:
            for body in await self._ask(collected):
                await self._read(body, collected)
        except VerdictdError as error:
            self._window.widen()
            raise Unavailable(f"prometheus: {error}") from error
        if not collected.answered:
            self._window.widen()
        self._sidelines.settle(collected)
        return collected

    async def _ask(self, into: Collection) -> list[Body]:
        """All answers of this tick but those that count requests, which are collected. One that fails fails them all."""
        window_seconds = self._window.next_seconds()
        asked = queries(self._dialect, self._catalogue.selectors, window_seconds=window_seconds)
        answers = await asyncio.gather(
            self._counted(asked.requests, into, window_seconds=window_seconds),
            *(self._fetcher.post(self._url, form={"query": query}) for query in asked.latencies),
            return_exceptions=True,
        )
        bodies: list[Body] = []
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            if answer is not None:
                bodies.append(answer)
        return bodies

    async def _counted(self, asked: Sequence[str], into: Collection, *, window_seconds: float) -> Body | None:
        """Collect the requests, and then ask their targets, now known, what they say of themselves.

        One after the other, so that the second answer has no older scrape than the first; both within the time for one.
        """
        by = self._fetcher.deadline()
        answers = await asyncio.gather(
            *(self._fetcher.post(self._url, form={"query": query}, by=by) for query in asked), return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            await self._read(answer, into)
        return await self._sidelines.ask(into, window_seconds=window_seconds, by=by)

    async def _read(self, body: Body, into: Collection) -> None:
        await beside(len(body) > INLINE_BYTES, self._collect, body, into)

    def _collect(self, body: Body, into: Collection) -> None:
        for item in items(body):
            into.met += 1
            if not item.values:
                continue
            key = bytes(item.metric)
            try:
                series = self._catalogue[key]
            except KeyError:
                series = self._learn(key)
            if series is not None and series.aside:
                for at, text in item.values:
                    into.add_aside(series, number(text, path=series.identity), target=series.target, at=at)
                continue
            at, text = item.values[-1]
            spacing = at - item.values[-2][0] if len(item.values) > 1 else self._window.spacing_seconds
            self._window.spaced(spacing)
            if series is None or not series.owner.slots:
                continue
            if at > into.answered.get(series.target, 0.0):
                into.answered[series.target] = at
            into.instances.add(series.instance)
            value = float(text) if text.isdecimal() and text.isascii() else number(text, path=series.identity)
            into.add(series, value, target=series.target, pod=series.pod, at=at, spacing_seconds=spacing)

    def _learn(self, key: bytes) -> Series | None:
        try:
            labels = _LABELS.decode(key)
        except msgspec.DecodeError as error:
            raise Unavailable(f"labels cannot be read: {error}") from error
        return self._catalogue.learn(key, labels.pop("__name__", ""), labels)
