"""Pods of one arm that differ: the canary may be slow, or fail, only because its few pods are the slow or the failing ones.

Requests of one pod share that pod's speed, so that with few pods thousands of requests are few observations (the design effect,
Kish 1965). A latency leg may convict only if a t-test over *pods* agrees. Needs pods with their own histograms: one in the
canary, three in the baseline.

Failures are too few for that. Their evidence is cooled (``failing``) by how much more the failures of the *baseline's* pods differ
than chance explains: one canary pod that fails alone is harm, and must not hold its own conviction.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from analyzers.classical import student_upper
from analyzers.counts import Latency, Pod, Sample
from analyzers.guards.bursts import chi_squared_99
from analyzers.intake import LARGEST_COUNT, Tick, judged_pods
from analyzers.layout import Array
from analyzers.terms import Terms

CERTAINTY: Final = 0.001
CERTAINTY_ALONE: Final = 0.0005
"""One canary pod: stricter, since nothing but the baseline tells how much pods differ."""
FEWEST_BASELINE: Final = 3
MOST_PODS: Final = 128
"""Pods remembered per release; further ones are judged as part of their arm only."""

Tally = tuple[float, float, float, float, float, float]
"""Of one pod: requests with a latency, and sums over them of mid-rank, tail score and latency above the pooled mean (ms); then
requests and failures, denied ones among both."""
Tallies = Mapping[str, Tally]


_NOTHING: Final[Tally] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
_NO_LATENCY: Final = _NOTHING[:4]
_NORMAL: Final = 3.0902323062
"""Normal quantile of 1 - ``CERTAINTY``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What a request of each bucket is worth this tick: (releases, J) each."""

    ranks: Array
    tails: Array


def _arms(samples: Sequence[Sample], tick: Tick) -> Iterator[tuple[int, str, Pod]]:
    """Every pod of the releases whose both arms bring pods: place of the release, key, pod."""
    for place in np.flatnonzero(tick.seen).tolist():
        canary, baseline = samples[place].canary, samples[place].baseline
        if canary is None or baseline is None or not canary.pods or not baseline.pods:
            continue
        for arm, pods in (("c", canary.pods), ("b", baseline.pods)):
            for name, pod in pods.items():
                yield place, arm + name, pod


def _timed(terms: Sequence[Terms], samples: Sequence[Sample], tick: Tick) -> Iterator[tuple[int, str, Latency]]:
    """Usable histograms of the pods whose latency is judged: place of the release, key, histogram."""
    size = tick.c.shape[1]
    for place in np.flatnonzero(tick.timed).tolist():
        canary, baseline = samples[place].canary, samples[place].baseline
        if canary is None or baseline is None or not canary.pods or not baseline.pods:
            continue
        mine, theirs = judged_pods(terms[place], canary, baseline)
        for arm, pods in (("c", mine), ("b", theirs)):
            for name, pod in pods.items():
                latency = pod.latency
                if latency is None or len(latency.counts) != size or not math.isfinite(latency.sum_ms):
                    continue
                if max(latency.counts) <= LARGEST_COUNT:
                    yield place, arm + name, latency


def _latencies(timed: Sequence[tuple[int, str, Latency]], tick: Tick, scores: Scores) -> list[tuple[float, ...]]:
    """What one tick's histograms add to the first four numbers of the tallies."""
    at = np.array([place for place, _, _ in timed], dtype=np.intp)
    counts = np.maximum(np.array([latency.counts for _, _, latency in timed], dtype=np.float64), 0.0)
    sums = np.array([latency.sum_ms for _, _, latency in timed])
    number = counts.sum(1)
    mean = (tick.c_sum + tick.b_sum) / np.maximum(tick.c.sum(1) + tick.b.sum(1), 1.0)
    above = np.nan_to_num(sums - number * mean[at])
    new = [number, (counts * scores.ranks[at]).sum(1), (counts * scores.tails[at]).sum(1), above]
    return list(zip(*(column.tolist() for column in new), strict=True))


def fold(tallies: list[Tallies], terms: Sequence[Terms], samples: Sequence[Sample], tick: Tick, scores: Scores) -> list[Tallies]:
    """Add one tick to the tallies of the releases whose samples bring pods; the mappings given are not changed."""
    brought = list(_arms(samples, tick))
    if not brought:
        return tallies
    timed = list(_timed(terms, samples, tick))
    slow = {(place, key): new for (place, key, _), new in zip(timed, _latencies(timed, tick, scores) if timed else (), strict=True)}
    changed: dict[int, dict[str, Tally]] = {}
    for place, key, pod in brought:
        mine = changed.setdefault(place, dict(tallies[place]))
        old = mine.get(key)
        if old is None and len(mine) >= MOST_PODS:
            continue
        n, rank, tail, above = slow.get((place, key), _NO_LATENCY)
        asked, failed = _counted(pod)
        was = old or _NOTHING
        mine[key] = (was[0] + n, was[1] + rank, was[2] + tail, was[3] + above, was[4] + asked, was[5] + failed)
    return [changed.get(place, one) for place, one in enumerate(tallies)]


def _counted(pod: Pod) -> tuple[float, float]:
    """A pod's requests and failures, denied ones among both; nothing where they are impossible."""
    asked, failed = pod.requests + pod.denied, pod.errors + pod.denied
    possible = min(pod.requests, pod.errors, pod.denied) >= 0 and pod.errors <= pod.requests and asked <= LARGEST_COUNT
    return (float(asked), float(failed)) if possible else (0.0, 0.0)


def failing(tallies: Tallies, *, clumps: float) -> float:
    """Variance of the canary's failures, as differing pods explain it, over that of independent ones; 1 unless it is surely larger.

    The variance between the baseline's pods comes from the method of moments (DerSimonian and Laird 1986): Pearson's statistic over
    pods beyond what clumps of failures explain. It holds for the canary's pods at their own traffic, and counts for more the
    fewer baseline pods tell of it (Student's quantile against the normal one).

    Args:
        tallies: of one release.
        clumps: variance of failures within a pod over that of independent ones.
    """
    canary, baseline = (np.array([tally[4:] for key, tally in tallies.items() if key[0] == arm and tally[4] > 0.0]) for arm in "cb")
    number, freedom = len(baseline), len(baseline) - 1
    if number < FEWEST_BASELINE or not len(canary) or baseline[:, 1].sum() <= 0.0:
        return 1.0
    rate = baseline[:, 1].sum() / baseline[:, 0].sum()
    expected = rate * baseline[:, 0]
    spread = float(((baseline[:, 1] - expected) ** 2 / expected).sum())
    if spread <= chi_squared_99(freedom) * clumps:
        return 1.0
    between = (spread / freedom - clumps) / float(expected.mean())
    alone = float(rate * canary[:, 0].mean())
    return max(1.0, 1.0 + between * alone * (1.0 + len(canary) / number) * _few(freedom))


@lru_cache(maxsize=MOST_PODS)
def _few(freedom: int) -> float:
    """Square of Student's quantile at ``CERTAINTY`` over the normal one's: what knowing a variance from few pods costs."""
    low, high = 0.0, 1e4
    while high - low > 1e-6 * high:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if student_upper(middle, freedom) > CERTAINTY else (low, middle)
    ratio: float = high / _NORMAL
    return ratio * ratio


def _agrees(canary: Array, baseline: Array) -> bool:
    """Whether the pods' means say that the canary's are larger, at the certainty asked (two-sample t with pooled variance)."""
    mine, theirs = len(canary), len(baseline)
    within = float(((baseline - baseline.mean()) ** 2).sum() + ((canary - canary.mean()) ** 2).sum())
    freedom = mine + theirs - 2
    above = float(canary.mean() - baseline.mean())
    spread = math.sqrt(within / freedom * (1.0 / mine + 1.0 / theirs))
    if spread <= 0.0:
        return above > 0.0
    return student_upper(above / spread, freedom) < (CERTAINTY_ALONE if mine == 1 else CERTAINTY)


def agreement(tallies: Tallies) -> tuple[bool, bool, bool] | None:
    """Whether rank, tail and mean may convict; null where pods are too few to ask."""
    means: dict[str, Array] = {}
    for arm in "cb":
        rows = np.array([tally[:4] for key, tally in tallies.items() if key[0] == arm and tally[0] > 0.0])
        means[arm] = rows[:, 1:] / rows[:, :1] if len(rows) else np.empty((0, 3))
    if len(means["c"]) < 1 or len(means["b"]) < FEWEST_BASELINE:
        return None
    rank, tail, mean = (_agrees(means["c"][:, leg], means["b"][:, leg]) for leg in range(3))
    return rank, tail, mean
