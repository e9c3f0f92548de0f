"""``verdictd_verdicts_total``: how the releases of each service ended.

Each way to end is there at 0 from the first release of the service on, so that its first rollback is an increase: a series that
appears at 1 is none for Prometheus. A service that has had no release for longest goes when there are too many.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from daemon.model import Action, Outcome, Release, Verdict

MOST_SERVICES: Final = 2_000
_LABELS: Final = ("cluster", "namespace", "service", "outcome", "action", "by")
_Way = tuple[str, str, str]
_Service = tuple[str, str, str]

WAYS: Final[tuple[_Way, ...]] = (
    *((Outcome.PROMOTE.value, Action.NONE.value, by) for by in ("judge", "person")),
    *(
        (Outcome.ROLLBACK.value, action.value, by)
        for action in (Action.REVERT, Action.NONE, Action.FAILED, Action.BLOCKED)
        for by in ("judge", "person")
    ),
    *((Outcome.INCONCLUSIVE.value, Action.NONE.value, by) for by in ("judge", "deadline", "person", "superseded")),
)
"""Outcome, action and who decided, of every verdict that there can be."""


@dataclass(frozen=True, slots=True)
class _Counted:
    """How many, and the newest of them: its release and when it was decided, in seconds since 1970."""

    count: int = 0
    newest: Exemplar | None = None


class Verdicts(Collector):
    """Counted on the event loop, collected in another thread: what is read there is replaced, not changed."""

    def __init__(self) -> None:
        self._services: OrderedDict[_Service, dict[_Way, _Counted]] = OrderedDict()

    def expect(self, release: Release) -> None:
        """A release of this service is going to end in some way."""
        key = (release.cluster or "", release.namespace, release.service)
        if key not in self._services:
            self._services[key] = dict.fromkeys(WAYS, _Counted())
        self._services.move_to_end(key)
        while len(self._services) > MOST_SERVICES:
            self._services.popitem(last=False)

    def count(self, release: Release, verdict: Verdict) -> None:
        """It has ended."""
        self.expect(release)
        ways = self._services[release.cluster or "", release.namespace, release.service]
        way = (verdict.outcome.value, verdict.action.value, verdict.by)
        newest = Exemplar({"release": verdict.release_id}, 1.0, verdict.decided_at)
        ways[way] = _Counted(ways.get(way, _Counted()).count + 1, newest)

    def collect(self) -> Iterator[Metric]:
        """A sample for each service and way."""
        family = CounterMetricFamily("verdictd_verdicts", "Verdicts; in OpenMetrics with the newest one's release.", labels=_LABELS)
        for service, ways in list(self._services.items()):
            for way, counted in list(ways.items()):
                family.add_metric((*service, *way), counted.count, exemplar=counted.newest)
        yield family
