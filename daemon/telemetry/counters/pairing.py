"""Which scrape of the baseline a scrape of the canary is counted with, where all of the baseline is scraped at one moment.

Both arms are counted in the same ticks, up to a scrape of each. So a scrape of the canary waits until there is one of the
baseline that no tick has used yet. It need not be newer than the canary's: one from within the spacing before it covers the same
time but for less than a spacing, as one from after it does, and that one is not there yet. What must not be is that it was used
up for nothing: the canary's next scrape then waits for the baseline's next, and so does each one after it, all through the watch,
which is up to one spacing more for which a failing canary hurts. Three rules see to that. None of them splits what a scrape
shows, counts any of it twice, or looks at how requests ended, which would be choosing what evidence is made of.

- While there is no canary that can be counted, the baseline goes on up to the scrape before its newest: that one is kept.
- When the canary is there, it is counted with the newest of the baseline's that is no newer than its own; where there is such a one
  after the kept one, all up to the kept one is left out, as it would have been without a canary.
- A canary that has waited for more than half of its spacing (its first scrape was there before any of the baseline's, or one of
  those was lost) has its own next scrape before long: that is waited for, once, and the tick has both of them. From then on the
  baseline's is there first. Where the wait is shorter, so much would not be won.
"""

import math
from collections.abc import Mapping

import msgspec

from daemon.telemetry.counters.deltas import ScrapeRound, TargetCounters, newer
from daemon.telemetry.counters.snapshot import ArmSnapshot

_WORTH_SPACINGS = 0.5
_DUE_SPACINGS = 1.2
_AT_ONCE_SPACINGS = 0.05
"""Scrapes that are so near each other are as good as of one moment."""

Snapshots = Mapping[str, ArmSnapshot]
"""Of one arm, by target."""


class _Wait(msgspec.Struct, frozen=True, gc=False):
    """All of the canary has been there since some moment, with these newest times of its targets; none of the baseline was."""

    since: float
    spacing_seconds: float
    newest: Mapping[str, float]


class Pairing:
    """One release's.

    Attributes:
        kept: the newest scrape of each of the baseline's targets, where it is taken as counted up to the one before.
    """

    __slots__ = ("_wait", "kept")

    def __init__(self) -> None:
        self.kept: dict[str, ArmSnapshot] = {}
        self._wait: _Wait | None = None

    def waits(self, canary: Snapshots, *, now: float) -> None:
        """All of the canary is there, and none of the baseline."""
        spacing_seconds = max((one.spacing_seconds for one in canary.values()), default=0.0)
        if self._wait is None and spacing_seconds:
            self._wait = _Wait(now, spacing_seconds, {target: one.at for target, one in canary.items()})

    def worth_waiting(self, canary: Snapshots, *, now: float) -> bool:
        """Both are there now: whether the canary's next scrape is waited for."""
        wait = self._wait
        if wait is None or all(one.at > wait.newest.get(target, -math.inf) for target, one in canary.items()):
            return False
        return _WORTH_SPACINGS * wait.spacing_seconds < now - wait.since < _DUE_SPACINGS * wait.spacing_seconds

    def without_canary(self, baseline: Snapshots, *, known: Mapping[str, TargetCounters]) -> Snapshots:
        """Up to where the baseline's targets are taken as counted: those of which there is something to be left out."""
        behind: dict[str, ArmSnapshot] = {}
        for target, snapshot in baseline.items():
            before, self.kept[target] = self.kept.get(target), snapshot
            if target not in known:
                behind[target] = snapshot
            elif before is not None and before.at < snapshot.at:
                behind[target] = before
        return behind

    def with_canary(
        self, baseline: Snapshots, *, canary: Snapshots, known: Mapping[str, TargetCounters], this: ScrapeRound
    ) -> tuple[Snapshots, Snapshots]:
        """What of the baseline is left out, and what is then counted of it."""
        kept = {target: one for target, one in self.kept.items() if target in known}
        fresh = {target: one for target, one in baseline.items() if target not in kept or one.at > kept[target].at}
        if not (kept and any(one.counters for one in canary.values()) and any(one.counters for one in fresh.values())):
            return {}, baseline
        at = max(one.at + _AT_ONCE_SPACINGS * one.spacing_seconds for one in canary.values())
        if all(one.at > at for one in fresh.values()) and (unused := newer(kept, known, this)):
            return {}, unused
        self.kept.clear()
        return kept, fresh

    def counted(self) -> None:
        """A tick has used what was there."""
        self.kept.clear()
        self._wait = None
