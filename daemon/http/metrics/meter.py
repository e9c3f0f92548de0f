"""The engine's measurements as Prometheus metrics, with a bounded number of series.

What describes one release is kept here as plain numbers and turned into samples when somebody scrapes: a tick costs a few
assignments, and a release that has ended leaves no series behind. What describes the daemon is counted in ordinary metrics.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

import daemon
from analyzers.ruling import LegNow, Ruling
from daemon.model import Cadence, Reading, Release, Signal, Stage, TimedStep, Verdict, Watch, observed_share

_WATCH_BUCKETS = (0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
_REVERT_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_ROUND_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_REMEMBERED_ENDS = 20_000

# The two steps between which each duration lies, and its metric.
_SPANS = (
    ("detection_seconds", "watching", "decided", "From the start of the watch to the decision.", _WATCH_BUCKETS),
    ("patch_seconds", "decided", "patch_sent", "From the decision to the patch that takes the traffic back.", _REVERT_BUCKETS),
    ("revert_seconds", "decided", "confirmed", "From the decision to the traffic seen to have left the canary.", _REVERT_BUCKETS),
    ("publish_seconds", "decided", "published", "From the decision to the verdict's acknowledged publication.", _REVERT_BUCKETS),
)


@dataclass(slots=True)
class _Watched:
    """One release's numbers. Mutable, since every tick writes them."""

    labels: tuple[str, str, str]
    ticks: int = 0
    gaps: int = 0
    requests: dict[str, int] = field(default_factory=lambda: {"baseline": 0, "canary": 0})
    evidence: float = 1.0
    boundary: float | None = None
    legs: Mapping[str, LegNow] = field(default_factory=dict)
    newest_counter_at: float | None = None
    weight: float | None = None
    share: float | None = None
    signals: tuple[Signal, ...] = ()


class Metrics:
    """The port ``Meter``, and the registry that is scraped."""

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._now = now
        self._watched: dict[str, _Watched] = {}
        self._round_ends: dict[str, float] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._verdicts = Counter("verdictd_verdicts", "Verdicts.", ("outcome", "action", "by"), registry=self.registry)
        self._spans = {
            name: Histogram(f"verdictd_{name}", help_text, ("outcome",), buckets=buckets, registry=self.registry)
            for name, _, _, help_text, buckets in _SPANS
        }
        self._sampling = self._round_histogram("sampling", "Reading all counters of one telemetry source for one tick.")
        self._judging = self._round_histogram("judging", "Judging all releases of one telemetry source for one tick.")
        self._round_releases = Gauge(
            "verdictd_round_releases", "Releases in the last round.", ("telemetry",), registry=self.registry
        )
        self._round_end = Gauge(
            "verdictd_round_timestamp_seconds", "When the last round ended.", ("telemetry",), registry=self.registry
        )
        self._interval = Gauge(
            "verdictd_round_interval_seconds",
            "Time between the last two rounds; longer than the tick: the daemon lags.",
            ("telemetry",),
            registry=self.registry,
        )
        self._stages = Gauge(
            "verdictd_releases", "Releases by stage; ended: those still in memory.", ("stage",), registry=self.registry
        )
        self._components = Gauge(
            "verdictd_component_up", "Whether a component works, as /readyz says it.", ("component",), registry=self.registry
        )
        self._answered = Gauge(
            "verdictd_telemetry_last_success_timestamp_seconds",
            "When a telemetry source last answered; 0: never.",
            ("telemetry",),
            registry=self.registry,
        )
        self._spacing = Gauge(
            "verdictd_telemetry_spacing_seconds",
            "How far apart the samples of a telemetry source are, of the release that is scraped least often.",
            ("telemetry",),
            registry=self.registry,
        )
        self._late = Gauge(
            "verdictd_telemetry_late_seconds",
            "How long samples of a telemetry source take at most to be there, of the release whose come latest.",
            ("telemetry",),
            registry=self.registry,
        )
        self._ahead = Gauge(
            "verdictd_telemetry_clock_ahead_seconds",
            "By how much our clock is ahead of a telemetry source's at least; less than 0: behind; 0: nothing is proven.",
            ("telemetry",),
            registry=self.registry,
        )
        self._troubles = Counter("verdictd_troubles", "Failures that are being retried.", ("what", "error"), registry=self.registry)
        self._undone = Counter(
            "verdictd_reverts_undone", "Times that somebody undid a revert, which was then done again.", registry=self.registry
        )
        Gauge("verdictd_build_info", "Always 1.", ("version",), registry=self.registry).labels(daemon.__version__).set(1)
        ProcessCollector(registry=self.registry)
        self.registry.register(_Releases(self._watched, now))

    def set_stages(self, counts: Mapping[Stage, int]) -> None:
        """How many releases are in each stage."""
        for stage, count in counts.items():
            self._stages.labels(stage.value).set(count)

    def set_components(self, works: Mapping[str, bool]) -> None:
        """Which components work."""
        for component, up in works.items():
            self._components.labels(component).set(up)

    def ticked(self, watch: Watch, reading: Reading, ruling: Ruling | None) -> None:
        """A release has been sampled and judged."""
        if watch.release_id in self._ended:
            return  # it is guarded after its verdict; nobody judges it any more
        watched = self._watched.get(watch.release_id)
        if watched is None:
            labels = (watch.release_id, watch.release.namespace, watch.release.service)
            watched = self._watched[watch.release_id] = _Watched(labels)
        watched.ticks += 1
        watched.gaps += reading.gap is not None
        watched.newest_counter_at = reading.at if reading.at is not None else watched.newest_counter_at
        for arm, counts in (("baseline", reading.baseline), ("canary", reading.canary)):
            watched.requests[arm] += 0 if counts is None else counts.requests
        watched.weight, watched.signals = reading.weight, reading.signals
        watched.share = observed_share(reading) if reading.gap is None else watched.share
        if ruling is not None:
            watched.evidence, watched.boundary, watched.legs = ruling.evidence, ruling.boundary, ruling.legs

    def ended(self, release: Release, verdict: Verdict, marks: Sequence[TimedStep]) -> None:
        """A release has its verdict: it is counted, and its own series go."""
        self._watched.pop(verdict.release_id, None)
        self._ended[verdict.release_id] = None
        while len(self._ended) > _REMEMBERED_ENDS:
            self._ended.popitem(last=False)
        self._verdicts.labels(verdict.outcome.value, verdict.action.value, verdict.by).inc()
        at: dict[str, float] = {}
        for mark in marks:
            at.setdefault(mark.step, mark.at)
        for name, begin, end, _, _ in _SPANS:
            if begin in at and end in at:
                self._spans[name].labels(verdict.outcome.value).observe(max(0.0, at[end] - at[begin]))

    def round(self, telemetry: str, *, releases: int, sampling_seconds: float, judging_seconds: float) -> None:
        """A tick of all releases on one telemetry source has been done."""
        self._sampling.labels(telemetry).observe(sampling_seconds)
        self._judging.labels(telemetry).observe(judging_seconds)
        self._round_releases.labels(telemetry).set(releases)
        now = self._now()
        if telemetry in self._round_ends:
            self._interval.labels(telemetry).set(now - self._round_ends[telemetry])
        self._round_ends[telemetry] = now
        self._round_end.labels(telemetry).set(now)

    def watch_nats(
        self, *, connected: Callable[[], bool], last_write_at: Callable[[], float | None], lost: Callable[[], int]
    ) -> None:
        """Have these told at each scrape, from another thread."""
        self.registry.register(_Nats(connected, last_write_at, lost))

    def expect_telemetry(self, names: Iterable[str]) -> None:
        """Show these sources before they have answered."""
        for name in names:
            self._answered.labels(name)

    def cadence(self, telemetry: str, cadence: Cadence) -> None:
        """How far apart and how late the samples of a telemetry source are."""
        self._spacing.labels(telemetry).set(cadence.spacing_seconds)
        self._late.labels(telemetry).set(cadence.late_seconds)
        self._ahead.labels(telemetry).set(cadence.ahead_seconds)

    def telemetry_answered(self, telemetry: str) -> None:
        """A telemetry source has answered just now."""
        self._answered.labels(telemetry).set(self._now())

    def undone(self, release: Release) -> None:
        """Somebody gave a canary traffic again that had been taken from it."""
        del release  # a series for each would be one without bound
        self._undone.inc()

    def failed(self, what: str, error: Exception) -> None:
        """Something failed and is being retried."""
        self._troubles.labels(what, type(error).__name__).inc()

    def _round_histogram(self, name: str, help_text: str) -> Histogram:
        return Histogram(f"verdictd_{name}_seconds", help_text, ("telemetry",), buckets=_ROUND_BUCKETS, registry=self.registry)


class _Releases(Collector):
    """What describes single releases, made at scrape time, in another thread: what is read here is replaced, not changed."""

    def __init__(self, watched: Mapping[str, _Watched], now: Callable[[], float]) -> None:
        self._watched = watched
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Samples for each watched release."""
        base = ("release", "namespace", "service")
        evidence = GaugeMetricFamily("verdictd_release_evidence", "Evidence that the canary is worse at all.", labels=base)
        boundary = GaugeMetricFamily(
            "verdictd_release_evidence_boundary",
            "How much of it a rollback needs (1/alpha), beside evidence that the canary is worse than tolerated.",
            labels=base,
        )
        leg_evidence = GaugeMetricFamily(
            "verdictd_leg_evidence", "Evidence of one leg alone that the canary is worse at all.", labels=(*base, "leg")
        )
        leg_beyond = GaugeMetricFamily(
            "verdictd_leg_beyond", "Evidence of one leg that the canary is worse than tolerated.", labels=(*base, "leg")
        )
        leg_effect = GaugeMetricFamily(
            "verdictd_leg_effect",
            "Estimated effect of one leg since the start: a ratio (typical, slow_end) or a difference of rates (the others).",
            labels=(*base, "leg"),
        )
        requests = CounterMetricFamily("verdictd_release_requests", "Requests judged.", labels=(*base, "arm"))
        ticks = CounterMetricFamily("verdictd_release_ticks", "Ticks, those without data included.", labels=base)
        gaps = CounterMetricFamily("verdictd_release_gaps", "Ticks without data.", labels=base)
        age = GaugeMetricFamily("verdictd_release_telemetry_age_seconds", "Age of the newest counter used.", labels=base)
        weight = GaugeMetricFamily(
            "verdictd_release_weight_ratio", "The canary's part of the traffic by its route, in the last tick.", labels=base
        )
        share = GaugeMetricFamily(
            "verdictd_release_share_ratio", "The canary's part of the requests, in the last tick that had any.", labels=base
        )
        signals = GaugeMetricFamily(
            "verdictd_release_signal",
            "Always 1, while something stands beside the counts; effect: what that does to a ruling.",
            labels=(*base, "kind", "about", "effect"),
        )
        for one in list(self._watched.values()):
            # By their labels: two series of the same ones would be refused, and all others with them.
            for labels in dict.fromkeys((signal.kind, signal.about, signal.effect) for signal in one.signals):
                signals.add_metric((*one.labels, *labels), 1.0)
            if one.weight is not None:
                weight.add_metric(one.labels, one.weight / 100.0)
            if one.share is not None:
                share.add_metric(one.labels, one.share)
            evidence.add_metric(one.labels, one.evidence)
            if one.boundary is not None:
                boundary.add_metric(one.labels, one.boundary)
            for leg, now in one.legs.items():
                leg_evidence.add_metric((*one.labels, leg), now.e_value)
                leg_beyond.add_metric((*one.labels, leg), now.beyond)
                if now.effect is not None:
                    leg_effect.add_metric((*one.labels, leg), now.effect)
            for arm, count in one.requests.items():
                requests.add_metric((*one.labels, arm), count)
            ticks.add_metric(one.labels, one.ticks)
            gaps.add_metric(one.labels, one.gaps)
            if one.newest_counter_at is not None:
                age.add_metric(one.labels, self._now() - one.newest_counter_at)
        yield from (evidence, boundary, leg_evidence, leg_beyond, leg_effect, requests, weight, share, signals, ticks, gaps, age)


class _Nats(Collector):
    """How NATS stands."""

    def __init__(self, connected: Callable[[], bool], last_write_at: Callable[[], float | None], lost: Callable[[], int]) -> None:
        self._connected = connected
        self._last_write_at = last_write_at
        self._lost = lost

    def collect(self) -> Iterator[Metric]:
        """One sample each."""
        yield GaugeMetricFamily("verdictd_nats_connected", "Whether there is a connection to NATS.", value=self._connected())
        yield GaugeMetricFamily(
            "verdictd_nats_last_write_timestamp_seconds",
            "When NATS last acknowledged a write; 0: never.",
            value=self._last_write_at() or 0.0,
        )
        yield CounterMetricFamily(
            "verdictd_events_lost", "Events and commands removed from their streams before they were read.", value=self._lost()
        )
