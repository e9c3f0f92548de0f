"""What is remembered of one release's counters, and how the next reading is made of it.

The one decision: a tick counts only when every proxy that matters has answered anew. Until then nothing is consumed, so
that the tick is null and the next one covers its time as well. Nothing is lost by waiting, and no half-answer is ever taken
for a whole one. What stays away longer than its patience is given up: it carries no information, and the others go on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from daemon.errors import InvalidInput
from daemon.model import Reading
from daemon.telemetry.counters.deltas import Active, Stream, counting, make_arm, mean_interval
from daemon.telemetry.counters.histograms import LatencyFold
from daemon.telemetry.counters.snapshot import ArmView

ARMS = ("baseline", "canary")
_GROSSLY_UNEQUAL = 3.0
_PATIENCE_SPACINGS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What all releases of one reading have in common. Times are in the time base of the views.

    Attributes:
        serial: number of this reading.
        now: time of this reading.
        newest: time of the newest answer; ``now`` when there is none.
        epoch_offset: what turns a time of this base into seconds since 1970.
        answered: newest time of every target that has answered.
        before: the same at the previous reading.
        failed: targets that have not, with the reason.
        stale_after_seconds: a newest sample older than this is no information.
        patience_seconds: least time to wait for a target that has gone quiet, before going on without it.
        server_side: targets are pods.
    """

    serial: int
    now: float
    newest: float
    epoch_offset: float = 0.0
    answered: Mapping[str, float]
    before: Mapping[str, float]
    failed: Mapping[str, str] = field(default_factory=dict)
    stale_after_seconds: float
    patience_seconds: float
    server_side: bool = False

    def overdue(self, at: float, *, spacing_seconds: float) -> bool:
        """Whether a target that last answered at ``at``, and usually does so far apart, is not worth waiting for.

        Measured against the newest answer, not against our own clock, which may differ from that of the source.
        """
        patience = min(self.stale_after_seconds, max(_PATIENCE_SPACINGS * spacing_seconds, self.patience_seconds))
        return self.newest - at > patience


class Ledger:
    """One release's counters. ``advance`` is called once for each reading."""

    __slots__ = ("_latency", "_seen", "_serial", "_streams")

    def __init__(self) -> None:
        self._serial: int | None = None
        self._seen: list[frozenset[str]] = [frozenset(), frozenset()]
        self._streams: tuple[dict[str, Stream], dict[str, Stream]] = ({}, {})
        self._latency = LatencyFold()

    def advance(self, views: Sequence[Mapping[str, ArmView]], this: Round) -> Reading:
        """Make the reading of this round from both arms' views by target (baseline first)."""
        first = self._serial is None
        # A target that answered last time without a word of an arm: what it says of it now has all happened since.
        before = this.before if self._serial == this.serial - 1 else {}
        seen, self._seen = self._seen, [frozenset(arm) for arm in views]
        self._serial = this.serial
        if reason := _too_old(views, this):
            return self._gap(reason)
        try:
            reading = self._count(views, this, before=before, seen=seen)
        except InvalidInput as error:
            # Only latency raises here. Its numbers begin anew; the counters are held, so that they lose nothing.
            self._latency.restart(self._streams, views)
            return self._gap(f"{error.path}: {error.message}; its buckets start anew")
        return self._gap("first reading: counting starts here") if first and this.answered else reading

    def gap(self, reason: str) -> Reading:
        """The reading of a round in which there was nothing that can be used. Nothing is forgotten."""
        return self._gap(reason)

    def _count(
        self,
        views: Sequence[Mapping[str, ArmView]],
        this: Round,
        *,
        before: Mapping[str, float],
        seen: Sequence[frozenset[str]],
    ) -> Reading:
        complete = [_complete(views[arm], self._streams[arm], this) for arm in (0, 1)]
        for arm in (0, 1):
            if reason := _waits_for(ARMS[arm], self._streams[arm], complete[arm], this):
                return self._gap(reason)
        active = [counting(self._streams[arm], complete[arm], before=before, seen=seen[arm]) for arm in (0, 1)]
        reasons = [_silence(ARMS[arm], active[arm], complete[arm], this, known=bool(self._streams[arm])) for arm in (0, 1)]
        if reason := reasons[0] or reasons[1]:
            self._commit(complete, active)
            self._latency.restart(self._streams, complete)
            return self._gap(reason)
        seconds = [mean_interval(one) for one in active]
        if max(seconds) > _GROSSLY_UNEQUAL * min(seconds):
            return self._gap(f"unequal clocks: the baseline covers {seconds[0]:.3g} s, the canary {seconds[1]:.3g} s")
        latency = self._latency.fold(active, now=this.now)
        baseline, canary = (make_arm(arm, new, server_side=this.server_side) for arm, new in zip(active, latency, strict=True))
        self._commit(complete, active)
        return Reading(
            seconds=round(sum(seconds) / 2, 6),
            baseline=baseline,
            canary=canary,
            bounds_ms=self._latency.bounds_ms,
            at=_newest(complete) + this.epoch_offset,
        )

    def _commit(self, complete: Sequence[Mapping[str, ArmView]], active: Sequence[Sequence[Active]]) -> None:
        """Take what was counted as the past. Streams that are not complete were given up and are dropped."""
        streams: list[dict[str, Stream]] = []
        for views, counted in zip(complete, active, strict=True):
            kept = {}
            for one in counted:
                one.stream.advance(one.view, restarted=one.grown.restarted)
                kept[one.target] = one.stream
            for target, view in views.items():
                if target not in kept:
                    kept[target] = Stream.joining(view)
                    self._latency.join(kept[target], view)
            streams.append(kept)
        self._streams = (streams[0], streams[1])

    def _gap(self, reason: str) -> Reading:
        return Reading(seconds=0.0, gap=reason, bounds_ms=self._latency.bounds_ms)


def _too_old(views: Sequence[Mapping[str, ArmView]], this: Round) -> str | None:
    times = [view.at for arm in views for view in arm.values()]
    if not times:
        return None
    age = this.now - max(times)
    return f"stale: the newest sample is {age:.0f} s old" if age > this.stale_after_seconds else None


def _complete(views: Mapping[str, ArmView], streams: Mapping[str, Stream], this: Round) -> dict[str, ArmView]:
    """The views that say something new: of known streams, and of targets that are new and alive.

    A known target that has answered without a word of this arm says just that: an empty view.
    """
    complete = {}
    for target, view in views.items():
        stream = streams.get(target)
        if view.at > stream.at if stream else not this.overdue(view.at, spacing_seconds=view.spacing_seconds):
            complete[target] = view
    for target, stream in streams.items():
        answered = this.answered.get(target)
        if target not in views and answered is not None and answered > stream.at:
            complete[target] = ArmView(at=answered, spacing_seconds=stream.spacing_seconds)
    return complete


def _waits_for(arm: str, streams: Mapping[str, Stream], complete: Mapping[str, ArmView], this: Round) -> str | None:
    for target, stream in streams.items():
        if target not in complete and not this.overdue(stream.at, spacing_seconds=stream.spacing_seconds):
            return this.failed.get(target) or f"{arm}: no new scrape of {target or 'its series'} yet"
    return None


def _silence(arm: str, active: Sequence[Active], complete: Mapping[str, ArmView], this: Round, *, known: bool) -> str | None:
    """Why nothing can be said of an arm, if so."""
    if any(one.view.counters for one in active):
        return None
    if any(view.counters for view in complete.values()):
        return f"{arm}: first sight of its series"
    reason = f"{arm}: its series have vanished" if known else f"{arm}: no series yet"
    return "; ".join([reason, *list(this.failed.values())[:1]])


def _newest(complete: Sequence[Mapping[str, ArmView]]) -> float:
    return max(view.at for arm in complete for view in arm.values())
