"""Pods of one arm that differ: the canary may be slow, or fail, only because its few pods are the slow or the failing ones.

Requests of one pod share that pod's speed, so that with few pods thousands of requests are few observations (the design effect,
Kish 1965). A latency leg may convict only if the *pods'* means agree: the canary's must lie above the baseline's by more than
differing pods and chance explain together. Pods stay as they are, so that what differing pods explain is one look (Student's
quantile); chance is looked at every tick, so that its quantile holds over a whole watch. Needs pods with their own
histograms: one in the canary, three in the baseline.

Failures are too few for that. Their evidence is cooled (``failing``) by how much more the failures of the *baseline's* pods differ
than chance explains: one canary pod that fails alone is harm, and must not hold its own conviction.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from operator import add
from typing import Final

import numpy as np
from scipy.special import chdtri, ndtri, stdtrit

from analyzers.counts import Latency, Pod, Sample
from analyzers.guards.bursts import CONFIDENCE
from analyzers.intake import LARGEST_COUNT, Tick, judged_pods
from analyzers.layout import Array, Mask
from analyzers.terms import Terms

CERTAINTY: Final = 0.0005
"""Of Student's quantile for pods that differ."""
CHANCE_Z: Final = 3.9
"""Standard deviations of chance, for repeated looks: backed by simulated watches of 300 looks; longer ones were not simulated."""
FEWEST_BASELINE: Final = 3
FEWEST_FAILURES: Final = 20.0
LONG_TICK_SECONDS: Final = 5.0
STOP_SECONDS: Final = 0.5
STOP_Z: Final = 2.33
"""One stop in a hundred fails more requests than so many standard deviations above what it fails on average."""
MOST_PODS: Final = 128
"""Pods remembered per release; further ones are judged as part of their arm only."""

Tally = tuple[float, float, float, float, float, float, float, float, float, float]
"""Of one pod: requests with a latency, and sums over them of mid-rank, tail score and latency above the pooled mean (ms);
requests and failures, denied ones among both; of each of the three sums its square per request, summed over ticks, and these
ticks."""
Tallies = Mapping[str, Tally]

_NOTHING: Final[Tally] = (0.0,) * 10
_NO_LATENCY: Final = (0.0,) * 8
_FAILING: Final = 0.001


def _brought(terms: Sequence[Terms], samples: Sequence[Sample], tick: Tick) -> Iterator[tuple[int, str, Pod, Latency | None]]:
    """Every pod of the releases whose both arms bring pods: place of the release, key, pod, and its histogram if that is judged."""
    size = tick.c.shape[1]
    for place in np.flatnonzero(tick.seen).tolist():
        canary, baseline = samples[place].canary, samples[place].baseline
        if canary is None or baseline is None or not canary.pods or not baseline.pods:
            continue
        mine, theirs = judged_pods(terms[place], canary, baseline) if tick.timed[place] else ({}, {})
        for arm, pods, judged in (("c", canary.pods, mine), ("b", baseline.pods, theirs)):
            for name, pod in pods.items():
                latency = pod.latency if name in judged else None
                yield place, arm + name, pod, latency if latency is not None and _usable(latency, size) else None


def _usable(latency: Latency, size: int) -> bool:
    return len(latency.counts) == size and math.isfinite(latency.sum_ms) and max(latency.counts) <= LARGEST_COUNT


def _latencies(timed: Sequence[tuple[int, Latency]], tick: Tick, scores: tuple[Array, Array]) -> list[tuple[float, ...]]:
    """What one tick's histograms add to the tallies: the first four numbers, then the last four."""
    at = np.array([place for place, _ in timed], dtype=np.intp)
    counts = np.maximum(np.array([latency.counts for _, latency in timed], dtype=np.float64), 0.0)
    taken = np.array([latency.sum_ms for _, latency in timed])
    number = counts.sum(1)
    mean = (tick.c_sum + tick.b_sum) / np.maximum(tick.c.sum(1) + tick.b.sum(1), 1.0)
    above = np.nan_to_num(taken - number * mean[at])
    sums = [(counts * scores[0][at]).sum(1), (counts * scores[1][at].mean(1)).sum(1), above]
    known, many = number > 0.0, np.maximum(number, 1.0)
    new = [number, *sums, *(one * one / many for one in sums), known.astype(np.float64)]
    return list(zip(*(column.tolist() for column in new), strict=True))


def fold(
    tallies: list[Tallies], terms: Sequence[Terms], samples: Sequence[Sample], tick: Tick, scores: tuple[Array, Array]
) -> list[Tallies]:
    """Add one tick to the tallies of the releases whose samples bring pods; the mappings given are not changed.

    ``scores``: what a request of each bucket is worth: mid-ranks (releases, J), and of the slow end (releases, alternatives, J).
    """
    brought = list(_brought(terms, samples, tick))
    timed = [(place, latency) for place, _, _, latency in brought if latency is not None]
    slow = iter(_latencies(timed, tick, scores) if timed else ())
    changed: dict[int, dict[str, Tally]] = {}
    for place, key, pod, latency in brought:
        latencies = _NO_LATENCY if latency is None else next(slow)
        mine = changed.setdefault(place, dict(tallies[place]))
        if key in mine or len(mine) < MOST_PODS:
            mine[key] = tuple(map(add, mine.get(key, _NOTHING), (*latencies[:4], *_counted(pod), *latencies[4:])))
    return [changed.get(place, one) for place, one in enumerate(tallies)]


def _counted(pod: Pod) -> tuple[float, float]:
    """A pod's requests and failures, denied ones among both; nothing where they are impossible."""
    asked, failed = pod.requests + pod.denied, pod.errors + pod.denied
    possible = min(pod.requests, pod.errors, pod.denied) >= 0 and pod.errors <= pod.requests and asked <= LARGEST_COUNT
    return (float(asked), float(failed)) if possible else (0.0, 0.0)


def scattered(samples: Sequence[Sample], tick: Tick) -> Mask:
    """Whether this tick's failures of the canary (releases,) lie on several pods, and are too many for a stop of half a second.

    A stop of one pod fails on that pod alone, however long it is; a stop of all of them fails what they are asked meanwhile. So the
    pod with the most failures is left out, and the others must fail, above the baseline's rate, more than such a stop
    explains. Said of ticks of 5 s and longer: in a short one such a stop explains nearly everything.
    """
    found = np.zeros(len(tick.t), dtype=np.bool_)
    for at in np.flatnonzero(tick.seen & (tick.c_err >= FEWEST_FAILURES)).tolist():
        canary, seconds = samples[at].canary, samples[at].seconds
        if canary is None or not canary.pods or not LONG_TICK_SECONDS <= seconds < math.inf:
            continue
        pods = [_counted(pod) for pod in canary.pods.values()]
        others = sorted(pods, key=lambda pod: pod[1])[:-1]
        asked, failed = (sum(pod[column] for pod in others) for column in (0, 1))
        stopped = asked * STOP_SECONDS / seconds
        usual = asked * float(tick.b_err[at]) / max(float(tick.b_req[at]), 1.0)
        found[at] = failed >= FEWEST_FAILURES and failed - usual >= stopped + STOP_Z * math.sqrt(stopped)
    return found


def _of_arms(tallies: Tallies, column: int) -> tuple[Array, Array]:
    """The tallies (pods, numbers) of canary and baseline with something in a column."""
    canary, baseline = (
        np.array([tally for key, tally in tallies.items() if key[0] == arm and tally[column] > 0.0]).reshape(-1, len(_NOTHING))
        for arm in "cb"
    )
    return canary, baseline


def failing(tallies: Tallies, *, clumps: float) -> float:
    """Variance of the canary's failures, as differing pods explain it, over that of independent ones; 1 unless it is surely larger.

    The variance between the baseline's pods comes from the method of moments (DerSimonian and Laird 1986): Pearson's statistic over
    pods beyond what clumps of failures explain. It holds for the canary's pods at their own traffic, and counts for more the
    fewer baseline pods tell of it (Student's quantile against the normal one). ``clumps``: variance of failures within a pod over
    that of independent ones.
    """
    canary, baseline = (pods[:, 4:6] for pods in _of_arms(tallies, 4))
    number, freedom = len(baseline), len(baseline) - 1
    if number < FEWEST_BASELINE or not len(canary) or baseline[:, 1].sum() <= 0.0:
        return 1.0
    rate = baseline[:, 1].sum() / baseline[:, 0].sum()
    expected = rate * baseline[:, 0]
    spread = float(((baseline[:, 1] - expected) ** 2 / expected).sum())
    if spread <= chdtri(freedom, 1.0 - CONFIDENCE) * clumps:
        return 1.0
    between = (spread / freedom - clumps) / float(expected.mean())
    alone = float(rate * canary[:, 0].mean())
    few = float((stdtrit(freedom, _FAILING) / ndtri(_FAILING)) ** 2)
    return max(1.0, 1.0 + between * alone * (1.0 + len(canary) / number) * few)


def _agrees(means: tuple[Array, Array], chance: tuple[Array, Array]) -> bool:
    """Whether the canary's pods are slower than differing pods and chance explain; (canary, baseline) each: ``means`` of the pods,
    and their variances by ``chance``.
    """
    mine, theirs = (len(one) for one in means)
    within = sum(float(((one - one.mean()) ** 2).sum()) for one in means)
    expected = sum((1.0 - 1.0 / len(one)) * float(one.sum()) for one in chance)
    freedom = mine + theirs - 2
    between = max(within - expected, 0.0) / freedom * (1.0 / mine + 1.0 / theirs)
    blind = sum(float(one.sum()) / len(one) ** 2 for one in chance)
    above = float(means[0].mean() - means[1].mean())
    return above > math.sqrt(CHANCE_Z**2 * blind + float(stdtrit(freedom, CERTAINTY)) ** 2 * between)


def agreement(tallies: Tallies) -> tuple[bool, bool, bool] | None:
    """Whether rank, tail and mean may convict; null where pods are too few to ask."""
    canary, baseline = _of_arms(tallies, 0)
    if not len(canary) or len(baseline) < FEWEST_BASELINE:
        return None
    squares = np.concatenate((canary, baseline))[:, 6:].sum(0)
    rank, tail, mean = (
        _agrees(
            (canary[:, leg] / canary[:, 0], baseline[:, leg] / baseline[:, 0]),
            (variance / canary[:, 0], variance / baseline[:, 0]),
        )
        for leg, variance in enumerate(squares[:3] / max(squares[3], 1.0), start=1)
    )
    return rank, tail, mean
