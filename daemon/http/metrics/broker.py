"""How NATS stands, asked at each scrape, from another thread."""

from collections.abc import Callable, Iterator, Mapping
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
        waiting: by stream, how many messages are still to be read, and how many were read and are not answered.
        lost: events and commands that were gone before they were read.
        rejected: dead letters written.
    """

    connected: Callable[[], bool]
    last_write_at: Callable[[], float | None]
    write_seconds: Callable[[], float]
    waiting: Callable[[], Mapping[str, tuple[int, int]]]
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
        waiting = GaugeMetricFamily(
            "verdictd_events_waiting", "Events and commands on their streams that have not been read yet.", labels=("stream",)
        )
        unanswered = GaugeMetricFamily(
            "verdictd_events_unanswered",
            "Events and commands that were read, by whichever replica, and are not answered.",
            labels=("stream",),
        )
        for stream, (to_come, come) in self.waiting().items():
            waiting.add_metric((stream,), to_come)
            unanswered.add_metric((stream,), come)
        yield from (waiting, unanswered)
        yield CounterMetricFamily(
            "verdictd_events_lost", "Events and commands removed from their streams before they were read.", value=self.lost()
        )
        yield CounterMetricFamily(
            "verdictd_dead_letters", "Events and commands that could not be used, kept with the reason.", value=self.rejected()
        )
