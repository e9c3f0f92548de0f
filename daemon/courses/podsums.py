"""What each pod of both arms served over a whole watch; of an arm with very many, those that came first."""

from dataclasses import dataclass, field
from typing import Final

from analyzers.counts import Arm
from daemon.courses.shapes import PodCourse

MOST_KEPT: Final = 64
MOST_SHOWN: Final = 10


@dataclass(slots=True)
class _Sums:
    requests: int = 0
    errors: int = 0
    timed: int = 0
    sum_ms: float = 0.0


@dataclass(slots=True)
class PodSums:
    """Of one watch. ``left_out``: how many pods are not shown; where more came than are kept, at least so many."""

    _kept: dict[tuple[str, str], _Sums] = field(default_factory=dict)
    _refused: set[tuple[str, str]] = field(default_factory=set)

    def add(self, name: str, arm: Arm | None) -> None:
        """What the pods of an arm served in a tick."""
        for pod, counts in ((arm.pods if arm is not None else None) or {}).items():
            key = (name, pod)
            if key not in self._kept and sum(arm_of == name for arm_of, _ in self._kept) >= MOST_KEPT:
                if len(self._refused) < MOST_KEPT:
                    self._refused.add(key)
                continue
            sums = self._kept.setdefault(key, _Sums())
            sums.requests += counts.requests
            sums.errors += counts.errors
            if counts.latency is not None:
                sums.timed += sum(counts.latency.counts)
                sums.sum_ms += counts.latency.sum_ms

    def shown(self) -> tuple[PodCourse, ...]:
        """The busiest of each arm, the canary's first."""
        found: list[PodCourse] = []
        for arm in ("canary", "baseline"):
            mine = [(pod, sums) for (of, pod), sums in self._kept.items() if of == arm]
            mine.sort(key=lambda one: (-one[1].requests, one[0]))
            found += (_shown(arm, pod, sums) for pod, sums in mine[:MOST_SHOWN])
        return tuple(found)

    @property
    def left_out(self) -> int:
        """How many more there were, at least."""
        return len(self._kept) + len(self._refused) - len(self.shown())


def _shown(arm: str, pod: str, sums: _Sums) -> PodCourse:
    mean = round(sums.sum_ms / sums.timed, 2) if sums.timed else None
    return PodCourse(arm=arm, pod=pod, requests=sums.requests, errors=sums.errors, mean_ms=mean)
