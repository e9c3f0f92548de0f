"""The engine's measurements as Prometheus metrics, with a bounded number of series: the port ``Meter``, and what is scraped.

Each thing that is measured has its room beside this one; what is left here belongs to the daemon as a whole.
"""

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics

import daemon
from analyzers.ruling import Ruling
from daemon.courses import Courses
from daemon.http.metrics.broker import Broker
from daemon.http.metrics.notices import NoticeMetrics
from daemon.http.metrics.rounds import Rounds
from daemon.http.metrics.samplers import Samplers
from daemon.http.metrics.shelf import Shelf
from daemon.http.metrics.verdicts import Verdicts
from daemon.http.metrics.watched import Releases
from daemon.measurements import Cadence, Reading, Watch
from daemon.model import Release, Stage, TimedStep, Verdict

_WATCH_BUCKETS: Final = (0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
_REVERT_BUCKETS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_ANSWER_BUCKETS: Final = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 300)
_LAG_BUCKETS: Final = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5)

# The two steps between which each duration lies, and its metric.
_SPANS: Final = (
    ("detection_seconds", "watching", "decided", "From the start of the watch to the decision.", _WATCH_BUCKETS),
    ("patch_seconds", "decided", "patch_sent", "From the decision to the patch that takes the traffic back.", _REVERT_BUCKETS),
    ("revert_seconds", "decided", "confirmed", "From the decision to the traffic seen to have left the canary.", _REVERT_BUCKETS),
    ("publish_seconds", "decided", "published", "From the decision to the verdict's acknowledged publication.", _REVERT_BUCKETS),
)

# A series more for each counter and histogram, which nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The port ``Meter``, and the registry that is scraped. ``now``: seconds since 1970; ``monotonic``: ones for durations."""

    def __init__(self, *, now: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self.courses = Courses()
        self._verdicts = Verdicts()
        self._releases = Releases(now)
        self._rounds = Rounds(self.registry, now=now, monotonic=monotonic)
        self._spans = {
            name: Histogram(f"verdictd_{name}", says, ("outcome",), buckets=buckets, registry=self.registry)
            for name, _, _, says, buckets in _SPANS
        }
        self._stages = self._gauge("releases", "Releases by stage; ended: those still in memory.", "stage")
        self._components = self._gauge("component_up", "Whether a component works, as /readyz says it.", "component")
        self._frozen = self._gauge(
            "frozen", "Always 1, where nothing is taken back for a while; of all namespaces the label is empty.", "namespace"
        )
        self._troubles = Counter("verdictd_troubles", "Failures that are being retried.", ("what", "error"), registry=self.registry)
        self._undone = Counter(
            "verdictd_reverts_undone", "Times that somebody undid a revert, which was then done again.", registry=self.registry
        )
        self._answers = Histogram(
            "verdictd_http_request_seconds",
            "Answers of the API, by the endpoint's path; long polls take as long as they are asked to.",
            ("method", "route", "code"),
            buckets=_ANSWER_BUCKETS,
            registry=self.registry,
        )
        self._lag = Histogram(
            "verdictd_event_loop_lag_seconds",
            "How much later than asked for a task of the daemon was woken.",
            buckets=_LAG_BUCKETS,
            registry=self.registry,
        )
        self._gauge("build_info", "Always 1.", "version").labels(daemon.__version__).set(1)
        ProcessCollector(registry=self.registry)
        self.notices = NoticeMetrics(self.registry, now=now)
        self.registry.register(self._verdicts)
        self.registry.register(self._releases)

    def set_stages(self, stages: Mapping[str, Stage]) -> None:
        """Which stage each release in memory is in, by id."""
        self._releases.forget()
        self._releases.set_stages(stages)
        counts = Tally(stages.values())
        for stage in Stage:
            self._stages.labels(stage.value).set(counts[stage])

    def set_components(self, works: Mapping[str, bool]) -> None:
        """Which components work."""
        for component, up in works.items():
            self._components.labels(component).set(up)

    def set_frozen(self, namespaces: Iterable[str]) -> None:
        """Where nothing is taken back; empty for everywhere."""
        self._frozen.clear()
        for namespace in namespaces:
            self._frozen.labels(namespace).set(1)

    def admitted(self, release_id: str, release: Release) -> None:
        """A release is watched from now on, or again."""
        self._verdicts.expect(release)
        self._releases.begin(release_id, release)

    def left(self, release_id: str) -> None:
        """A release is another daemon's, and not watched here any more."""
        self._releases.leave(release_id)
        self.courses.left(release_id)

    def ticked(self, watch: Watch, reading: Reading, ruling: Ruling | None) -> None:
        """A release has been sampled and judged; what is read under the guard, after its verdict, is left out."""
        self._releases.ticked(watch.release_id, watch.release, reading, ruling)
        self.courses.ticked(watch, reading, ruling)

    def ended(self, release: Release, verdict: Verdict, marks: Sequence[TimedStep]) -> None:
        """A release has its verdict: it is counted, with how long it took."""
        self._releases.end(release, verdict)
        self.courses.ended(verdict.release_id)
        self._verdicts.count(release, verdict)
        at: dict[str, float] = {}
        for mark in marks:
            at.setdefault(mark.step, mark.at)
        for name, begin, end, _, _ in _SPANS:
            if begin in at and end in at:
                self._spans[name].labels(verdict.outcome.value).observe(max(0.0, at[end] - at[begin]))

    def round(self, telemetry: str, *, releases: int, sampling_seconds: float, judging_seconds: float) -> None:
        """A tick of all releases on one telemetry source has been done."""
        self._rounds.done(telemetry, releases=releases, sampling_seconds=sampling_seconds, judging_seconds=judging_seconds)

    def rests(self, telemetry: str) -> None:
        """No release is on that telemetry source."""
        self._rounds.rests(telemetry)

    def watch_announcements(self, waiting: Callable[[], int]) -> None:
        """Tell how many wait for their canaries."""
        said = "Announcements without arms that wait for their canaries to take traffic."
        Gauge("verdictd_announcements_waiting", said, registry=self.registry).set_function(waiting)

    def watch_verdicts(self, held_up: Callable[[], int]) -> None:
        """Tell how many cannot be told."""
        said = "Verdicts whose publication has failed, and is tried again; /readyz says why."
        Gauge("verdictd_verdicts_held_up", said, registry=self.registry).set_function(held_up)

    def watch_nats(self, broker: Broker) -> None:
        """Have it told at each scrape."""
        self.registry.register(broker)

    def watch_samplers(self, samplers: Samplers) -> None:
        """Have them told at each scrape."""
        self.registry.register(samplers)

    def watch_recordings(self, shelf: Shelf) -> None:
        """Have it told at each scrape."""
        self.registry.register(shelf)

    def expect_telemetry(self, names: Iterable[str]) -> None:
        """Show these sources before they have answered."""
        self._rounds.expect(names)

    def cadence(self, telemetry: str, cadence: Cadence) -> None:
        """How far apart and how late the samples of a telemetry source are."""
        self._rounds.cadence(telemetry, cadence)

    def telemetry_answered(self, telemetry: str) -> None:
        """A telemetry source has answered just now."""
        self._rounds.answered(telemetry)

    def undone(self, release: Release) -> None:
        """Somebody gave a canary traffic again that had been taken from it."""
        del release  # a series for each would be one without bound
        self._undone.inc()

    def failed(self, what: str, error: Exception) -> None:
        """Something failed and is being retried."""
        self._troubles.labels(what, type(error).__name__).inc()

    def answered(self, method: str, route: str, code: int, seconds: float) -> None:
        """The API has answered; ``route`` is an endpoint's path, not what was asked for, which may be anything."""
        self._answers.labels(method, route, str(code)).observe(seconds)

    def lagged(self, seconds: float) -> None:
        """The event loop turned so much later than it should have."""
        self._lag.observe(seconds)

    def _gauge(self, name: str, says: str, label: str) -> Gauge:
        return Gauge(f"verdictd_{name}", says, (label,), registry=self.registry)
