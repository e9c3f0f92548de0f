"""How watches go, for whoever draws them: kept in memory for the newest of them and bounded, or made from a recording."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from analyzers.counts import Sample
from analyzers.legs.table import LEGS
from analyzers.ruling import Finding, LegNow, LegsNow, Ruling
from analyzers.terms import BEYOND
from config.policy import Policy
from daemon.courses.podsums import PodSums
from daemon.courses.shapes import Allowed, ArmCourse, Course, LegNowShown, Now
from daemon.courses.stretches import Stretches
from daemon.courses.ticks import LOG_DIGITS, Ticks, log_of
from daemon.measurements import PodsState, Reading, Watch, observed_share

MOST_COURSES: Final = 1000
_WORDS: Final[Mapping[str, str]] = {leg.name: leg.words for leg in LEGS}
_UNITS: Final[Mapping[str, str]] = {leg.name: leg.unit for leg in LEGS}


@dataclass(slots=True, kw_only=True)
class Drawn:
    """One watch, tick after tick. Mutable, since every tick adds to it.

    Attributes:
        policy: null: not known.
        alone: only the canary is watched.
        legs: each quantity at the last tick; empty once there is a verdict, which tells of them.
    """

    policy: Policy | None = None
    alone: bool = False
    boundary: float | None = None
    legs: Mapping[str, LegNow] = field(default_factory=dict)
    pods_state: PodsState | None = None
    _ticks: Ticks = field(default_factory=Ticks)
    _stretches: Stretches = field(default_factory=Stretches)
    _pods: PodSums = field(default_factory=PodSums)
    _now: Now = field(default_factory=Now)
    _found: tuple[Finding, ...] | None = None

    def add(
        self, counted: Reading | Sample, ruling: Ruling | None, *, t: float | None = None, bounds_ms: Sequence[float] = ()
    ) -> None:
        """A tick. Without a ruling it ends at ``t``, or as much after the last one as it is long. ``bounds_ms``: once known."""
        at = self._ticks.add(counted, ruling, t=t, alone=self.alone)
        self._stretches.bounded(bounds_ms)
        self._stretches.add(at, counted.baseline, counted.canary)
        self._pods.add("baseline", counted.baseline)
        self._pods.add("canary", counted.canary)
        if ruling is not None:
            self.boundary, self.legs, self._found = ruling.boundary, ruling.legs, None
        leg, share = self._ticks.loudest(), observed_share(counted) if counted.gap is None else self._now.share
        self._now = Now(weight=counted.weight, share=share, leg=leg, words=_WORDS.get(leg, ""), gap=counted.gap or "")

    def settled(self) -> None:
        """There is a verdict, which says of each quantity what is to be said."""
        self.legs, self._found = {}, None

    @property
    def now(self) -> Now:
        """The last tick in short."""
        return self._now

    def course(self) -> Course:
        """The whole watch."""
        baseline, canary = self._ticks.rates()
        return Course(
            **self._ticks.shown(),
            boundary=self.boundary,
            beyond_boundary=None if self.policy is None else BEYOND[self.policy.evidence],
            stretches=self._stretches.ends,
            bounds_ms=[*self._stretches.bounds_ms],
            baseline=self._arm(0, baseline),
            canary=self._arm(1, canary),
            allowed=Allowed() if self.policy is None else self._stretches.allowed(self.policy.tolerances),
            pods=self._pods.shown(),
            pods_left_out=self._pods.left_out,
            pods_state=self.pods_state,
            now=tuple(_shown(name, now) for name, now in self.legs.items()),
            findings=self._said(),
        )

    def _said(self) -> tuple[Finding, ...]:
        """What each quantity says: computed once a tick at most, however many look."""
        if self._found is None:
            self._found = self.legs.findings() if isinstance(self.legs, LegsNow) else ()
        return self._found

    def _arm(self, number: int, rates: list[float | None]) -> ArmCourse:
        failed, median, tail = self._stretches.figures(number)
        counts = self._stretches.buckets(number)
        return ArmCourse(per_second=rates, failed_share=failed, median_ms=median, p99_ms=tail, buckets=counts)


class Courses:
    """Those of the watches that ticked last. Not shared between threads."""

    def __init__(self, *, most: int = MOST_COURSES) -> None:
        self._most = most
        self._kept: OrderedDict[str, Drawn] = OrderedDict()

    def ticked(self, watch: Watch, reading: Reading, ruling: Ruling | None) -> None:
        """A release has been sampled, and judged while its watch goes on."""
        if (drawn := self._kept.get(watch.release_id)) is None:
            drawn = self._kept[watch.release_id] = Drawn()
        self._kept.move_to_end(watch.release_id)
        drawn.policy, drawn.alone = watch.policy, watch.alone
        drawn.pods_state = reading.pods or drawn.pods_state
        drawn.add(reading, ruling, bounds_ms=reading.bounds_ms or ())
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def ended(self, release_id: str) -> None:
        """It has its verdict."""
        if (drawn := self._kept.get(release_id)) is not None:
            drawn.settled()

    def left(self, release_id: str) -> None:
        """It is another daemon's."""
        self._kept.pop(release_id, None)

    def now(self, release_id: str) -> Now | None:
        """The last tick in short; null where there was none."""
        drawn = self._kept.get(release_id)
        return None if drawn is None else drawn.now

    def course(self, release_id: str) -> Course:
        """The whole watch, as far as it is in memory."""
        drawn = self._kept.get(release_id)
        return Course() if drawn is None else drawn.course()


def _shown(name: str, now: LegNow) -> LegNowShown:
    evidence, beyond = round(log_of(now.e_value), LOG_DIGITS), round(log_of(now.beyond), LOG_DIGITS)
    return LegNowShown(leg=name, words=_WORDS[name], unit=_UNITS[name], effect=now.effect, log_evidence=evidence, log_beyond=beyond)
