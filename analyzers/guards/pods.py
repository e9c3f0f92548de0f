"""Pods of one arm that differ: the canary may be slow only because its few pods are the slow ones.

Requests of one pod share that pod's speed, so that with few pods thousands of requests are few observations. A latency leg may
convict only if a t-test over *pods* agrees. Needs pods with their own histograms: one in the canary, three in the baseline.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from analyzers.classical import student_upper
from analyzers.counts import Pod, Sample
from analyzers.intake import LARGEST_COUNT, Tick, judged_pods
from analyzers.layout import Array
from analyzers.terms import Terms

CERTAINTY: Final = 0.001
CERTAINTY_ALONE: Final = 0.0005
"""One canary pod: stricter, since nothing but the baseline tells how much pods differ."""
FEWEST_BASELINE: Final = 3
MOST_PODS: Final = 128
"""Pods remembered per release; further ones are judged as part of their arm only."""

Tally = tuple[float, float, float, float]
"""Of one pod: requests, and sums over them of mid-rank, tail score and latency above the pooled mean (ms)."""
Tallies = Mapping[str, Tally]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What a request of each bucket is worth this tick: (releases, J) each."""

    ranks: Array
    tails: Array


def _brought(terms: Sequence[Terms], samples: Sequence[Sample], tick: Tick) -> Iterator[tuple[int, str, Pod]]:
    """Pods with a usable histogram: place of the release, key, pod."""
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
                    yield place, arm + name, pod


def fold(tallies: list[Tallies], terms: Sequence[Terms], samples: Sequence[Sample], tick: Tick, scores: Scores) -> list[Tallies]:
    """Add one tick to the tallies of the releases whose samples bring pods; the mappings given are not changed."""
    brought = list(_brought(terms, samples, tick))
    if not brought:
        return tallies
    at = np.array([place for place, _, _ in brought])
    counts = np.array([pod.latency.counts for _, _, pod in brought if pod.latency is not None], dtype=np.float64)
    sums = np.array([pod.latency.sum_ms for _, _, pod in brought if pod.latency is not None])
    counts = np.maximum(counts, 0.0)
    number = counts.sum(1)
    mean = (tick.c_sum + tick.b_sum) / np.maximum(tick.c.sum(1) + tick.b.sum(1), 1.0)
    above = np.nan_to_num(sums - number * mean[at])
    new = np.stack([number, (counts * scores.ranks[at]).sum(1), (counts * scores.tails[at]).sum(1), above], axis=-1).tolist()
    changed: dict[int, dict[str, Tally]] = {}
    for (place, key, _), (n, rank, tail, more) in zip(brought, new, strict=True):
        mine = changed.setdefault(place, dict(tallies[place]))
        old = mine.get(key)
        if old is not None:
            mine[key] = (old[0] + n, old[1] + rank, old[2] + tail, old[3] + more)
        elif len(mine) < MOST_PODS:
            mine[key] = (n, rank, tail, more)
    return [changed.get(place, one) for place, one in enumerate(tallies)]


def _agrees(canary: Array, baseline: Array) -> bool:
    """Whether the pods' means say that the canary's are larger, at the certainty asked."""
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
        rows = np.array([tally for key, tally in tallies.items() if key[0] == arm and tally[0] > 0.0])
        means[arm] = rows[:, 1:] / rows[:, :1] if len(rows) else np.empty((0, 3))
    if len(means["c"]) < 1 or len(means["b"]) < FEWEST_BASELINE:
        return None
    rank, tail, mean = (_agrees(means["c"][:, leg], means["b"][:, leg]) for leg in range(3))
    return rank, tail, mean
