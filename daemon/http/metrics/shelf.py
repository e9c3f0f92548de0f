"""How much the recordings take, as of the last look at their folder."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from daemon.recordingshelf import Stock


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf(Collector):
    """``stock`` is asked at each scrape, from another thread."""

    stock: Callable[[], Stock]

    def collect(self) -> Iterator[Metric]:
        """One sample each."""
        stock = self.stock()
        yield GaugeMetricFamily("verdictd_recordings", "Recordings that are kept.", value=stock.recordings)
        yield GaugeMetricFamily("verdictd_recordings_bytes", "What they take together.", value=stock.bytes)
        yield GaugeMetricFamily(
            "verdictd_recordings_oldest_timestamp_seconds",
            "When the oldest of them was last written to; 0: there is none.",
            value=stock.oldest_at or 0.0,
        )
