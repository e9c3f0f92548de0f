"""From what a source has collected to the readings of all releases, and what is remembered in between.

The one decision: a tick counts only when every target of the canary has answered anew, and some of the baseline. Until then
nothing is consumed, so that the tick is null and the next one covers its time as well. Nothing is lost by waiting. The
baseline's other targets are not waited for: each has a phase of its own, and what they have served is of the next tick. What
stays away longer than its patience is given up: it carries no information, and the others go on.
Which scrape of the baseline's that is, is ``pairing``'s to say.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

import msgspec

from analyzers.counts import Arm, Pod
from daemon.errors import InvalidInput
from daemon.measurements import Reading, Watch
from daemon.telemetry.counters.collection import Collection
from daemon.telemetry.counters.deltas import ScrapeRound, TargetCounters, TargetDelta, begun, deltas, mean_seconds, newer, silent
from daemon.telemetry.counters.histograms import ArmLatency, LatencyTracker
from daemon.telemetry.counters.jumps import MEND, Jumps
from daemon.telemetry.counters.pairing import Pairing, Snapshots
from daemon.telemetry.counters.series import SeriesIndex

ARMS = ("baseline", "canary")
_GROSSLY_UNEQUAL = 3.0
_SLOWEST_SECONDS = 60.0
"""Between two scrapes, as far as is usual."""
NO_SERIES = "no series yet"
STALE = "stale: "
SEVERAL_CLUSTERS = "its series are of several clusters"
"""Reasons of gaps begin so, or hold this."""
SUMS = "the counters are sums over several pods, which jump when one of them goes or comes"
_ONE_CLUSTER = "set matchers of this telemetry to the one that counts, as in {cluster: prod}, or name it in the release"


class DeltaTracker:
    """One release's counters. ``advance`` is called once for each reading.

    Attributes:
        unusable: why errors are judged without latencies; empty where they are not.

    Args:
        server_side: targets are pods.
    """

    __slots__ = (
        "_assumed",
        "_began",
        "_begun",
        "_jumps",
        "_known",
        "_latency",
        "_met",
        "_pairing",
        "_serial",
        "_server_side",
        "_without",
        "unusable",
    )

    def __init__(self, *, server_side: bool = False) -> None:
        self._server_side = server_side
        self._serial: int | None = None
        self._began = math.inf
        self._met: tuple[set[str], set[str]] = (set(), set())
        self._begun: tuple[dict[str, float], dict[str, float]] = ({}, {})
        self._known: tuple[dict[str, TargetCounters], dict[str, TargetCounters]] = ({}, {})
        self._pairing = Pairing()
        self._jumps = Jumps()
        self._latency = LatencyTracker()
        self._without = False
        self._assumed = False
        self.unusable = ""

    def followed(self, arm: int) -> Mapping[str, AbstractSet[int]]:
        """The forms of the series that were there last time, by target."""
        return {target: counters.forms for target, counters in self._known[arm].items()}

    def relabelled(self) -> None:
        """Its arms have other pods from now on: what was not seen at the last reading may have been there nevertheless."""
        if self._serial is not None:
            self._serial = -1

    def advance(self, arms: Sequence[Snapshots], this: ScrapeRound) -> Reading:
        """Make the reading of this round from what is there of both arms (baseline first)."""
        first = self._serial is None
        if first:
            self._began = this.now
        self._meet(arms, before=this.before if self._serial == this.serial - 1 else {})
        self._serial = this.serial
        self._assume(arms, this)
        if reason := _too_old(arms, this):
            return self.gap(reason)
        try:
            reading = self._count(arms, this)
        except InvalidInput as error:
            # Only latency raises here. Its numbers begin anew; the counters are held, so that they lose nothing.
            self._latency.restart(arms)
            return self.gap(f"{error.path}: {error.message}; its buckets start anew")
        return self.gap("first reading: counting starts here") if first and this.answered else reading

    def gap(self, reason: str) -> Reading:
        """The reading of a round in which there was nothing that can be used. Nothing is forgotten."""
        return Reading(seconds=0.0, gap=reason, bounds_ms=self._latency.bounds_ms)

    def _meet(self, arms: Sequence[Snapshots], *, before: Mapping[str, float]) -> None:
        """Remember, of targets that show an arm for the first time, since when all of it has happened, if that is known.

        One that answered just before without a word of the arm: since then.
        """
        for met, began, arm in zip(self._met, self._begun, arms, strict=True):
            for target in arm.keys() - met:
                met.add(target)
                since = before.get(target, math.inf)
                found = since if since < arm[target].at else begun(arm[target], watched_since=self._began)
                if found is not None:
                    began[target] = found

    def _assume(self, arms: Sequence[Snapshots], this: ScrapeRound) -> None:
        """Of a target that was met once it is not known how far apart its samples are: as the slowest other's of the release."""
        assumed, self._assumed = self._assumed, any(target in this.unpaced for known in self._known for target in known)
        if not (assumed or self._assumed):
            return
        paced = [{target: one.spacing_seconds for target, one in arm.items() if target not in this.unpaced} for arm in arms]
        slowest = max((spacing for arm in paced for spacing in arm.values()), default=_SLOWEST_SECONDS)
        for known, spacings in zip(self._known, paced, strict=True):
            for target, one in known.items():
                one.spacing_seconds = slowest if target in this.unpaced else spacings.get(target, one.spacing_seconds)

    def _count(self, arms: Sequence[Snapshots], this: ScrapeRound) -> Reading:
        found = self._found(arms, this)
        if isinstance(found, str):
            return self.gap(found)
        counted = self._deltas(found)
        reasons = [_nothing(ARMS[arm], counted[arm], found[arm], this, known=bool(self._known[arm])) for arm in (0, 1)]
        # What has grown is asked only where both arms have.
        reason = reasons[0] or reasons[1] or _history(counted, this, watched_since=self._began)
        if reason := reason or (None if self._server_side else self._jumps.reason(counted)):
            # Who asks shows both arms in one scrape: no canary comes after it.
            if self._server_side and reason == reasons[1]:
                found = (self._pairing.without_canary(found[0], known=self._known[0]), found[1])
            self._pass_over(found, this)
            return self.gap(reason)
        seconds = [mean_seconds(one) for one in counted]
        if max(seconds) > _GROSSLY_UNEQUAL * min(seconds):
            return self.gap(f"unequal clocks: the baseline covers {seconds[0]:.3g} s, the canary {seconds[1]:.3g} s")
        latency = self._folded(arms, counted, this)
        baseline, canary = (make_arm(arm, new, server_side=self._server_side) for arm, new in zip(counted, latency, strict=True))
        self._commit(found, counted, this)
        self._pairing.counted()
        return Reading(
            seconds=round(sum(seconds) / 2, 6),
            baseline=baseline,
            canary=canary,
            bounds_ms=self._latency.bounds_ms,
            at=max(snapshot.at for arm in found for snapshot in arm.values()) + this.epoch_offset,
        )

    def _found(self, arms: Sequence[Snapshots], this: ScrapeRound) -> tuple[Snapshots, Snapshots] | str:
        """What is new of both arms, or who is waited for."""
        one_process = self._server_side
        baseline, canary = (newer(arm, known, this, one_process=one_process) for arm, known in zip(arms, self._known, strict=True))
        target, other = (silent(self._known[0], baseline, this, some_do=True), silent(self._known[1], canary, this, some_do=False))
        if target is not None and other is None:
            self._pairing.waits(canary, now=this.now)
        for arm, name in ((0, target), (1, other)):
            if name is not None:
                return this.failed.get(name) or f"{ARMS[arm]}: no new scrape of {name or 'its series'} yet"
        if self._pairing.worth_waiting(canary, now=this.now):
            return "canary: no new scrape yet, and one is due: it is waited for"
        passed, counted = self._pairing.with_canary(baseline, canary=canary, known=self._known[0], this=this)
        if passed:
            self._pass_over((passed, {}), this)
        return counted, canary

    def _deltas(self, found: Sequence[Snapshots]) -> list[list[TargetDelta]]:
        return [deltas(self._known[arm], found[arm], begun=self._begun[arm]) for arm in (0, 1)]

    def _pass_over(self, found: Sequence[Snapshots], this: ScrapeRound) -> None:
        """Go on from here, and count nothing."""
        self._commit(found, self._deltas(found), this)
        self._latency.restart(found)

    def _folded(
        self, arms: Sequence[Snapshots], counted: Sequence[Sequence[TargetDelta]], this: ScrapeRound
    ) -> tuple[ArmLatency | None, ArmLatency | None]:
        """New latencies of both arms.

        Raises:
            InvalidInput: they cannot be used. Where they could not be the last time either, there are none instead: that errors
                are judged does not wait for it any longer.
        """
        without, self._without, self.unusable = self._without, False, ""
        try:
            for snapshot in (one.snapshot for arm in counted for one in arm):
                if snapshot.unusable is not None:
                    raise snapshot.unusable
            return self._latency.fold([{one.target: one.snapshot for one in arm} for arm in counted], now=this.now)
        except InvalidInput as error:
            self._without = True
            if not without:
                raise
            self.unusable = str(error)
            self._latency.restart(arms)
            return None, None

    def _commit(self, found: Sequence[Snapshots], counted: Sequence[Sequence[TargetDelta]], this: ScrapeRound) -> None:
        """Take what was counted as the past. Targets that have said nothing new are forgotten when they are overdue, or gone."""
        known: list[dict[str, TargetCounters]] = []
        for before, kept_back, snapshots, arm in zip(self._known, (self._pairing.kept, {}), found, counted, strict=True):
            kept = {
                target: one
                for target, one in before.items()
                if target not in snapshots
                and not _overdue(target, kept_back.get(target, one).at, this, spacing_seconds=one.spacing_seconds)
            }
            for one in arm:
                one.counters.advance(one.snapshot, restarted=one.grown.restarted)
                kept[one.target] = one.counters
            for target, snapshot in snapshots.items():
                if target not in kept:
                    kept[target] = TargetCounters.joining(snapshot)
            known.append(kept)
        self._known = (known[0], known[1])
        for began, snapshots in zip(self._begun, found, strict=True):
            for target in began.keys() & snapshots.keys():
                del began[target]
        awaited = [known.keys() - snapshots.keys() for known, snapshots in zip(self._known, found, strict=True)]
        self._latency.keep(found, counted=[{one.target for one in arm} for arm in counted], awaited=awaited)


class CounterState:
    """What is remembered of all watched releases."""

    def __init__(self, index: SeriesIndex) -> None:
        self._index = index
        self._trackers: dict[str, DeltaTracker] = {}
        self._watches: dict[str, Watch] = {}

    def open(self, watches: Sequence[Watch]) -> None:
        """Remember the counters of these. A release that is not what it was, or is known by other labels, begins anew."""
        changed = [watch for watch in watches if self._watches.get(watch.release_id) is not watch]
        told = {watch.release_id: self._by(watch.release_id) for watch in changed}
        self._index.watch(watches)
        for watch in changed:
            release_id, known = watch.release_id, self._watches.get(watch.release_id)
            same = known is not None and (known.release is watch.release or known.release == watch.release)
            if not same or told[release_id] != self._by(release_id):
                arms = self._index.arms.get(release_id)
                self._trackers[release_id] = DeltaTracker(server_side=arms is not None and arms[0].view.server_side)
            elif known is not None and known.pods is not watch.pods and known.pods != watch.pods:
                self._trackers[release_id].relabelled()
            self._watches[release_id] = watch

    def _by(self, release_id: str) -> tuple[str, ...]:
        known = self._index.known.get(release_id)
        return () if known is None else known.by

    def close(self, release_id: str) -> None:
        """Forget a release."""
        self._trackers.pop(release_id, None)
        self._watches.pop(release_id, None)

    def unusable(self) -> dict[str, str]:
        """Releases whose errors are judged without latencies, and why."""
        return {release_id: tracker.unusable for release_id, tracker in self._trackers.items() if tracker.unusable}

    def trackers(self, watches: Iterable[Watch]) -> dict[str, DeltaTracker]:
        """Those of these releases; one may have ended, and been closed, while its source was being asked."""
        return {watch.release_id: self._trackers[watch.release_id] for watch in watches if watch.release_id in self._trackers}

    def readings(self, trackers: Mapping[str, DeltaTracker], collected: Collection, this: ScrapeRound) -> dict[str, Reading]:
        """The readings of what was collected. May be called in a thread; nothing else may touch these trackers meanwhile."""
        found = {release_id: self._reading(release_id, tracker, collected, this) for release_id, tracker in trackers.items()}
        if (cadence_of := collected.cadence_of) is None:
            return found
        return {
            release_id: msgspec.structs.replace(reading, cadence=cadence_of(self._targets(release_id, collected)))
            for release_id, reading in found.items()
        }

    def _targets(self, release_id: str, collected: Collection) -> list[str]:
        """Those that have shown something of its arms."""
        arms = self._index.arms.get(release_id, ())
        return [target for arm in arms for target in collected.builders.get(arm, ())]

    def _reading(self, release_id: str, tracker: DeltaTracker, collected: Collection, this: ScrapeRound) -> Reading:
        if (reason := self._index.unknowable.get(release_id) or collected.unknown.get(release_id)) is not None:
            return tracker.gap(reason)
        arms, watch = self._index.arms[release_id], self._watches.get(release_id)
        alone = watch is not None and watch.alone
        try:
            snapshots = [collected.snapshots(arm, followed=tracker.followed(number)) for number, arm in enumerate(arms)]
        except InvalidInput as error:
            return tracker.gap(f"unusable numbers: {error.message} ({error.path})")
        if alone:
            snapshots[0] = {}
        if (reason := _summed(snapshots, collected, server_side=arms[0].view.server_side)) is not None:
            return tracker.gap(reason)
        clusters = {collected.clusters.get(target, "") for arm in snapshots for target in arm}
        if len(clusters) > 1:
            # In a thread: it may have ended meanwhile, and the reading is nobody's then.
            wanted = None if watch is None else watch.release.cluster
            if wanted not in clusters:
                those = ", ".join(sorted(repr(cluster) for cluster in clusters))
                return tracker.gap(f"{SEVERAL_CLUSTERS} ({those}), none of which is the release's ({wanted!r}); {_ONE_CLUSTER}")
            snapshots = [{t: one for t, one in arm.items() if collected.clusters.get(t, "") == wanted} for arm in snapshots]
        reading = _of_one(tracker, snapshots[1], this) if alone else tracker.advance(snapshots, this)
        for number, arm in enumerate(ARMS):
            if (reading.gap or "").startswith(f"{arm}: {NO_SERIES}") and (near := collected.nearby.get((release_id, number))):
                return msgspec.structs.replace(reading, gap=f"{reading.gap}: {near}")
        return reading


def _of_one(tracker: DeltaTracker, canary: Snapshots, this: ScrapeRound) -> Reading:
    """The reading of a canary alone: it is counted beside itself, so that all is as ever and nobody else is waited for."""
    reading = tracker.advance([canary, canary], this)
    gap = None if reading.gap is None else reading.gap.replace(f"{ARMS[0]}: ", f"{ARMS[1]}: ", 1)
    return msgspec.structs.replace(reading, baseline=None, gap=gap)


def _summed(arms: Sequence[Snapshots], collected: Collection, *, server_side: bool) -> str | None:
    """Why the counters are none of single pods, if so."""
    if not collected.labelled:
        return None
    if any(target in collected.summed for arm in arms for target in arm):
        return f"{SUMS}: they carry neither pod nor instance; {MEND}"
    if server_side and (both := arms[0].keys() & arms[1].keys()):
        return f"{SUMS}: {min(both)} shows both versions; {MEND}"
    return None


def make_arm(counted: Sequence[TargetDelta], latency: ArmLatency | None, *, server_side: bool) -> Arm:
    """The arm's counts in this tick; by pod as well where targets are pods."""
    requests = failed = denied = unanswered = unclassified = 0
    for one in counted:
        requests += one.requests
        failed += one.failed
        denied += one.denied
        unanswered += one.grown.unanswered
        unclassified += one.grown.unclassified
    return Arm(
        requests=requests,
        errors=failed,
        denied=denied,
        unanswered=unanswered,
        unclassified=unclassified,
        latency=None if latency is None else latency.latency,
        pods=_pods(counted, latency) if server_side else None,
    )


def _pods(counted: Sequence[TargetDelta], latency: ArmLatency | None) -> dict[str, Pod]:
    pods: dict[str, Pod] = {}
    for one in counted:
        if not one.snapshot.counters:
            continue
        name = one.snapshot.pod if one.snapshot.pod and one.snapshot.pod not in pods else one.target
        pods[name] = Pod(
            requests=one.requests,
            errors=one.failed,
            denied=one.denied,
            latency=None if latency is None else latency.by_target.get(one.target),
            age_seconds=one.age_seconds,
        )
    return pods


def _too_old(arms: Sequence[Snapshots], this: ScrapeRound) -> str | None:
    times = [snapshot.at for arm in arms for snapshot in arm.values()]
    if not times:
        return None
    age = this.now - max(times)
    return f"{STALE}the newest sample is {age:.0f} s old" if age > this.stale_after_seconds else None


def _overdue(target: str, at: float, this: ScrapeRound, *, spacing_seconds: float) -> bool:
    return this.gone(target) or this.overdue(target, at, spacing_seconds=spacing_seconds)


def _history(counted: Sequence[Sequence[TargetDelta]], this: ScrapeRound, *, watched_since: float) -> str | None:
    """Why what has grown is of before the watch, if so: where samples come late, those of the watch are not there at its start."""
    newest = min(max(one.snapshot.at for one in arm) for arm in counted)
    if newest >= watched_since:
        return None
    return f"the newest samples are {this.now - newest:.0f} s old, of before the watch: they come so late, or the clocks differ"


def _nothing(arm: str, counted: Sequence[TargetDelta], found: Snapshots, this: ScrapeRound, *, known: bool) -> str | None:
    """Why nothing can be said of an arm, if so."""
    if any(one.snapshot.counters for one in counted):
        return None
    if any(snapshot.counters for snapshot in found.values()):
        return f"{arm}: first sight of its series"
    reason = f"{arm}: its series have vanished" if known else f"{arm}: {NO_SERIES}"
    return "; ".join([reason, *list(this.failed.values())[:1]])
