"""The daemon's own telemetry, and what each of its readings was made of: what the doctor says is what the daemon would count."""

from daemon.errors import VerdictdError
from daemon.telemetry.counters.collection import Collection, Source, Timing
from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.prometheus.pace import Pace
from daemon.telemetry.prometheus.source import PrometheusSource
from daemon.telemetry.schema import Schema


class Witness:
    """``Source`` that lets another one ask and read, and remembers what came of it.

    Attributes:
        source: the other one.
        schema: what the mesh's telemetry looks like.
        index: which series is whose.
        collected: what was collected last; null before.
        failure: why nothing was, the last time; null where something was.
    """

    def __init__(self, source: Source, index: SeriesIndex, schema: Schema) -> None:
        self.source = source
        self.index = index
        self.schema = schema
        self.collected: Collection | None = None
        self.failure: VerdictdError | None = None

    @property
    def timing(self) -> Timing:
        """See ``Source``."""
        return self.source.timing

    @property
    def wait_seconds(self) -> float | None:
        """See ``Source``."""
        return self.source.wait_seconds

    @property
    def store(self) -> PrometheusSource | None:
        """The store behind it, which can be asked more; null where proxies are asked themselves."""
        return self.source if isinstance(self.source, PrometheusSource) else None

    @property
    def pace(self) -> Pace | None:
        """How far apart and how late samples are; null where proxies are asked themselves."""
        return None if self.store is None else self.store.pace

    async def collect(self) -> Collection:
        """See ``Source``."""
        self.failure = None
        try:
            self.collected = await self.source.collect()
        except VerdictdError as error:
            self.failure = error
            raise
        self.collected.kept = True
        return self.collected
