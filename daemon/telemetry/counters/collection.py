"""What a source hands over at each reading: its samples, sorted by arm and target, and who has answered.

A source asks and reads, and nothing else; what its samples mean is worked out from here on, the same for every source.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

from daemon.measurements import Cadence
from daemon.telemetry.counters.arms import ArmKey
from daemon.telemetry.counters.series import SampleKind, Series
from daemon.telemetry.counters.settling import Samples
from daemon.telemetry.counters.snapshot import ArmSnapshot, Buckets, Histogram, Native, SnapshotBuilder, TargetMetadata
from daemon.telemetry.schema import Ended

Followed = Mapping[str, AbstractSet[int]]
"""Forms of series by target."""

_NOBODY: Followed = {}
_NOTHING: Mapping[str, ArmSnapshot] = {}
_SILENT = TargetMetadata()
_TIMED = frozenset({Ended.SERVED, Ended.UNCLASSIFIED})
"""Whose latency is looked at where histograms tell: that of requests that have not failed as far as is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How often a source is asked, and how long its silence is borne.

    Attributes:
        tick_seconds: the sampling interval.
        stale_after_seconds: a newest sample older than this is no information.
        patience_seconds: least time to wait for a target that has gone quiet, before going on without it.
        monotonic: its samples are dated by our clock that never goes backwards; else in seconds since 1970.
    """

    tick_seconds: float
    stale_after_seconds: float
    patience_seconds: float
    monotonic: bool = False


class Collection:
    """The samples of one reading.

    Attributes:
        answered: newest time of every target that has answered.
        failed: targets that have not, with the reason, where the source asks each of them.
        there: all targets that there are, where that is known for sure.
        unknown: releases of which it is not known whom to ask, with the reason.
        metadata: what targets say of themselves.
        denials_known: whether they were asked what their policy filters have denied.
        ages_asked: whether they were asked since when they run.
        labelled: targets are told apart by labels of the samples, of which some may have been dropped.
        clusters: the cluster of each target, where samples say so.
        cadence_of: how far apart and how late samples of these targets are, where that is learnt.
        late_seconds: by how much samples of a target come later than those of the most punctual one, where they do.
        unpaced: targets of which nobody knows yet how far apart their samples are.
        summed: targets that are none: their samples do not say of which pod they are.
        instances: the ``instance`` labels of the targets.
        places: targets that are named pods, by where they are scraped.
        met: series that were looked at, ours or not. met_of_portion: those of them that are asked for in turn only.
        nearby: of arms without a series (0 baseline, 1 canary, by release), what was looked for and what there is instead.
        histograms: where the last bucket of each histogram went, by the identity of its series.
        epoch_offset: what turns a time of its samples into seconds since 1970.
        kept: somebody looks at it when its readings have been made.
    """

    __slots__ = (
        "ages_asked",
        "answered",
        "builders",
        "cadence_of",
        "clusters",
        "denials_known",
        "epoch_offset",
        "failed",
        "histograms",
        "instances",
        "kept",
        "labelled",
        "late_seconds",
        "met",
        "met_of_portion",
        "metadata",
        "nearby",
        "places",
        "summed",
        "there",
        "unknown",
        "unpaced",
    )

    def __init__(self, *, denials_known: bool = False, epoch_offset: float = 0.0, labelled: bool = False) -> None:
        self.builders: dict[ArmKey, dict[str, SnapshotBuilder]] = {}
        self.metadata: dict[str, TargetMetadata] = {}
        self.denials_known = denials_known
        self.epoch_offset = epoch_offset
        self.ages_asked = False
        self.labelled = labelled
        self.clusters: dict[str, str] = {}
        self.cadence_of: Callable[[Iterable[str]], Cadence | None] | None = None
        self.late_seconds: Mapping[str, float] = {}
        self.unpaced: AbstractSet[str] = frozenset()
        self.summed: set[str] = set()
        self.instances: set[str] = set()
        self.places: dict[str, set[str]] = {}
        self.answered: dict[str, float] = {}
        self.failed: dict[str, str] = {}
        self.there: set[str] | None = None
        self.unknown: dict[str, str] = {}
        self.met = self.met_of_portion = 0
        self.kept = False
        self.nearby: Mapping[tuple[str, int], str] = {}
        self.histograms: dict[str, Buckets] = {}

    def builder(self, arm: ArmKey, target: str, *, spacing_seconds: float, pod: str) -> SnapshotBuilder:
        """Where the samples of an arm at a target go."""
        targets = self.builders.setdefault(arm, {})
        found = targets.get(target)
        if found is None:
            found = targets[target] = SnapshotBuilder(spacing_seconds=spacing_seconds, pod=pod)
        return found

    def add(
        self,
        series: Series,
        value: float,
        *,
        target: str,
        pod: str,
        at: float,
        spacing_seconds: float,
        before: float | None = None,
        samples: Samples = (),
    ) -> None:
        """Take one sample for all arms that the series belongs to, by how its requests ended under the policy of each.

        ``before``: when the one before it was taken, if known. ``samples``: all that are there, where the store may get those of
        one scrape in parts.
        """
        if series.kind is SampleKind.BUCKET:
            # Nine of ten samples are buckets: whose they are is worked out once for each histogram and scrape.
            buckets = self.histograms.get(series.identity)
            if buckets is None or not buckets.goes_on(target, at, before):
                buckets = self._buckets(series, target=target, pod=pod, at=at, spacing_seconds=spacing_seconds, before=before)
            buckets.add(series.le, value)
            return
        for arm in series.label_set.arms:
            if not _looked_at(arm, series):
                continue
            builder = self.builder(arm, target, spacing_seconds=spacing_seconds, pod=pod)
            match series.kind:
                case SampleKind.COUNTER:
                    # Buckets are not asked for as far back: where they come first, they do not know how far apart scrapes are.
                    builder.spacing_seconds = spacing_seconds or builder.spacing_seconds
                    builder.count(series, arm.outcomes.counted(series.ending), value, at=at, before=before, samples=samples)
                case SampleKind.SUM:
                    builder.sum(series, value, at=at, before=before)
                case SampleKind.NATIVE:
                    return  # a number under a histogram's name says nothing
                case SampleKind.BUCKET | SampleKind.DENIED | SampleKind.UPTIME | SampleKind.STARTED_AT | SampleKind.SCRAPED:
                    raise AssertionError("buckets have been taken, and no arm owns what a target says of itself")

    def add_buckets(
        self,
        series: Series,
        bounds: Sequence[float],
        values: Sequence[float],
        *,
        at: float,
        spacing_seconds: float,
        before: float | None,
    ) -> None:
        """Take buckets of one histogram, of which ``series`` is one, all of one scrape: as ``add`` takes each of them."""
        target = series.target
        buckets = self.histograms.get(series.identity)
        if buckets is None or not buckets.goes_on(target, at, before):
            buckets = self._buckets(series, target=target, pod=series.pod, at=at, spacing_seconds=spacing_seconds, before=before)
        buckets.extend(bounds, values)

    def _buckets(
        self, series: Series, *, target: str, pod: str, at: float, spacing_seconds: float, before: float | None
    ) -> Buckets:
        """Where the buckets go of the histogram and scrape that this one is of."""
        found = Buckets()
        for arm in series.label_set.arms:
            if _looked_at(arm, series):
                builder = self.builder(arm, target, spacing_seconds=spacing_seconds, pod=pod)
                found = builder.buckets(series, found, at=at, before=before)
        found.target, found.at, found.before = target, at, before
        self.histograms[series.identity] = found
        return found

    def add_histogram(
        self,
        series: Series,
        histogram: Histogram | Native,
        *,
        target: str,
        pod: str,
        at: float,
        spacing_seconds: float,
        before: float | None = None,
    ) -> None:
        """Take a histogram that is one sample, as ``add`` takes a number."""
        for arm in series.label_set.arms:
            if not _looked_at(arm, series):
                continue
            builder = self.builder(arm, target, spacing_seconds=spacing_seconds, pod=pod)
            builder.histogram(series, histogram, at=at, before=before)

    def add_metadata(self, series: Series, value: float, *, target: str, at: float) -> None:
        """Take one sample of what a target says of itself."""
        metadata = self.metadata.setdefault(target, TargetMetadata())
        if series.kind is SampleKind.DENIED:
            metadata.deny(series, value, at=at)
        elif series.kind is SampleKind.SCRAPED:
            if value == 1.0:
                metadata.scrape(series, at=at)
        elif math.isfinite(value) and value >= 0.0:
            metadata.born = at - value if series.kind is SampleKind.UPTIME else value - self.epoch_offset
            metadata.scrape(series, at=at)

    def born(self, target: str, began: float) -> None:
        """Somebody else says since when a target runs, in seconds since 1970; its own word goes before that."""
        metadata = self.metadata.setdefault(target, TargetMetadata())
        if metadata.born is None:
            metadata.born = began - self.epoch_offset

    def let_go(self) -> None:
        """Of the samples, unless it is ``kept``; one by one, since nobody else has a turn while many are let go of at once."""
        if self.kept:
            return
        for targets in self.builders.values():
            targets.clear()
        for many in (self.builders, self.histograms, self.metadata, self.places):
            while many:
                many.popitem()

    def merge(self, other: "Collection") -> None:
        """Take over what was collected of other targets."""
        self.met += other.met
        self.metadata.update(other.metadata)
        for arm, targets in other.builders.items():
            self.builders.setdefault(arm, {}).update(targets)

    def know(self, series: Series) -> None:
        """Learn of a target from one of its counters."""
        self.instances.add(series.instance)
        self.clusters[series.target] = series.cluster
        if series.place:
            self.places.setdefault(series.place, set()).add(series.target)
        if not series.pod:
            self.summed.add(series.target)

    def drop_copies(self) -> None:
        """Of a pod that several scrape, and not all of them name in full, keep the target that is named best."""
        for copy, targets in [
            one for place, named in self.places.items() for one in _copies(place, named) if one[0] in self.answered
        ]:
            arms = [arm for arm in self.builders.values() if copy in arm]
            for arm in arms:
                if not targets.isdisjoint(arm):
                    del arm[copy]
            if all(copy not in arm for arm in arms):
                # It has not answered without a word of the arm: it is not looked at.
                del self.answered[copy]

    def shows(self, arm: ArmKey) -> bool:
        """Whether there is a counter of it."""
        return any(builder.counted for builder in self.builders.get(arm, {}).values())

    def unsettled(self) -> dict[str, float]:
        """Targets of whose newest scrape only a part is there yet, and when the newest was that is whole."""
        found: dict[str, float] = {}
        for targets in self.builders.values():
            for target, builder in targets.items():
                if (at := builder.settled_at) is not None:
                    found[target] = min(at, found.get(target, at))
        return found

    def torn(self) -> set[str]:
        """Targets of which a histogram has come in part only."""
        return {target for targets in self.builders.values() for target, builder in targets.items() if builder.torn}

    def snapshots(self, arm: ArmKey, *, followed: Followed = _NOBODY) -> Mapping[str, ArmSnapshot]:
        """What each target showed of an arm.

        Args:
            arm: whose.
            followed: the forms of what was counted last time: of several scrapers of one pod that one is followed.

        Raises:
            InvalidInput: a number cannot be used.
        """
        builders = self.builders.get(arm)
        if builders is None:
            return _NOTHING
        view = arm.view
        # What a target of another kind says of itself is of a client's proxy, not of the pod that served.
        metadata = self.metadata if view.server_side else {}
        denials_known = self.denials_known and view.server_side
        return {
            target: builder.build(
                unit_ms=view.unit_ms,
                metadata=metadata.get(target, _SILENT),
                denials_known=denials_known,
                followed=followed.get(target, frozenset()),
            )
            for target, builder in builders.items()
            if builder.counted
        }


def _copies(place: str, named: AbstractSet[str]) -> Iterator[tuple[str, AbstractSet[str]]]:
    """Targets that are others less fully named: the place alone, and a pod without its namespace; and which these are."""
    if others := named - {place}:  # some name the pod where its address would be
        yield place, others
    if len(named) > 1:
        for target in named:
            if full := {other for other in named if other.endswith(f"/{target}")}:
                yield target, full


def _looked_at(arm: ArmKey, series: Series) -> bool:
    """Whether requests that ended so count for this arm; of latencies only those of requests that have not failed, where known."""
    ended = arm.outcomes.of(series.ending)
    if arm.outcomes.split and series.kind is not SampleKind.COUNTER:
        return ended in _TIMED
    return ended is not Ended.EXCUSED


class Source(Protocol):
    """How counters are asked for, and how what comes is read."""

    @property
    def timing(self) -> Timing:
        """Its times."""
        ...

    @property
    def wait_seconds(self) -> float | None:
        """How long from now on there can be nothing new; null: it is asked at every interval."""
        ...

    async def collect(self) -> Collection:
        """Ask once for all that its series index selects.

        Raises:
            VerdictdError: nothing of what came can be used; says who has failed, and how.
        """
        ...
