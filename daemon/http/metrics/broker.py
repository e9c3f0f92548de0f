"""How NATS stands, asked at each scrape, from another thread."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker(Collector):
    """What is asked.

    Attributes:
        connected: whether there is a connection.
        last_write_at: when it last acknowledged a write, in seconds since 1970; null: never.
        write_seconds: how long that took; 0: none was.
        lost: events and commands that were gone before they were read.
        rejected: dead letters written.
    """

    connected: Callable[[], bool]
    last_write_at: Callable[[], float | None]
    write_seconds: Callable[[], float]
    lost: Callable[[], int]
    rejected: Callable[[], int]

    def collect(self) -> Iterator[Metric]:
        """One sample each."""
        yield GaugeMetricFamily("verdictd_nats_connected", "Whether there is a connection to NATS.", value=self.connected())
        yield GaugeMetricFamily(
            "verdictd_nats_last_write_timestamp_seconds",
            "When NATS last acknowledged a write; 0: never.",
            value=self.last_write_at() or 0.0,
        )
        yield GaugeMetricFamily(
            "verdictd_nats_write_seconds",
            "How long the last write that NATS acknowledged took, of those tried each second; 0: none was.",
            value=self.write_seconds(),
        )
        yield CounterMetricFamily(
            "verdictd_events_lost", "Events and commands removed from their streams before they were read.", value=self.lost()
        )
        yield CounterMetricFamily(
            "verdictd_dead_letters", "Events and commands that could not be used, kept with the reason.", value=self.rejected()
        )
