"""Counters of those who ask that move as no process's do: sums over pods, by what can be told of them from the numbers alone.

Those who ask have both arms' counters in one process, which begin anew together. A sum that keeps a label of a single target
looks like one of them, until a pod leaves it.
"""

from collections.abc import Sequence
from typing import Final

from daemon.telemetry.counters.deltas import TargetDelta

MEND: Final = "keep the labels pod and instance, or ask the Prometheus that scrapes the pods"
_TOO_MANY_FOR_A_TICK = 1000
"""Requests that a process that has just begun has not had yet, so that its counters would stand where they stood before."""


class Jumps:
    """What one release's counters have shown of it."""

    def __init__(self) -> None:
        self._fallen: dict[tuple[int, str], int] = {}

    def reason(self, counted: Sequence[Sequence[TargetDelta]]) -> str | None:
        """Why what both arms have grown by in this tick is nothing to count, if so.

        A pod that has left and comes back brings its history with it. What rises at once by as much as had fallen is taken for
        that; where the pod had left before the watch, nobody can tell.
        """
        if (target := _alone(counted)) is not None:
            for arm, deltas in enumerate(counted):
                self._fallen |= {(arm, one.target): lost for one in deltas if (lost := _moved(one, down=True))}
            return f"the counters of one version alone fell at {target}, which is no restart: are they sums over pods? {MEND}"
        for arm, deltas in enumerate(counted):
            for one in deltas:
                lost = self._fallen.get((arm, one.target), 0)
                if lost >= _TOO_MANY_FOR_A_TICK and _moved(one) >= lost:
                    del self._fallen[arm, one.target]
                    said = f"the counters at {one.target} rose at once by the {lost} that they had fallen by"
                    return f"{said}: are they sums over pods? {MEND}"
        return None


def _alone(counted: Sequence[Sequence[TargetDelta]]) -> str | None:
    """At which target the counters of one arm fell alone, if so: a pod has gone from a sum, or one arm was forgotten.

    Nobody can tell whether what is left is history.
    """
    for one, other in (counted, counted[::-1]):
        fell = {delta.target for delta in one if delta.grown.restarted}
        for delta in other:
            stood = sum(delta.counters.counters.get(series, 0) for series in delta.snapshot.counters)
            if delta.target in fell and not delta.grown.restarted and stood >= _TOO_MANY_FOR_A_TICK:
                return delta.target
    return None


def _moved(one: TargetDelta, *, down: bool = False) -> int:
    """By how much a target's series have grown, or those that fell have fallen."""
    before = one.counters.counters
    moved = [value - before.get(series, 0) for series, (_, value) in one.snapshot.counters.items()]
    return -sum(by for by in moved if by < 0) if down else sum(moved)
