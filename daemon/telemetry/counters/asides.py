"""What a target says of itself rather than of an arm: how many requests its policy filter has denied, and since when it runs.

Both are optional. A target that says nothing of them makes no tick null: its denials are then none, its age is unknown.
"""

from collections.abc import Collection as AbstractCollection
from collections.abc import Mapping
from dataclasses import dataclass, field

from daemon.telemetry.counters.differencing import whole

_SAME_SCRAPE_SECONDS = 0.0005


@dataclass(slots=True)
class Aside:
    """One target's own series.

    Attributes:
        denied: samples (time and value) of its counters of denied requests, by series.
        born: when its process began, in the time base of the samples.
    """

    denied: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    born: float | None = None

    def deny(self, series: str, value: float, *, at: float) -> None:
        """Take one sample of a counter of denied requests."""
        self.denied.setdefault(series, []).append((at, value))

    def denied_at(self, at: float) -> dict[str, int]:
        """The counters of the scrape made at ``at``; raises ``InvalidInput`` when one is no count.

        Of that scrape alone: requests are counted without those denied, so that both must be of one moment.
        """
        return {
            series: whole(value, path=series)
            for series, samples in self.denied.items()
            for when, value in samples
            if abs(when - at) <= _SAME_SCRAPE_SECONDS
        }


class Ages:
    """Since when each target runs, asked for when a target is new and now and then, and advanced by the clock in between.

    Args:
        refresh_seconds: how often all are asked for again: a process that has begun anew is otherwise not noticed.
    """

    def __init__(self, *, refresh_seconds: float) -> None:
        self._refresh_seconds = refresh_seconds
        self._born: dict[str, float] = {}
        self._asked: set[str] = set()
        self._fresh_since = -1.0e18

    def due(self, targets: AbstractCollection[str], *, now: float) -> bool:
        """Whether to ask now. A target that has not said is not asked again before the others are."""
        return now - self._fresh_since >= self._refresh_seconds or not self._asked.issuperset(targets)

    def asked(self, targets: AbstractCollection[str], asides: Mapping[str, Aside], *, now: float) -> None:
        """These targets have been asked for, and what they said. What those that are gone said is forgotten."""
        self._born = {target: aside.born for target, aside in asides.items() if aside.born is not None}
        self._asked = set(targets)
        self._fresh_since = now

    def into(self, asides: dict[str, Aside]) -> None:
        """Add what is known to what the targets have said at this tick."""
        for target, born in self._born.items():
            asides.setdefault(target, Aside()).born = born
