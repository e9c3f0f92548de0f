"""What describes single releases: a few assignments a tick, and samples only when somebody scrapes.

A release's series stay for a while after its verdict, so that the last of the evidence is scraped too; ``verdictd_release_verdict``
tells the ended ones from those that go on. At most so many ended ones are shown, the oldest go first.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from analyzers.counts import Signal
from analyzers.legs.table import LEGS
from analyzers.ruling import LegNow, Ruling
from daemon.measurements import Reading, observed_share
from daemon.model import Release, Stage, Verdict

SHOWN_AFTER_SECONDS: Final = 300.0
MOST_ENDED: Final = 500
_BASE: Final = ("release", "namespace", "service")
_UNITS: Final[Mapping[str, str]] = {leg.name: leg.unit for leg in LEGS}
_EFFECTS: Final = {
    "points": "Difference of rates since the start by one leg's estimate (0.01: one point more).",
    "ratio": "Canary's latency by the baseline's since the start, by one leg's estimate.",
}


@dataclass(slots=True)
class Watched:
    """One release's numbers. Mutable, since every tick writes them."""

    labels: tuple[str, str, str]
    about: tuple[str, str, str]
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
    waits: bool = False
    stage: str | None = None
    verdict: tuple[str, str] | None = None


class Releases(Collector):
    """Written on the event loop, collected in another thread: what is read there is replaced, not changed. ``now``: seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._watched: dict[str, Watched] = {}
        self._ended: OrderedDict[str, tuple[float, Watched]] = OrderedDict()

    def begin(self, release_id: str, release: Release) -> None:
        """It is watched from now on."""
        if release_id not in self._ended:
            labels = (release_id, release.namespace, release.service)
            about = (release.cluster or "", release.mesh or "", release.policy)
            self._watched.setdefault(release_id, Watched(labels, about))

    def ticked(self, release_id: str, release: Release, reading: Reading, ruling: Ruling | None) -> None:
        """It has been sampled and judged."""
        self.begin(release_id, release)
        if (watched := self._watched.get(release_id)) is None:
            return
        watched.ticks += 1
        watched.gaps += reading.gap is not None
        watched.newest_counter_at = reading.at if reading.at is not None else watched.newest_counter_at
        for arm, counts in (("baseline", reading.baseline), ("canary", reading.canary)):
            watched.requests[arm] += 0 if counts is None else counts.requests
        watched.weight, watched.signals = reading.weight, reading.signals
        watched.share = observed_share(reading) if reading.gap is None else watched.share
        if ruling is not None:
            watched.evidence, watched.boundary, watched.legs = ruling.evidence, ruling.boundary, ruling.legs
            watched.waits = ruling.outcome == "continue" and ruling.good_since is not None

    def end(self, release: Release, verdict: Verdict) -> None:
        """It has its verdict."""
        self.begin(verdict.release_id, release)
        if (watched := self._watched.pop(verdict.release_id, None)) is None:
            return
        watched.verdict, watched.signals, watched.waits = (verdict.outcome.value, verdict.action.value), (), False
        watched.evidence, watched.boundary = verdict.evidence, verdict.boundary
        self._ended[verdict.release_id] = (self._now(), watched)
        self.forget()

    def leave(self, release_id: str) -> None:
        """It is another daemon's."""
        self._watched.pop(release_id, None)

    def forget(self) -> None:
        """Those that ended long ago go."""
        oldest = self._now() - SHOWN_AFTER_SECONDS
        for release_id, (ended_at, _) in list(self._ended.items()):
            if ended_at > oldest and len(self._ended) <= MOST_ENDED:
                break
            del self._ended[release_id]

    def set_stages(self, stages: Mapping[str, Stage]) -> None:
        """The stage of each release that is in memory; one that has come meanwhile is told the next time."""
        for release_id, watched in self._watched.items():
            watched.stage = stages[release_id].value if release_id in stages else watched.stage
        for release_id, (_, watched) in self._ended.items():
            watched.stage = stages.get(release_id, Stage.ENDED).value

    def collect(self) -> Iterator[Metric]:
        """Samples for each release."""
        shown = _Shown(self._now())
        for one in [*self._watched.values(), *(ended for _, ended in list(self._ended.values()))]:
            shown.add(one)
        yield from shown.families


class _Shown:
    """The families of one scrape."""

    def __init__(self, now: float) -> None:
        self._now = now
        self.families: list[Metric] = []
        self._info = self._gauge(
            "verdictd_release_info",
            "Always 1: what a release is.",
            (*_BASE, "cluster", "mesh", "policy"),
        )
        self._stage = self._gauge("verdictd_release_stage", "Always 1, at the stage that a release is in.", (*_BASE, "stage"))
        self._verdict = self._gauge(
            "verdictd_release_verdict",
            "Always 1, for some minutes after a release's verdict.",
            (*_BASE, "outcome", "action"),
        )
        self._evidence = self._gauge("verdictd_release_evidence", "Evidence that the canary is worse at all.")
        self._boundary = self._gauge(
            "verdictd_release_evidence_boundary",
            "How much of it a rollback needs (1/alpha), beside evidence that the canary is worse than tolerated.",
        )
        legs = (*_BASE, "leg")
        self._leg_evidence = self._gauge(
            "verdictd_leg_evidence", "Evidence of one leg alone that the canary is worse at all.", legs
        )
        self._leg_beyond = self._gauge("verdictd_leg_beyond", "Evidence of one leg that the canary is worse than tolerated.", legs)
        self._effects = {unit: self._gauge(f"verdictd_leg_effect_{unit}", says, legs) for unit, says in _EFFECTS.items()}
        self._requests = self._counter("verdictd_release_requests", "Requests judged.", (*_BASE, "arm"))
        self._weight = self._gauge(
            "verdictd_release_weight_ratio", "The canary's part of the traffic by its route, in the last tick."
        )
        self._share = self._gauge(
            "verdictd_release_share_ratio", "The canary's part of the requests, in the last tick that had any."
        )
        self._signals = self._gauge(
            "verdictd_release_signal",
            "Always 1, while something stands beside the counts; effect: what that does to a ruling.",
            (*_BASE, "kind", "about", "effect"),
        )
        self._waits = self._gauge(
            "verdictd_release_waits_for_person",
            "Always 1, while what was found good waits for a person to promote it.",
        )
        self._ticks = self._counter("verdictd_release_ticks", "Ticks, those without data included.")
        self._gaps = self._counter("verdictd_release_gaps", "Ticks without data.")
        self._age = self._gauge("verdictd_release_telemetry_age_seconds", "Age of the newest counter used.")

    def add(self, one: Watched) -> None:
        """A release's samples."""
        self._info.add_metric((*one.labels, *one.about), 1.0)
        if one.stage is not None:
            self._stage.add_metric((*one.labels, one.stage), 1.0)
        if one.verdict is not None:
            self._verdict.add_metric((*one.labels, *one.verdict), 1.0)
        self._add_judged(one)
        self._add_sampled(one)

    def _add_judged(self, one: Watched) -> None:
        self._evidence.add_metric(one.labels, one.evidence)
        if one.waits:
            self._waits.add_metric(one.labels, 1.0)
        if one.boundary is not None:
            self._boundary.add_metric(one.labels, one.boundary)
        for leg, now in one.legs.items():
            self._leg_evidence.add_metric((*one.labels, leg), now.e_value)
            self._leg_beyond.add_metric((*one.labels, leg), now.beyond)
            if now.effect is not None:
                self._effects[_UNITS[leg]].add_metric((*one.labels, leg), now.effect)

    def _add_sampled(self, one: Watched) -> None:
        for arm, count in one.requests.items():
            self._requests.add_metric((*one.labels, arm), count)
        self._ticks.add_metric(one.labels, one.ticks)
        self._gaps.add_metric(one.labels, one.gaps)
        if one.weight is not None:
            self._weight.add_metric(one.labels, one.weight / 100.0)
        if one.share is not None:
            self._share.add_metric(one.labels, one.share)
        # By their labels: two series of the same ones would be refused, and all others with them.
        for labels in dict.fromkeys((signal.kind, signal.about, signal.effect) for signal in one.signals):
            self._signals.add_metric((*one.labels, *labels), 1.0)
        if one.newest_counter_at is not None and one.verdict is None:
            self._age.add_metric(one.labels, self._now - one.newest_counter_at)

    def _gauge(self, name: str, says: str, labels: tuple[str, ...] = _BASE) -> GaugeMetricFamily:
        family = GaugeMetricFamily(name, says, labels=labels)
        self.families.append(family)
        return family

    def _counter(self, name: str, says: str, labels: tuple[str, ...] = _BASE) -> CounterMetricFamily:
        family = CounterMetricFamily(name, says, labels=labels)
        self.families.append(family)
        return family
