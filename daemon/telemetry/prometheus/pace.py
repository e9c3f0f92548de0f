"""How far apart a source's samples are and how late they come, learnt target by target from the samples' own times.

Two things follow from it: how far back to ask, so that two samples of every target are met however late they are, and when to
ask next, right after there can be something new. Times are in seconds since 1970, of the samples and of our clock, so that a
clock that is wrong counts as lateness.
"""

import math
from collections.abc import Iterable

import msgspec

from daemon.measurements import Cadence
from daemon.telemetry.counters.settling import PARTS_SECONDS

_SPACINGS = 2.5
_SLACK_SECONDS = 1.0
_FIRST_LOOK_SECONDS = 30.0
_WIDER = 2.5
_WIDE_SECONDS = 130.0
"""Beyond what is usual: two samples of the slowest usual scrape (60 s), and a little."""
_WIDE_EVERY = 10
_GAPS_KEPT = 3
_HOPE_SECONDS = 20.0
"""A target of which no new sample comes for so long is dead, or was so when it was met first."""
_FINE_SECONDS = 1.0
_MARGIN_SECONDS = 0.2
_LOST_SECONDS = 3600.0
_FOLLOWED_TARGETS = 16
"""With more targets than these there is something new all the time."""


class Rhythm(msgspec.Struct, gc=False):
    """One target's samples: when the newest was taken, how far apart they are, how long one takes to be there.

    Attributes:
        at: time of the newest sample.
        gaps: the last few distances between two samples.
        spacing_seconds: how far apart its samples are: the least of the gaps, since a scrape may be missed; 0 while not known.
        absent_seconds, there_seconds: ages at which a sample was seen not to be there yet, and to be there.
        met: when it was met first, by our clock.
        looked: when it was last looked for as far back as it is.
        lost_seconds: how far apart two samples were of which only one can be seen at a time; 0: both could.
        apart_seconds: the same, where it was so twice in a row: once it may have been away.
    """

    at: float
    met: float
    looked: float
    gaps: tuple[float, ...] = ()
    spacing_seconds: float = 0.0
    absent_seconds: float = -math.inf
    there_seconds: float = math.inf
    lost_seconds: float = 0.0
    apart_seconds: float = 0.0

    @property
    def known(self) -> bool:
        """Whether a sample has been seen to come."""
        return self.absent_seconds > -math.inf

    @property
    def reach_seconds(self) -> float:
        """How far back from now two of its samples are, and how old the newest may be; 0 while nobody knows that it is alive."""
        if self.known:
            return self.there_seconds + _SPACINGS * self.spacing_seconds
        hopeless = self.looked - self.met > max(_HOPE_SECONDS, _SPACINGS * self.spacing_seconds)
        return 0.0 if hopeless else max(0.0, self.looked - self.at) + _SPACINGS * self.spacing_seconds

    def apart(self, gap_seconds: float) -> None:
        """Two samples that follow each other are so far apart."""
        self.gaps = (*self.gaps, gap_seconds)[-_GAPS_KEPT:]
        self.spacing_seconds = min(self.gaps)

    def came(self, at: float, *, before: float | None, now: float) -> None:
        """A newer sample is there. ``before`` is the one before it in the same answer."""
        gap = at - (self.at if before is None else before)
        if gap > 0.0:
            self.apart(gap)
        self.lost_seconds = self.apart_seconds = 0.0
        absent, there = self.looked - at, now - at
        self.at = at
        if there <= self.absent_seconds or absent >= self.there_seconds:
            self.absent_seconds = absent
            self.there_seconds = there
        else:
            self.absent_seconds = max(self.absent_seconds, absent)
            self.there_seconds = min(self.there_seconds, there)

    def wait_seconds(self, *, now: float, spacing_seconds: float, tick_seconds: float) -> float:
        """How long until it is worth looking for the next sample, so far after the newest. One that is not there yet is looked
        for again soon, and then less and less often: it comes some time, or never.
        """
        over = now - self._expected(spacing_seconds)
        return max(tick_seconds / 5.0, -over) if over < 0.0 else min(tick_seconds, max(_FINE_SECONDS, over))

    def _expected(self, spacing_seconds: float) -> float:
        """When the next sample can be there: when one is known to be, or as early as may be while that is known roughly only."""
        late = self.there_seconds if self.known else self.met - self.at
        if late - self.absent_seconds > _FINE_SECONDS:
            late = min(late, max(self.absent_seconds, 0.0))
        return self.at + spacing_seconds + late + _MARGIN_SECONDS


class Pace:
    """The rhythms of one source's targets.

    What all of them together are is worked out when an answer is whole: there may be 10 000s of them.

    Attributes:
        spacing_seconds: how far apart the samples of the slowest target are; 0 before anything is known.
        least_spacing_seconds: how far apart those of the fastest one are; 0 before anything is known.
        late_seconds: how late the samples of the latest target are, as far as that is known; 0 before anything is.
        later_seconds: by how much samples of a target come later than those of the most punctual one, where it is worth telling.
        unpaced: targets of which it is not known yet how far apart their samples are.

    Args:
        tick_seconds: the sampling interval, where samples come as fast.
        longest_seconds: a sample older than this is no information.
    """

    def __init__(self, *, tick_seconds: float, longest_seconds: float) -> None:
        self._tick_seconds = tick_seconds
        self._longest_seconds = longest_seconds
        self._rhythms: dict[str, Rhythm] = {}
        self._met: dict[str, tuple[float, float | None]] = {}
        self._lost: dict[str, tuple[float, float]] = {}
        self._blind_seconds = min(_FIRST_LOOK_SECONDS, longest_seconds)
        self._wide = False
        self._asked = 0
        self._reach_seconds = 0.0
        self.spacing_seconds = 0.0
        self.least_spacing_seconds = 0.0
        self.late_seconds = 0.0
        self.later_seconds: dict[str, float] = {}
        self.unpaced: frozenset[str] = frozenset()

    def spacing_of(self, target: str, *, apart: float | None = None) -> float:
        """How far apart this target's samples are; while that is not known, ``apart``, or else as the slowest's."""
        rhythm = self._rhythms.get(target)
        return (rhythm.spacing_seconds if rhythm else 0.0) or apart or self.spacing_seconds

    def next_seconds(self) -> tuple[float, float]:
        """How far back to ask now: for requests, and for all else, of which there is ten times as much.

        Now and then, and when somebody new is looked for, requests are asked for further back, so that targets that are scraped
        less often or come later are met too.
        """
        self._asked += 1
        usual = min(self._usual_seconds(), self._longest_seconds)
        wide, self._wide = self._wide or self._asked % _WIDE_EVERY == 0, False
        # Further than latencies, so that a series is met that is behind the others of its scrape.
        return min(usual + (_WIDE_SECONDS if wide else PARTS_SECONDS), self._longest_seconds), usual

    def widen(self) -> None:
        """Somebody is looked for who has not been met before."""
        self._wide = True

    def wider(self) -> bool:
        """Nothing at all was met: look further back from now on. False: it was looked as far back as samples count."""
        self._lose(list(self._rhythms))
        self._sum_up()
        if self._blind_seconds >= self._longest_seconds:
            return False
        self._blind_seconds = min(self._blind_seconds * _WIDER, self._longest_seconds)
        return True

    def meet(self, target: str, at: float, *, before: float | None) -> None:
        """A sample of this target, and the one before it, are in the answer."""
        self._met[target] = (at, before)

    def settled(self, target: str, at: float) -> None:
        """Of its newest sample only a part is there: the newest that is whole was taken ``at`` that time."""
        newest, before = self._met[target]
        self._met[target] = (at, None if before is None else before - (newest - at))

    def unsettled(self, target: str) -> None:
        """Of its newest sample only a part is there: the one before it is the newest that is whole."""
        met = self._met.get(target)
        if met is not None and met[1] is not None:
            self.settled(target, met[1])

    def settle(self, *, now: float) -> None:
        """The answer is whole: learn from what was met."""
        met, self._met = self._met, {}
        for target, (at, before) in met.items():
            rhythm = self._rhythms.get(target)
            if rhythm is None:
                rhythm = self._rhythms[target] = Rhythm(at, met=now, looked=now)
                if before is not None and at > before:
                    rhythm.apart(at - before)
                else:
                    self._wide = True
                    lost_at, lost_seconds = self._lost.get(target, (at, 0.0))
                    rhythm.lost_seconds = at - lost_at
                    rhythm.apart_seconds = min(lost_seconds, at - lost_at)
            elif at > rhythm.at:
                rhythm.came(at, before=before, now=now)
            rhythm.looked = now
        if met:
            self._lose([t for t, one in self._rhythms.items() if t not in met and now - one.at > self._longest_seconds])
            self._lost = {t: one for t, one in self._lost.items() if t not in met and now - one[0] < _LOST_SECONDS}
        self._sum_up()

    def _sum_up(self) -> None:
        """What all rhythms together are."""
        rhythms = self._rhythms.values()
        spacings = [one.spacing_seconds for one in rhythms]
        self.spacing_seconds = max(spacings, default=0.0)
        self.least_spacing_seconds = min(filter(None, spacings), default=0.0)
        self.unpaced = frozenset(target for target, one in self._rhythms.items() if not one.spacing_seconds)
        self._reach_seconds = max((one.reach_seconds for one in rhythms), default=0.0)
        known = {target: one.there_seconds for target, one in self._rhythms.items() if one.known}
        self.late_seconds = max(known.values(), default=0.0)
        least = min(known.values(), default=0.0)
        self.later_seconds = {target: late - least for target, late in known.items() if late - least > _FINE_SECONDS}

    def drop(self) -> None:
        """The answer was not whole."""
        self._met.clear()

    def cadence(self, targets: Iterable[str], *, ahead_seconds: float) -> Cadence | None:
        """That of a release with these targets; null where nothing is known. ``ahead_seconds``: of our clock."""
        met = [one for target in targets if (one := self._rhythms.get(target)) is not None]
        spacing_seconds = max((one.spacing_seconds or one.apart_seconds for one in met), default=0.0)
        late_seconds = max((one.there_seconds for one in met if one.known), default=0.0)
        if not (spacing_seconds or late_seconds or ahead_seconds):
            return None
        return Cadence(
            spacing_seconds=round(spacing_seconds, 1),
            late_seconds=round(late_seconds, 1),
            longest_seconds=self._longest_seconds,
            ahead_seconds=round(ahead_seconds, 1),
        )

    def _lose(self, targets: Iterable[str]) -> None:
        """Nothing of them can be seen now."""
        for target in targets:
            rhythm = self._rhythms.pop(target)
            self._lost[target] = (rhythm.at, rhythm.lost_seconds)

    def wait_seconds(self, *, now: float) -> float | None:
        """How long there can be nothing new: from now until right after the first target's next sample is there.

        Null: there may be something new at every interval.
        """
        rhythms = self._rhythms.values()
        if not rhythms or len(rhythms) > _FOLLOWED_TARGETS:
            return None
        # One that has just come is taken to be as the others are.
        spacings = {target: one.spacing_seconds or self.spacing_seconds for target, one in self._rhythms.items()}
        if min(spacings.values()) < 0.9 * self._tick_seconds:
            return None
        waits = [
            one.wait_seconds(now=now, spacing_seconds=spacings[target], tick_seconds=self._tick_seconds)
            for target, one in self._rhythms.items()
            if now - one.at <= 4.0 * spacings[target] + min(one.there_seconds, self._longest_seconds)
        ]
        return min(waits, default=self._tick_seconds)

    def _usual_seconds(self) -> float:
        if not self._rhythms:
            return self._blind_seconds
        return max(self._tick_seconds, self._reach_seconds) + _SLACK_SECONDS
