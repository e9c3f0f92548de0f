"""A release of the past watched from its beginning to its end, tick by tick, by the telemetry that the daemon has."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import msgspec

from analyzers.counts import Sample
from config.policy import Failures
from config.settings import PrometheusTelemetry
from daemon.aio.parsing import ParserPool
from daemon.errors import NotFound
from daemon.measurements import Reading, Watch
from daemon.model import Release
from daemon.recordings import sample_of
from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.history import beside
from daemon.telemetry.history.asking import Asking
from daemon.telemetry.history.signs import PastQuestion
from daemon.telemetry.history.source import HistorySource, SetClock
from daemon.telemetry.prometheus.armsigns import ArmQuestions
from daemon.telemetry.prometheus.client import prometheus_client
from daemon.telemetry.prometheus.controlplanes import ControlPlanes
from daemon.telemetry.sampled import SampledTelemetry
from daemon.telemetry.schema import Schema
from daemon.telemetry.signalled import SignalledTelemetry, SignalSource
from daemon.telemetry.signs import ArmSigns, ControlPlane
from daemon.telemetry.spoken import spoken

USUAL: Final = Failures()
_UNPARSED_BYTES = 64 * 1024 * 1024
_KIND = "past"
"""Stands for the mesh's kind in questions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BesideCounts:
    """What a mesh can be asked for beside its counts: see ``MeshKind``."""

    control_plane: ControlPlane | None = None
    arm_signs: ArmSigns | None = None


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What a watch would have seen. ``counted``: ticks with counts of both arms."""

    samples: tuple[Sample, ...]
    bounds_ms: tuple[float, ...]
    split: bool
    timed: bool
    tick_seconds: float
    counted: int


@dataclass(slots=True)
class _Taken:
    """What was read of a release so far."""

    samples: list[Sample] = field(default_factory=list)
    bounds_ms: tuple[float, ...] = ()

    def add(self, reading: Reading, *, t: float) -> None:
        sample, self.bounds_ms = sample_of(reading, t=t, bounds_ms=self.bounds_ms)
        self.samples.append(sample)

    def watched(self, *, split: bool, timed: bool, tick_seconds: float) -> Watched:
        """All of it. Raises ``NotFound``: nothing could be counted."""
        counted = sum(sample.baseline is not None and sample.canary is not None for sample in self.samples)
        if not counted:
            reason = next((sample.gap for sample in reversed(self.samples) if sample.gap), "no tick")
            fix = "is it older than what is kept there (retention), and are its names those of the series' labels?"
            raise NotFound(f"nothing of it can be counted in that time: {reason}; {fix}")
        return Watched(
            samples=tuple(self.samples),
            bounds_ms=self.bounds_ms,
            split=split,
            timed=timed,
            tick_seconds=tick_seconds,
            counted=counted,
        )


class History:
    """The past that one server keeps, in one mesh's dialect.

    Args:
        settings: how the daemon would read the server.
        tick_seconds: the sampling interval; null: as far apart as the samples are.
        beside_counts: what its mesh can be asked for beside them.
    """

    def __init__(
        self,
        asking: Asking,
        *,
        settings: PrometheusTelemetry,
        schema: Schema,
        tick_seconds: float | None,
        beside_counts: BesideCounts = BesideCounts(),
    ) -> None:
        self._beside = beside_counts
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
        failures: Sequence[Failures] = (USUAL,),
        late_seconds: float | None = None,
        progress: Callable[[float], None] = lambda _: None,
    ) -> tuple[Watched, ...]:
        """Watch a release from ``begin`` to ``end`` (seconds since 1970), once for each of ``failures``, in their order.

        Args:
            failures: what counts as a failed request, each another thing; all of them are asked for in the same questions.
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
        signs = self._signs(release, clock)
        counting = SampledTelemetry(source, schema=self.schema, index=index, clock=clock)
        telemetry = SignalledTelemetry(counting, [one for one, _ in signs])
        watches = [Watch(release_id=f"past-{place}", release=release, failures=one) for place, one in enumerate(failures)]
        index.watch(watches)
        if (reason := index.unknowable.get(watches[0].release_id)) is not None:
            raise NotFound(reason)
        seen = {watch.release_id: _Taken() for watch in watches}
        await source.load(begin, end=end)
        if late_seconds is None:
            late_seconds = await beside.scrape_seconds(self.asking, source.instances, begin=begin, end=end)
        source.late_seconds = late_seconds
        weights = await beside.weights(self.asking, release, begin=begin, end=end)
        for one, question in signs:
            await question.load(one, watches[0], begin=begin, end=end)
        now = begin
        while now <= end:
            clock.moment = now
            await source.load(now, end=end)
            for release_id, reading in (await telemetry.read(watches)).items():
                until = now if reading.at is None else reading.at
                weight = weights.mean(until - reading.seconds, until)
                seen[release_id].add(msgspec.structs.replace(reading, weight=weight), t=round(now - begin, 3))
            progress((now - begin) / (end - begin))
            now += source.timing.tick_seconds
        timed = telemetry.timed(release)
        return tuple(
            one.watched(split=telemetry.split, timed=timed, tick_seconds=source.timing.tick_seconds) for one in seen.values()
        )

    def _signs(self, release: Release, clock: SetClock) -> list[tuple[SignalSource, PastQuestion]]:
        """What would have been asked of a release's mesh beside its counts."""
        mesh, settings, beside_counts = str(release.mesh), self._settings, self._beside
        found: list[tuple[SignalSource, PastQuestion]] = []
        if beside_counts.control_plane is not None and settings.control_plane != "ignored":
            question = PastQuestion(self.asking, clock=clock)
            planes = ControlPlanes(
                question,
                planes={_KIND: beside_counts.control_plane},
                kind_of={mesh: _KIND},
                matchers=settings.matchers,
                heeded=settings.control_plane,
            )
            found.append((planes, question))
        if beside_counts.arm_signs is not None:
            question = PastQuestion(self.asking, clock=clock)
            arms = ArmQuestions(question, signs={mesh: beside_counts.arm_signs}, matchers=settings.matchers)
            found.append((arms, question))
        return found


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
    beside_counts: BesideCounts = BesideCounts(),
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
            schema = spoken(schema, settings)
            yield History(asking, settings=settings, schema=schema, tick_seconds=tick_seconds, beside_counts=beside_counts)
