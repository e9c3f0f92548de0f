"""A release of the past watched from its beginning to its end, tick by tick, by the telemetry that the daemon has."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from analyzers.counts import Sample
from config.policy import Failures
from config.settings import PrometheusTelemetry
from daemon.aio.parsing import ParserPool
from daemon.errors import NotFound
from daemon.model import Release, Watch
from daemon.recordings import sample_of
from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.history import beside
from daemon.telemetry.history.asking import Asking
from daemon.telemetry.history.source import HistorySource, SetClock
from daemon.telemetry.prometheus.client import prometheus_client
from daemon.telemetry.sampled import SampledTelemetry
from daemon.telemetry.schema import Schema
from daemon.telemetry.spoken import spoken

USUAL: Final = Failures()
_UNPARSED_BYTES = 64 * 1024 * 1024


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What a watch would have seen. ``counted``: ticks with counts of both arms."""

    samples: tuple[Sample, ...]
    bounds_ms: tuple[float, ...]
    split: bool
    timed: bool
    tick_seconds: float
    counted: int


class History:
    """The past that one server keeps, in one mesh's dialect.

    Args:
        settings: how the daemon would read the server.
        tick_seconds: the sampling interval; null: as far apart as the samples are.
    """

    def __init__(self, asking: Asking, *, settings: PrometheusTelemetry, schema: Schema, tick_seconds: float | None) -> None:
        self.asking = asking
        self.schema = schema
        self._settings = settings
        self._tick_seconds = tick_seconds

    async def watched(
        self,
        release: Release,
        *,
        begin: float,
        end: float,
        failures: Failures = USUAL,
        late_seconds: float | None = None,
        progress: Callable[[float], None] = lambda _: None,
    ) -> Watched:
        """Watch a release from ``begin`` to ``end`` (seconds since 1970).

        Args:
            failures: what counts as a failed request.
            late_seconds: how long after its time a sample could be read; null: as long as scrapes took.
            progress: is told the share that is done.

        Raises:
            NotFound: nothing of it can be counted in that time.
            VerdictdError: the server cannot be asked.
        """
        if end <= begin:
            raise NotFound("it has only just begun: nothing of it is past")
        clock, index = SetClock(), SeriesIndex(self.schema, as_text=True)
        source = HistorySource(
            self.asking,
            schema=self.schema,
            index=index,
            clock=clock,
            tick_seconds=self._tick_seconds,
            least_tick_seconds=self._settings.tick_seconds,
            stale_after_seconds=self._settings.stale_after_seconds,
        )
        telemetry = SampledTelemetry(source, schema=self.schema, index=index, clock=clock)
        watch = Watch(release_id="past", release=release, failures=failures)
        index.watch([watch])
        if (reason := index.unknowable.get(watch.release_id)) is not None:
            raise NotFound(reason)
        samples: list[Sample] = []
        bounds_ms: tuple[float, ...] = ()
        await source.load(begin, end=end)
        if late_seconds is None:
            late_seconds = await beside.scrape_seconds(self.asking, source.instances, begin=begin, end=end)
        source.late_seconds = late_seconds
        weights = await beside.weights(self.asking, release, begin=begin, end=end)
        now = begin
        while now <= end:
            clock.moment = now
            await source.load(now, end=end)
            reading = (await telemetry.read([watch]))[watch.release_id]
            until = now if reading.at is None else reading.at
            reading = msgspec.structs.replace(reading, weight=weights.mean(until - reading.seconds, until))
            sample, bounds_ms = sample_of(reading, t=round(now - begin, 3), bounds_ms=bounds_ms)
            samples.append(sample)
            progress((now - begin) / (end - begin))
            now += source.timing.tick_seconds
        counted = sum(sample.baseline is not None and sample.canary is not None for sample in samples)
        if not counted:
            reason = next((sample.gap for sample in reversed(samples) if sample.gap), "no tick")
            fix = "is it older than what is kept there (retention), and are its names those of the series' labels?"
            raise NotFound(f"nothing of it can be counted in that time: {reason}; {fix}")
        return Watched(
            samples=tuple(samples),
            bounds_ms=bounds_ms,
            split=telemetry.split,
            timed=telemetry.timed(release),
            tick_seconds=source.timing.tick_seconds,
            counted=counted,
        )


@asynccontextmanager
async def history_from(
    settings: PrometheusTelemetry,
    *,
    schema: Schema,
    tick_seconds: float | None,
    pause_seconds: float,
    sleep: Callable[[float], Awaitable[None]],
    entry: str,
    address: str | None = None,
) -> AsyncIterator[History]:
    """The history behind a telemetry of the settings, with its connection, which is closed on leaving.

    ``entry`` and ``address``: where the settings and the server's address stand, for refusals; see ``prometheus_client``.

    Raises:
        InvalidInput: the settings cannot be honoured.
    """
    async with ParserPool(unparsed_bytes=_UNPARSED_BYTES) as pool:
        client, url = prometheus_client(settings, entry=entry, address=address, pool=pool, connections=1)
        async with client:
            asking = Asking(client, url=url, pause_seconds=pause_seconds, sleep=sleep)
            yield History(asking, settings=settings, schema=spoken(schema, settings), tick_seconds=tick_seconds)
