"""What one target (a proxy, a pod) showed in one scrape, of an arm and of itself: raw numbers, in whatever order they come.

What a target says of itself is optional. One that says nothing makes no tick null: its denials are then none, its age is unknown.

There are 10 000s of these at a time, and none is part of a cycle: the garbage collector, which stops everything while it looks
at what it knows, is told of as few of them as can be (``gc=False``; dicts and tuples of such are passed over as well).
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import NamedTuple, Protocol

import msgspec

from daemon.errors import InvalidInput
from daemon.telemetry.counters.series import Series
from daemon.telemetry.counters.settling import Samples, settled_at, value_at
from daemon.telemetry.schema import Ended
from daemon.telemetry.wire import number

LARGEST_COUNT = 1e15
"""A count above is none, as for the judge: no service has had so many requests, and a float holds it no longer to the last one."""
_SAME_SCRAPE_SECONDS = 0.0005
_LISTED_TWICE = "it is listed twice in one scrape, with two values"


class Histogram(msgspec.Struct, frozen=True, gc=False):
    """A cumulative histogram: ``cumulative`` counts latencies at or below each of ``bounds_ms``, then all of them."""

    bounds_ms: tuple[float, ...]
    cumulative: tuple[int, ...]
    sum_ms: float

    @property
    def total(self) -> int:
        """All latencies counted."""
        return self.cumulative[-1]


def whole(value: float, *, path: str) -> int:
    """A count as an integer; raises ``InvalidInput`` for what cannot be a count (NaN, negative, broken, too large)."""
    if not (0 <= value <= LARGEST_COUNT and value == math.floor(value)):
        raise InvalidInput(f"{value!r} is not a count", path=path)
    return int(value)


def fell_a_little(before: int, now: int) -> bool:
    """Whether a counter that fell was rather read before than begun anew: one that has begun anew stands near 0."""
    return 2 * now >= before


@lru_cache(maxsize=256)
def _in_order(bounds: tuple[float, ...], unit_ms: float) -> tuple[tuple[float, ...], tuple[float, ...], bool]:
    """The bounds from the lowest to the highest, the finite ones in ms, and whether one is no number.

    There are few kinds, of 10 000s of histograms.
    """
    ordered = tuple(sorted(bounds))
    return ordered, tuple(bound * unit_ms for bound in ordered[:-1]), any(map(math.isnan, bounds))


def assemble(buckets: Mapping[float, float], sum_value: float | None, *, unit_ms: float, path: str) -> Histogram:
    """Make a histogram of the buckets of one series, as read (``le`` to cumulative count, in the metric's own unit).

    Raises:
        InvalidInput: a bucket has no bound, there is no +Inf bucket, a bucket is not a count, or the counts fall with growing
            bounds (which happens when a page was written while requests were being counted).
    """
    bounds, finite_ms, nameless = _in_order(tuple(buckets), unit_ms)
    if nameless:
        raise InvalidInput("a bucket has no bound (label le), or one that is no number", path=path)
    if not bounds or bounds[-1] != math.inf:
        raise InvalidInput("the histogram has no +Inf bucket", path=path)
    counts = list(map(buckets.__getitem__, bounds))
    rising = counts == sorted(counts)
    if rising and counts[0] >= 0.0 and counts[-1] <= LARGEST_COUNT and all(map(float.is_integer, counts)):
        cumulative = tuple(map(int, counts))
    else:
        cumulative = tuple([whole(count, path=path) for count in counts])
    if not rising:
        raise InvalidInput("bucket counts fall with growing bounds", path=path)
    total_ms = 0.0 if sum_value is None else sum_value * unit_ms
    if not math.isfinite(total_ms):
        raise InvalidInput(f"the sum is {sum_value!r}", path=path)
    return Histogram(finite_ms, cumulative, total_ms)


class Native(Protocol):
    """A histogram whose bounds are its own, and come and go with what it holds."""

    def on_bounds(self, *, unit_ms: float, path: str) -> Histogram:
        """The same on bounds that stay; raises ``InvalidInput`` when a number in it cannot be used."""
        ...


class TargetMetadata(msgspec.Struct, gc=False):
    """What one target says of itself.

    Attributes:
        denied: samples (time and value) of its counters of denied requests, by scraper and series.
        born: when its process began, in the time base of the samples.
        scraped: when it was scraped, by scraper, whatever of its arms was there then.
    """

    denied: dict[tuple[str, str], list[tuple[float, float]]] = msgspec.field(default_factory=dict)
    born: float | None = None
    scraped: dict[str, list[float]] = msgspec.field(default_factory=dict)

    def deny(self, series: Series, value: float, *, at: float) -> None:
        """Take one sample of a counter of denied requests."""
        self.denied.setdefault((series.scraper, series.identity), []).append((at, value))

    def scrape(self, series: Series, *, at: float) -> None:
        """The target was scraped then."""
        self.scraped.setdefault(series.scraper, []).append(at)

    def scraped_before(self, at: float, *, scraper: str) -> float | None:
        """The last scrape by the same scraper before the one made at ``at``, if there was one."""
        earlier = (one for one in self.scraped.get(scraper, ()) if one < at - _SAME_SCRAPE_SECONDS)
        return max(earlier, default=None)

    def denied_at(self, at: float, *, scraper: str) -> dict[str, int]:
        """The counters of the scrape made at ``at`` by ``scraper``; raises ``InvalidInput`` when one is no count.

        Of that scrape alone: requests are counted without those denied, so that both must be of one moment.
        """
        return {
            series: whole(value, path=series)
            for (by, series), samples in self.denied.items()
            for when, value in samples
            if by == scraper and abs(when - at) <= _SAME_SCRAPE_SECONDS
        }


class ArmSnapshot(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Raw numbers of one arm at one target, all of one scrape.

    Attributes:
        at: time of the scrape.
        spacing_seconds: how far apart this target's scrapes usually are.
        pod: name of the pod, when the target is one.
        counters: how the requests of each series ended, and how many.
        samples: the samples of each series that are known, the oldest first, where the store may get a scrape in parts.
        histograms: latencies by series.
        old_histograms: when those of them were taken that are of an earlier scrape than the newest.
        withheld: series of histograms of which parts have not come yet, or that cannot be used.
        torn: there are some of which parts have not come yet.
        unusable: why a histogram cannot be used, and which.
        denied: requests denied by the target's policy filter, by series; null when that is not known.
        born: when the target's process began, where known.
        absent: when the target was last scraped by the same scraper without a word of this arm, where that is known.
        forms: the forms of the series.
    """

    at: float
    spacing_seconds: float
    pod: str = ""
    counters: dict[str, tuple[Ended, int]] = msgspec.field(default_factory=dict)
    samples: Mapping[str, Samples] = msgspec.field(default_factory=dict)
    histograms: dict[str, Histogram] = msgspec.field(default_factory=dict)
    old_histograms: Mapping[str, float] = msgspec.field(default_factory=dict)
    withheld: AbstractSet[str] = frozenset()
    torn: bool = False
    unusable: InvalidInput | None = None
    denied: Mapping[str, int] | None = None
    born: float | None = None
    absent: float | None = None
    forms: AbstractSet[int] = frozenset()


class Buckets(msgspec.Struct, gc=False):
    """The buckets of one histogram in one scrape, the same for all arms that they are of.

    Attributes:
        by_bound: upper bound (in the metric's own unit) to cumulative count.
        twice: one was listed twice, with two values.
        target, at, before: where and when the last one was taken, and when the sample before it.
    """

    by_bound: dict[float, float] = msgspec.field(default_factory=dict)
    twice: bool = False
    target: str = ""
    at: float = math.nan
    before: float | None = None

    def add(self, bound: float, value: float) -> None:
        """Take one of them."""
        if self.by_bound.setdefault(bound, value) != value and not math.isnan(value):
            self.twice = True

    def extend(self, bounds: Sequence[float], values: Sequence[float]) -> None:
        """Take several of them."""
        if not self.by_bound:
            self.by_bound = dict(zip(bounds, values, strict=True))
            if len(self.by_bound) == len(bounds):
                return
        for bound, value in zip(bounds, values, strict=True):
            self.add(bound, value)

    def goes_on(self, target: str, at: float, before: float | None) -> bool:
        """Whether a bucket taken there and then is one more of this scrape."""
        return self.at == at and self.before == before and self.target == target

    def histogram(self, sum_value: float | None, *, unit_ms: float, path: str) -> Histogram:
        """What they make. Raises as ``assemble``."""
        made = assemble(self.by_bound, sum_value, unit_ms=unit_ms, path=path)
        if self.twice:
            raise InvalidInput(_LISTED_TWICE, path=path)
        return made


_Moment = tuple[int, str]
"""When, in milliseconds, and by whom."""


class _Scrape(msgspec.Struct, gc=False):
    """The samples of one moment.

    Attributes:
        before: the moments of the samples before them, which is how a scraper is known again.
        samples: those of each counter that are known, where it may have older ones.
    """

    at: float
    before: tuple[int, ...] = ()
    samples: dict[str, Samples] = msgspec.field(default_factory=dict)
    forms: dict[str, int] = msgspec.field(default_factory=dict)
    counters: dict[str, tuple[Ended, float]] = msgspec.field(default_factory=dict)
    buckets: dict[str, Buckets] = msgspec.field(default_factory=dict)
    sums: dict[str, float] = msgspec.field(default_factory=dict)
    histograms: dict[str, Histogram | Native] = msgspec.field(default_factory=dict)

    def histogram(self, series: str, *, unit_ms: float) -> Histogram:
        """What it shows of one. Raises ``InvalidInput``: it cannot be used."""
        if (buckets := self.buckets.get(series)) is not None:
            return buckets.histogram(self.sums.get(series), unit_ms=unit_ms, path=series)
        one = self.histograms[series]
        return one if isinstance(one, Histogram) else one.on_bounds(unit_ms=unit_ms, path=series)


class SnapshotBuilder(msgspec.Struct, gc=False, kw_only=True):
    """Collects the samples of one arm at one target, and takes those of one scrape only.

    A pod may be scraped by several (two ports of its sidecar, two jobs, replicas of Prometheus), each with labels of its own
    choice. What is scraped at once has one time, to the millisecond, so that scrapers are told apart by their samples' times,
    and those that scrape in the same millisecond by the labels that tell who has scraped.
    """

    spacing_seconds: float
    pod: str = ""
    _scrapes: dict[_Moment, _Scrape] = msgspec.field(default_factory=dict)
    _latencies: dict[_Moment, _Scrape] = msgspec.field(default_factory=dict)
    _twice: dict[_Moment, str] = msgspec.field(default_factory=dict)

    @property
    def counted(self) -> bool:
        """Whether there are any counters: latencies alone say nothing of an arm."""
        return bool(self._scrapes)

    @property
    def timed(self) -> bool:
        """Whether there are any latencies."""
        return bool(self._latencies)

    @property
    def torn(self) -> bool:
        """Whether a histogram has come in part only."""
        return len(self._latencies) > 1 and bool(_torn(self._latencies.values()))

    @property
    def scrapers(self) -> int:
        """How many scrape this target, by the labels of theirs that its series carry."""
        return len({scraper for _, scraper in self._scrapes})

    def count(
        self,
        series: Series,
        ended: Ended,
        value: float,
        *,
        at: float,
        before: float | None = None,
        samples: Samples = (),
    ) -> None:
        """Take a counter's value, of requests that ended so. The same series twice in one scrape is one series."""
        scrape = _at(self._scrapes, series, at, before)
        if samples:
            scrape.samples[series.identity] = samples
        scrape.forms[series.identity] = series.form
        if scrape.counters.setdefault(series.identity, (ended, value))[1] != value and not math.isnan(value):
            self._twice[round(at * 1000), series.scraper] = series.identity

    def buckets(self, series: Series, new: Buckets, *, at: float, before: float | None = None) -> Buckets:
        """Where the buckets of the histogram go that this one is of; ``new`` for the first of them."""
        return _at(self._latencies, series, at, before).buckets.setdefault(series.identity, new)

    def sum(self, series: Series, value: float, *, at: float, before: float | None = None) -> None:
        """Take a histogram's sum."""
        _at(self._latencies, series, at, before).sums[series.identity] = value

    def histogram(self, series: Series, histogram: Histogram | Native, *, at: float, before: float | None = None) -> None:
        """Take a histogram that is one sample."""
        _at(self._latencies, series, at, before).histograms[series.identity] = histogram

    def build(
        self, *, unit_ms: float, metadata: TargetMetadata, denials_known: bool, followed: AbstractSet[int] = frozenset()
    ) -> ArmSnapshot:
        """The snapshot, with what its target says of itself.

        Args:
            unit_ms: what one unit of the histograms is.
            metadata: what the target says of itself.
            denials_known: whether it was asked for denials.
            followed: forms of the series that were counted before: the newest scrape that has any is taken, if there is one.

        Raises:
            InvalidInput: a counter cannot be used, is there twice with two values, or all are there several times.
        """
        moment, scrape = self._newest(followed)
        latencies = self._of_scraper(moment, scrape)
        scrape = self._settled(moment, scrape)
        if (series := self._twice.get(moment)) is not None:
            raise InvalidInput(_LISTED_TWICE, path=series)
        if len(scrape.counters) > 1:
            _refuse_copies(scrape)
        torn = _torn(latencies)
        found = _assembled(latencies, torn=torn, unit_ms=unit_ms)
        return ArmSnapshot(
            at=scrape.at,
            spacing_seconds=self.spacing_seconds,
            pod=self.pod,
            counters={series: (ended, whole(value, path=series)) for series, (ended, value) in scrape.counters.items()},
            samples=scrape.samples,
            histograms=found.histograms,
            old_histograms=found.old,
            withheld=torn.union(found.unusable),
            torn=bool(torn),
            unusable=next(iter(found.unusable.values()), None),
            denied=metadata.denied_at(scrape.at, scraper=moment[1]) if denials_known else None,
            born=metadata.born,
            absent=self._absent(metadata, scraper=moment[1]),
            forms=frozenset(scrape.forms.values()),
        )

    def _absent(self, metadata: TargetMetadata, *, scraper: str) -> float | None:
        for scrape in self._scrapes.values():
            if scrape.before:
                return None
        return metadata.scraped_before(min(scrape.at for scrape in self._scrapes.values()), scraper=scraper)

    def _newest(self, followed: AbstractSet[int]) -> tuple[_Moment, _Scrape]:
        """The newest scrape by the same scraper as last time; by any, where there is none by the same."""
        if len(self._scrapes) == 1:
            return next(iter(self._scrapes.items()))
        moments = sorted(self._scrapes, reverse=True)
        for moment in moments:
            if not followed.isdisjoint(self._scrapes[moment].forms.values()):
                return moment, self._scrapes[moment]
        return moments[0], self._scrapes[moments[0]]

    @property
    def settled_at(self) -> float | None:
        """When the newest scrape was of which all parts are there; null while that is the newest of all."""
        if len(self._scrapes) < 2:
            return None
        moment = max(self._scrapes)
        scrape = self._scrapes[moment]
        at = self._whole_at(scrape, self._older(moment))
        return at if at < scrape.at else None

    def _settled(self, moment: _Moment, scrape: _Scrape) -> _Scrape:
        """The scrape, or the newest one before it of which all parts are there."""
        older = self._older(moment)
        at = self._whole_at(scrape, older)
        if at == scrape.at:
            return scrape
        whole = _Scrape(at)
        for one in (*older, scrape):
            for series, (ended, _) in one.counters.items():
                if (text := value_at(one.samples.get(series, ()), at)) is not None:
                    whole.counters[series] = (ended, number(text, path=series))
                    whole.forms[series] = one.forms[series]
                    whole.samples[series] = one.samples[series]
        return whole

    def _older(self, moment: _Moment) -> list[_Scrape]:
        """Scrapes before it by the same scraper that series have ended with."""
        return [one for (when, by), one in self._scrapes.items() if by == moment[1] and when < moment[0] and one.samples]

    def _whole_at(self, scrape: _Scrape, older: Sequence[_Scrape]) -> float:
        """When all parts were there: then, or before."""
        if not older or not scrape.samples:
            return scrape.at
        behind = {series: samples for one in older for series, samples in one.samples.items()}
        return settled_at(scrape.samples, behind, at=scrape.at, spacing_seconds=self.spacing_seconds)

    def _of_scraper(self, moment: _Moment, scrape: _Scrape) -> list[_Scrape]:
        """Latencies by the same scraper, the newest first: they are asked for by themselves, and may be of another scrape."""
        if len(self._latencies) == len(self._scrapes) == 1:
            ((by, latency),) = self._latencies.items()
            return [latency] if by[1] == moment[1] else []
        moments = sorted((one for one in self._latencies if one[1] == moment[1]), reverse=True)
        if len(self._scrapes) > 1:
            ours = {moment[0], *scrape.before}
            moments = [one for one in moments if one[0] in ours or not ours.isdisjoint(self._latencies[one].before)]
        return [self._latencies[one] for one in moments]


_TOO_MANY_FOR_CHANCE = 50
"""Requests that two groups of series have to the last one only if one is a copy of the other."""


def _refuse_copies(scrape: _Scrape) -> None:
    """Raise ``InvalidInput`` where a label that nobody knows tells copies of one scrape apart."""
    forms = set(scrape.forms.values())
    if len(forms) == 1:
        return
    groups: dict[int, list[tuple[Ended, float]]] = {form: [] for form in forms}
    for series, counted in scrape.counters.items():
        groups[scrape.forms[series]].append(counted)
    first, *others = (sorted(group) for group in groups.values())
    if all(first == other for other in others) and sum(value for _, value in first) >= _TOO_MANY_FOR_CHANCE:
        raise InvalidInput(
            "all its series are there several times, with the same values; the label that tells them apart is none that is known",
            path=min(scrape.counters),
        )


def _torn(scrapes: Collection[_Scrape]) -> frozenset[str]:
    """The histograms of which parts are of different scrapes: what is missing of them has not come yet."""
    if len(scrapes) < 2:
        return frozenset()
    parts = Counter(series for one in scrapes for series in one.buckets.keys() | one.sums.keys())
    return frozenset(series for series, scrapes_with_it in parts.items() if scrapes_with_it > 1)


class _Assembled(NamedTuple):
    """Histograms by series, when those of them were taken that are not of the newest scrape, and what is wrong with the others."""

    histograms: dict[str, Histogram]
    old: dict[str, float]
    unusable: dict[str, InvalidInput]


def _assembled(scrapes: Sequence[_Scrape], *, torn: AbstractSet[str], unit_ms: float) -> _Assembled:
    """The newest histogram of each series that is not torn; of one that is there in both forms the one whose bounds stay."""
    made = _Assembled({}, {}, {})
    in_buckets = {series for one in scrapes for series in one.buckets}
    for one in scrapes:
        native = (series for series in one.histograms if series not in in_buckets)
        for series in [*native, *one.buckets]:
            if series in torn or series in made.histograms or series in made.unusable:
                continue
            try:
                made.histograms[series] = one.histogram(series, unit_ms=unit_ms)
            except InvalidInput as error:
                made.unusable[series] = error
                continue
            if one is not scrapes[0]:
                made.old[series] = one.at
    return made


def _at(scrapes: dict[_Moment, _Scrape], series: Series, at: float, before: float | None) -> _Scrape:
    moment = (round(at * 1000), series.scraper)
    scrape = scrapes.get(moment)
    if scrape is None:
        scrape = scrapes[moment] = _Scrape(at)
    if before is not None and (earlier := round(before * 1000)) not in scrape.before:
        scrape.before = (*scrape.before, earlier)
    return scrape
