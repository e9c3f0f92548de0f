"""How each telemetry source is read: its rounds, and how its samples come. That it rests while no release is there is no lag."""

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, Histogram

from daemon.measurements import Cadence

_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Rounds:
    """A label ``telemetry`` for each. ``now``: seconds since 1970; ``monotonic``: seconds that never go backwards."""

    def __init__(self, registry: CollectorRegistry, *, now: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._registry = registry
        self._now = now
        self._monotonic = monotonic
        self._ends: dict[str, float] = {}
        self._sampling = self._histogram("sampling", "Reading all counters of one telemetry source for one tick.")
        self._judging = self._histogram("judging", "Judging all releases of one telemetry source for one tick.")
        self._releases = self._gauge("round_releases", "Releases in the last round; 0 while there are none.")
        self._end = self._gauge("round_timestamp_seconds", "When the last round ended; 0 while there are no releases.")
        self._interval = self._gauge(
            "round_interval_seconds",
            "Time between the last two rounds; longer than the tick: the daemon lags. 0 while there are no releases.",
        )
        self._answered = self._gauge("telemetry_last_success_timestamp_seconds", "When a telemetry source last answered; 0: never.")
        self._spacing = self._gauge(
            "telemetry_spacing_seconds",
            "How far apart the samples of a telemetry source are, of the release that is scraped least often.",
        )
        self._late = self._gauge(
            "telemetry_late_seconds",
            "How long samples of a telemetry source take at most to be there, of the release whose come latest.",
        )
        self._ahead = self._gauge(
            "telemetry_clock_ahead_seconds",
            "By how much our clock is ahead of a telemetry source's at least; less than 0: behind; 0: nothing is proven.",
        )

    def done(self, telemetry: str, *, releases: int, sampling_seconds: float, judging_seconds: float) -> None:
        """A tick of all releases has been done."""
        self._sampling.labels(telemetry).observe(sampling_seconds)
        self._judging.labels(telemetry).observe(judging_seconds)
        self._releases.labels(telemetry).set(releases)
        at = self._monotonic()
        if telemetry in self._ends:
            self._interval.labels(telemetry).set(at - self._ends[telemetry])
        self._ends[telemetry] = at
        self._end.labels(telemetry).set(self._now())

    def rests(self, telemetry: str) -> None:
        """There is no release to read."""
        if self._ends.pop(telemetry, None) is not None:
            for gauge in (self._releases, self._end, self._interval):
                gauge.labels(telemetry).set(0)

    def expect(self, names: Iterable[str]) -> None:
        """Show these sources before they have answered."""
        for name in names:
            for gauge in (self._answered, self._releases, self._end, self._interval):
                gauge.labels(name)

    def cadence(self, telemetry: str, cadence: Cadence) -> None:
        """How far apart and how late the samples are."""
        self._spacing.labels(telemetry).set(cadence.spacing_seconds)
        self._late.labels(telemetry).set(cadence.late_seconds)
        self._ahead.labels(telemetry).set(cadence.ahead_seconds)

    def answered(self, telemetry: str) -> None:
        """It has answered just now."""
        self._answered.labels(telemetry).set(self._now())

    def _gauge(self, name: str, says: str) -> Gauge:
        return Gauge(f"verdictd_{name}", says, ("telemetry",), registry=self._registry)

    def _histogram(self, name: str, says: str) -> Histogram:
        return Histogram(f"verdictd_{name}_seconds", says, ("telemetry",), buckets=_BUCKETS, registry=self._registry)
