"""What a history tells beside the counters: how long a scrape took before it could be read, and which weight the route had.

Both are optional. What the series do not tell is left unknown, and never made up of what is there.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from daemon.errors import PermanentError
from daemon.model import Release
from daemon.telemetry.history.asking import Asking, TooMuch
from daemon.telemetry.prometheus.answer import Item, labels_of
from daemon.telemetry.prometheus.query import MAX_INSTANCES, quoted
from daemon.telemetry.wire import literal, number

_STEP_SECONDS = 60.0
_LONGEST_SCRAPE_SECONDS = 60.0
_STANDS_SECONDS = 300.0
"""A weight holds so long after its sample, as long as Prometheus itself takes a series to be there."""


class WeightSeries(NamedTuple):
    """A controller's gauge of the share of traffic, in percent, that it has given a workload."""

    metric: str
    workload: str
    namespaces: tuple[str, ...]
    """Labels with the workload's namespace, the first that is there: a scraper renames what it has labels of its own for."""


WEIGHTS = (WeightSeries("flagger_canary_weight", workload="workload", namespaces=("exported_namespace", "namespace")),)


class Weights:
    """The weight of one canary, over time."""

    def __init__(self, samples: dict[float, float]) -> None:
        self._times = sorted(samples)
        self._values = [samples[at] for at in self._times]

    def at(self, moment: float) -> float | None:
        """In percent, as it was known then; null where it was not."""
        place = bisect_right(self._times, moment) - 1
        known = place >= 0 and moment - self._times[place] <= _STANDS_SECONDS
        return self._values[place] if known and 0.0 <= self._values[place] <= 100.0 else None

    def mean(self, since: float, until: float) -> float | None:
        """In percent, over a time; null where a part of it is not known."""
        if since >= until:
            return self.at(until)
        edges = [since, *self._times[bisect_right(self._times, since) : bisect_left(self._times, until)], until]
        parts = [(end - begin, self.at(begin)) for begin, end in pairwise(edges)]
        known = [(seconds, weight) for seconds, weight in parts if weight is not None]
        if len(known) < len(parts):
            return None
        return round(sum(seconds * weight for seconds, weight in known) / (until - since), 3)


async def weights(asking: Asking, release: Release, *, begin: float, end: float) -> Weights:
    """What the history knows of a canary's weight.

    Raises:
        VerdictdError: the server cannot be asked.
    """
    samples: dict[float, float] = {}
    if release.canary.workload is None or release.weight is not None:
        return Weights(samples)
    for kind in WEIGHTS:
        query = f"{{__name__={quoted(kind.metric)},{kind.workload}={quoted(release.canary.workload)}}}"
        at = begin - _STANDS_SECONDS
        while at < end:
            until = min(end, at + asking.width_seconds)
            try:
                found = await asking.raw(f"{query}[{round((until - at) * 1000)}ms]", at=until)
            except TooMuch as error:
                asking.narrow(error)
                continue
            for item in found:
                labels = labels_of(item.metric)
                if next((labels[name] for name in kind.namespaces if name in labels), None) == release.namespace:
                    samples |= {moment: number(value, path=kind.metric) for moment, value in item.values}
            at = until
    return Weights(samples)


async def scrape_seconds(asking: Asking, instances: Collection[str], *, begin: float, end: float) -> float:
    """How long the longest scrape of these targets took: a sample carries the time at which its scrape began. 0: not known.

    Raises:
        TransientError: the server cannot be asked.
    """
    if not instances or len(instances) > MAX_INSTANCES or not all(instances):
        return 0.0
    found: list[Item] = []
    try:
        for those in _together(sorted(instances), longest_bytes=asking.longest_question_bytes):
            query = f"max(scrape_duration_seconds{{instance=~{quoted('|'.join(those))}}})"
            found += await asking.steps(query, begin=begin, end=end, step_seconds=_STEP_SECONDS)
    except PermanentError:
        return 0.0
    taken = [number(value, path="scrape_duration_seconds") for item in found for _, value in item.values]
    return max((seconds for seconds in taken if 0.0 <= seconds <= _LONGEST_SCRAPE_SECONDS), default=0.0)


def _together(instances: Sequence[str], *, longest_bytes: int) -> Iterator[list[str]]:
    """As many of them as a question can name, as patterns."""
    patterns = [literal(instance) for instance in instances]
    step = max(1, longest_bytes // (2 * max(map(len, patterns)) + 8))
    for start in range(0, len(patterns), step):
        yield patterns[start : start + step]
