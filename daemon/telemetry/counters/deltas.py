"""Growth of one arm's raw counters between two readings, target by target. What is there of a target is one of these cases:

==========  ====================================================  ================================================================
case        what is there                                         what is counted of the target
==========  ====================================================  ================================================================
new         nothing is remembered                                 it answered last time without a word of this arm: all it shows,
                                                                  over the time since. Else nothing: counting starts here
born        nothing was ever remembered, and its process began    all it shows, over the time since its process began
            after the first reading
begun       nothing was ever remembered, and the scrape before    all it shows, over the time since that scrape
            it, of the watch's time, had no word of this arm
known       a scrape newer than what is remembered                each series' growth: one not met before has grown from 0, one
                                                                  that has gone may come back as it was
wordless    it has answered since, without a word of this arm     no requests
silent      no newer scrape                                       canary, or all of the baseline: nothing, nor of any other
                                                                  target: the tick is null, and the next one covers its time too.
                                                                  Some of the baseline: nothing yet; its growth is of a later tick
behind      series stand a little lower than before, none of      as silent: it is older than what is remembered, whatever its
            them by more than half, not longer than a scrape      time says (two stores behind one address)
restarted   a series stands lower than before, by more than half  this series from 0, the others' growth; those that have gone
            or for longer                                         stand at 0 from then on
churned     series have gone and others have come: some have      as known
            stayed, or they differ in callers and answers only
renamed     all series have gone and others have come at once,    nothing: labels have changed, the new series hold the old
            with other labels                                     counts; counting starts here
in parts    some series are a little behind the others            all of them up to where the last of them is (``settling``)
apart       the baseline's, and there is no canary to count       nothing: the newest scrape is kept for the canary (``pairing``)
torn        some buckets are a little behind the others           as silent, until they have come; not for two scrapes in a row
late        silent, others of its arm are not, and it is a good   nothing now, and the others go on; what it has grown by when
            scrape behind the newest answer                       it is back is counted then
overdue     silent, and behind the newest answer by more than     nothing: it is forgotten, and the others go on without it
            its patience
gone        silent, and surely there no more                      nothing: it is forgotten at once
alone       those who ask show both arms, and the counters of one  nothing: the tick is null, and counting starts here
            fell while the other's went on, or rose at once by as
            much as they had fallen so (``jumps``)
copied      the pod was scraped by several: two ports, two        the scrape by the same scraper as before, no other; when that
            jobs, replicas of Prometheus                          one is overdue, counting starts at another
twice       one scrape lists a series twice with two values       nothing, nor of any other target: the tick is null
summed      its series are sums over several pods: they name      nothing, ever: when a pod goes or comes, a sum moves by the
            no pod, or both arms are at what should be one pod    whole history of it, and nobody can tell that from requests
foreign     pods of several clusters, the release's among them    those of the release's cluster only
mixed       pods of several clusters, the release's not among     nothing: the tick is null
            them
==========  ====================================================  ================================================================

What is counted is never more than what was served: where a number could mean two things, the smaller growth is taken.
The last five are sorted out before growth is looked at: in ``snapshot`` (copied, twice) and in ``readings`` (the others).
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from daemon.telemetry.counters.snapshot import ArmSnapshot, fell_a_little, whole
from daemon.telemetry.schema import Ended
from daemon.telemetry.wire import number

_PATIENCE_SPACINGS = 3.0
_LATE_SPACINGS = 1.5
_BORN_SLACK_SECONDS = 2.0
"""Uptimes are whole seconds, and are read a little after the scrape that they are of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapeRound:
    """What all releases of one reading have in common. Times are in the time base of the snapshots.

    Attributes:
        serial: number of this reading.
        now: time of this reading.
        newest: time of the newest answer; ``now`` when there is none.
        epoch_offset: what turns a time of this base into seconds since 1970.
        answered: newest time of every target that has answered.
        before: the same at the previous reading.
        failed: targets that have not, with the reason.
        there: all targets that there are, where that is known for sure: what is not among them has gone.
        stale_after_seconds: a newest sample older than this is no information.
        patience_seconds: least time to wait for a target that has gone quiet, before going on without it.
        late_seconds: by how much samples of a target usually come later than others', where they do.
        unpaced: targets of which nobody knows yet how far apart their samples are.
    """

    serial: int
    now: float
    newest: float
    epoch_offset: float = 0.0
    answered: Mapping[str, float]
    before: Mapping[str, float]
    failed: Mapping[str, str] = field(default_factory=dict)
    there: AbstractSet[str] | None = None
    stale_after_seconds: float
    patience_seconds: float
    late_seconds: Mapping[str, float] = field(default_factory=dict)
    unpaced: AbstractSet[str] = frozenset()

    def gone(self, target: str) -> bool:
        """Whether it surely is there no more."""
        return self.there is not None and target not in self.there

    def overdue(self, target: str, at: float, *, spacing_seconds: float) -> bool:
        """Whether a target that last answered at ``at``, and usually does so far apart, is not worth waiting for.

        Measured against the newest answer, not against our own clock, which may differ from that of the source.
        """
        return self._behind(target, at) > min(
            self.stale_after_seconds, max(_PATIENCE_SPACINGS * spacing_seconds, self.patience_seconds)
        )

    def late(self, target: str, at: float, *, spacing_seconds: float) -> bool:
        """Whether it has missed a scrape, as far as anybody can say."""
        return self._behind(target, at) > max(_LATE_SPACINGS * spacing_seconds, self.patience_seconds)

    def _behind(self, target: str, at: float) -> float:
        return self.newest - at - self.late_seconds.get(target, 0.0)


class Growth(NamedTuple):
    """Requests by how they ended. ``restarted``: a counter stood lower than before, so its process began anew."""

    served: int
    failed: int
    forbidden: int
    restarted: bool
    unanswered: int = 0
    unclassified: int = 0
    refused: int = 0


class TargetCounters(msgspec.Struct, gc=False, kw_only=True):
    """What is remembered of one arm at one target.

    Attributes:
        at: time of the counters.
        spacing_seconds: how far apart new ones usually are.
        counters: last value of each series, those that have gone included.
        present: the series that were there last time.
        denied: counters of the target's policy filter, those that have gone included; null while they have not been known.
        fresh: nothing was there of the arm when it was joined.
        forms: the forms of the series that were there last time.
        since: when it was joined.
    """

    at: float
    spacing_seconds: float
    since: float
    counters: dict[str, int] = msgspec.field(default_factory=dict)
    present: tuple[str, ...] = ()
    denied: Mapping[str, int] | None = None
    fresh: bool = False
    forms: AbstractSet[int] = frozenset()

    @classmethod
    def joining(cls, snapshot: ArmSnapshot) -> "TargetCounters":
        """A target whose history is not known: what its counters hold now is where counting starts."""
        return cls(
            at=snapshot.at,
            spacing_seconds=snapshot.spacing_seconds,
            since=snapshot.at,
            counters={series: value for series, (_, value) in snapshot.counters.items()},
            present=tuple(snapshot.counters),
            denied=snapshot.denied,
            forms=snapshot.forms,
        )

    def renamed(self, snapshot: ArmSnapshot) -> bool:
        """Whether all series have gone and others of another form have come at once."""
        names = snapshot.counters.keys()
        gone = bool(names and self.present) and not names <= self.counters.keys() and names.isdisjoint(self.present)
        return gone and self.forms.isdisjoint(snapshot.forms)

    def join_late(self, snapshot: ArmSnapshot) -> None:
        """Join series that were there already when their target was joined, and had not come into the store by then: as of then."""
        for series in snapshot.counters.keys() - self.counters.keys():
            then = [text for at, text in snapshot.samples.get(series, ()) if at <= self.since and text != "NaN"]
            if then:
                self.counters[series] = whole(number(then[-1], path=series), path=series)

    def advance(self, snapshot: ArmSnapshot, *, restarted: bool) -> None:
        """Take the snapshot's counters as the last ones. Series that went in a restart of the process begin again at zero."""
        if snapshot.denied is not None:
            self.denied = snapshot.denied if restarted else {**(self.denied or {}), **snapshot.denied}
        self.fresh = False
        if restarted:
            for series in self.counters.keys() - snapshot.counters.keys():
                self.counters[series] = 0
        for series, (_, value) in snapshot.counters.items():
            self.counters[series] = value
        present = tuple(snapshot.counters)
        if present != self.present:
            self.present = present
            self.forms = snapshot.forms or self.forms
        self.at = snapshot.at
        self.spacing_seconds = snapshot.spacing_seconds


class TargetDelta(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What one target adds to its arm in this tick."""

    target: str
    counters: TargetCounters
    snapshot: ArmSnapshot
    grown: Growth
    denied: int

    @property
    def seconds(self) -> float:
        """What the growth covers."""
        return self.snapshot.at - self.counters.at

    @property
    def requests(self) -> int:
        """Those that were answered, and not denied. What the policy filter denies is counted as forbidden or refused as well."""
        grown = self.grown
        return grown.served + grown.failed + grown.unclassified + max(0, grown.forbidden + grown.refused - self.denied)

    @property
    def failed(self) -> int:
        """Those that failed; of the refused ones at least so many, whichever of them and the forbidden ones were denied."""
        return self.grown.failed + max(0, self.grown.refused - self.denied)

    @property
    def age_seconds(self) -> float | None:
        """How long the target has run, where it is known."""
        return None if self.snapshot.born is None else round(max(0.0, self.snapshot.at - self.snapshot.born), 3)


def newer(
    snapshots: Mapping[str, ArmSnapshot], known: Mapping[str, TargetCounters], this: ScrapeRound, *, one_process: bool = False
) -> dict[str, ArmSnapshot]:
    """The snapshots that say something new: of known targets, and of targets that are new and alive, as far as can be known.

    ``one_process``: each target's counters are of one, and no sums, from which a pod may go.
    """
    found = {}
    for target, snapshot in snapshots.items():
        counters, spacing_seconds = known.get(target), snapshot.spacing_seconds
        if counters is not None:
            seconds = snapshot.at - counters.at
            news = seconds > (_LATE_SPACINGS * spacing_seconds if snapshot.torn else 0.0)
            news = news and not (one_process and _behind(counters, snapshot))
        else:
            news = not spacing_seconds or not this.overdue(target, snapshot.at, spacing_seconds=spacing_seconds)
        if news:
            found[target] = snapshot
    for target, counters in known.items():
        answered = this.answered.get(target)
        if target not in snapshots and answered is not None and answered > counters.at:
            found[target] = ArmSnapshot(at=answered, spacing_seconds=counters.spacing_seconds)
    return found


def _behind(known: TargetCounters, snapshot: ArmSnapshot) -> bool:
    """Whether it was read before what is remembered, whatever its time says: another store has scraped it, sooner than that one.

    A time is off by less than a scrape: counters that still stand lower when the next one has been are of a process begun anew.
    """
    if 0.0 < _LATE_SPACINGS * snapshot.spacing_seconds < snapshot.at - known.at:
        return False
    old = known.counters
    falls = [(old[series], value) for series, (_, value) in snapshot.counters.items() if value < old.get(series, 0)]
    return bool(falls) and all(fell_a_little(before, value) for before, value in falls)


def silent(
    known: Mapping[str, TargetCounters], found: Mapping[str, ArmSnapshot], this: ScrapeRound, *, some_do: bool
) -> str | None:
    """The first known target that has said nothing new and is worth waiting for; null when there is none.

    Args:
        known: what is remembered, by target.
        found: what is new, by target.
        this: the reading.
        some_do: with anything new of the arm, the others are not waited for.
    """
    alone = not any(snapshot.counters for snapshot in found.values())
    if some_do and not alone:
        return None
    for target, counters in known.items():
        if this.gone(target):
            continue
        given_up = this.overdue if alone else this.late
        if target not in found and not given_up(target, counters.at, spacing_seconds=counters.spacing_seconds):
            return target
    return None


def deltas(
    known: Mapping[str, TargetCounters], found: Mapping[str, ArmSnapshot], *, begun: Mapping[str, float]
) -> list[TargetDelta]:
    """What the targets add that can be counted: known ones, and new ones whose history is known to be none.

    Args:
        known: what is remembered, by target.
        found: what is new, by target.
        begun: since when all that a new target shows has happened, where that is known.
    """
    counted = []
    for target, snapshot in found.items():
        counters = known.get(target)
        if counters is None:
            if (since := begun.get(target)) is None:
                continue
            denied: Mapping[str, int] | None = None if snapshot.denied is None else {}
            counters = TargetCounters(at=since, spacing_seconds=snapshot.spacing_seconds, since=since, denied=denied, fresh=True)
        elif counters.renamed(snapshot):
            continue
        counters.join_late(snapshot)
        grown = growth(counters.counters, snapshot.counters)
        counted.append(
            TargetDelta(target=target, counters=counters, snapshot=snapshot, grown=grown, denied=_denied(counters, snapshot, grown))
        )
    return counted


def begun(snapshot: ArmSnapshot, *, watched_since: float) -> float | None:
    """Since when all that the snapshot shows has happened, where that is known and within the watch's time."""
    if snapshot.born is not None and snapshot.born >= watched_since + _BORN_SLACK_SECONDS:
        return min(snapshot.born, snapshot.at - _BORN_SLACK_SECONDS)
    if snapshot.absent is not None and snapshot.absent + _LATE_SPACINGS * snapshot.spacing_seconds >= watched_since:
        return snapshot.absent
    return None


_NO_GROWTH = dict.fromkeys(Ended, 0)


def growth(old: Mapping[str, int], new: Mapping[str, tuple[Ended, int]]) -> Growth:
    """Growth of one arm's counters at one target, by series. A series not in ``old`` has grown from zero."""
    grown = _NO_GROWTH.copy()
    restarted = False
    for series, (ended, value) in new.items():
        before = old.get(series, 0)
        if value < before:
            restarted = True
            before = 0
        grown[ended] += value - before
    # What has failed may be counted by two counters, and is counted once: the smaller sum is taken.
    failed = max(grown[Ended.FAILED], grown[Ended.FAILED_AMONG])
    return Growth(
        served=max(0, grown[Ended.SERVED] + grown[Ended.FAILED] - failed),
        failed=failed,
        forbidden=grown[Ended.FORBIDDEN],
        restarted=restarted,
        unanswered=grown[Ended.UNANSWERED],
        unclassified=grown[Ended.UNCLASSIFIED],
        refused=grown[Ended.REFUSED],
    )


def mean_seconds(counted: Sequence[TargetDelta]) -> float:
    """Seconds that the growth of these targets covers, each over its own interval."""
    return sum(one.seconds for one in counted) / len(counted)


def _denied(counters: TargetCounters, snapshot: ArmSnapshot, grown: Growth) -> int:
    """Requests denied since. Unknown on either side counts as none: what follows is then counted from what is first known."""
    if counters.denied is None or snapshot.denied is None:
        return 0
    old = counters.denied
    denied = sum(value - before if value >= (before := old.get(series, 0)) else value for series, value in snapshot.denied.items())
    # The filter's counters may be older than the arm: of those, only what the arm itself was denied is new.
    return min(denied, grown.forbidden + grown.refused) if counters.fresh else denied
