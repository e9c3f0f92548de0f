"""Simulated releases by the hundred, for measuring the judge: what the true rates are is known, so that errors can be counted.

Counts are drawn for all releases of a cell at once; each tick's samples then go through the judge's own interface.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analyzers.counts import Arm, Latency, Pod, Sample
from analyzers.judge import Terms, fold, start

ISTIO_MS = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000)
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Stream:
    """The truth about a release. Rates are per tick of a second.

    Attributes:
        canary_rps, baseline_rps: requests (Poisson).
        base_errors, errors: failed share of the baseline (and of the canary until ``onset``), and of the canary after it.
        clump: errors come in bursts of this many.
        factor: the canary's latency factor after ``onset``; tail: factor above p95 reached at p99 (tail only).
        median_ms, p99_ms: lognormal latency.
        onset: ticks until the canary changes.
        jitter: (canary, baseline) standard deviation of a factor common to a tick's requests; ar: its correlation.
        pod_spread: standard deviation of the pods' own factors. pods: (canary, baseline) numbers; (0, 0): not told apart.
        cold: factor - 1 at the start, fading with ``cold_ticks``.
    """

    canary_rps: float = 50.0
    baseline_rps: float = 950.0
    base_errors: float = 0.001
    errors: float = 0.001
    clump: int = 1
    factor: float = 1.0
    tail: float = 1.0
    median_ms: float = 40.0
    p99_ms: float = 240.0
    onset: int = 0
    drift: float = 0.0
    jitter: tuple[float, float] = (0.0, 0.0)
    ar: float = 0.0
    pods: tuple[int, int] = (0, 0)
    pod_spread: float = 0.0
    cold: float = 0.0
    cold_ticks: float = 10.0


def _upper_normal(x: Floats) -> Floats:
    from scipy.special import ndtr

    result: Floats = ndtr(-x)
    return result


def bucket_chances(stream: Stream, factor: Floats, *, stretched: bool) -> Floats:
    """Chances (..., J) of the buckets for a latency factor (...)."""
    sigma = np.log(stream.p99_ms / stream.median_ms) / 2.3263478740
    log_bounds = np.log(np.array(ISTIO_MS)) - np.log(factor)[..., None]
    if stretched and stream.tail != 1.0:
        p95, p99 = np.log(stream.median_ms) + 1.6448536270 * sigma, np.log(stream.p99_ms)
        steepness = (p99 - p95 + np.log(stream.tail)) / (p99 - p95)
        log_bounds = np.where(log_bounds > p95, p95 + (log_bounds - p95) / steepness, log_bounds)
    above = _upper_normal((log_bounds - np.log(stream.median_ms)) / sigma)
    shape = (*above.shape[:-1], 1)
    chances: Floats = -np.diff(np.concatenate([np.ones(shape), above, np.zeros(shape)], axis=-1), axis=-1)
    return chances


_EDGES = np.log(np.array([0.25, *ISTIO_MS, 7200000]))
_MIDDLES = np.exp(0.5 * (_EDGES[1:] + _EDGES[:-1]))


def _sums(rng: np.random.Generator, stream: Stream, counts: Ints, mean: Floats) -> Floats:
    """Sums of latency that agree with the truth in mean and spread (normal)."""
    sigma = np.log(stream.p99_ms / stream.median_ms) / 2.3263478740
    number = counts.sum(-1)
    truth = stream.median_ms * np.exp(0.5 * sigma**2) * mean
    middles = (counts * _MIDDLES).sum(-1)
    expected = (bucket_chances(stream, mean, stretched=False) * _MIDDLES).sum(-1)
    noise = rng.standard_normal(number.shape) * np.sqrt(np.maximum(number, 1)) * truth * 0.15
    result: Floats = np.maximum(middles * truth / expected + noise, 0.001 * number + 0.001)
    return result


def _factors(rng: np.random.Generator, size: int, spread: float, ar: float, before: Floats) -> Floats:
    fresh = rng.standard_normal(size) * spread
    result: Floats = ar * before + np.sqrt(1.0 - ar**2) * fresh
    return result


def _errors(rng: np.random.Generator, stream: Stream, requests: Ints, rate: float) -> Ints:
    if stream.clump == 1:
        result: Ints = rng.binomial(requests, rate)
        return result
    return np.minimum(stream.clump * rng.binomial(requests, rate / stream.clump), requests)


def samples(stream: Stream, *, releases: int, ticks: int, seed: int) -> Iterator[list[Sample]]:
    """Per tick, one sample of every release."""
    rng = np.random.default_rng(seed)
    walks = [np.zeros(releases), np.zeros(releases)]
    numbers = [max(1, count) for count in stream.pods]
    speeds = [np.exp(stream.pod_spread * rng.standard_normal((releases, count))) for count in numbers]
    pod_walks = [np.zeros((releases, count)) for count in numbers]
    for tick in range(1, ticks + 1):
        changed = tick > stream.onset
        shared = 1.0 + stream.drift * np.sin(2.0 * np.pi * tick / 120.0)
        cold = 1.0 + stream.cold * np.exp(-tick / stream.cold_ticks)
        arms: list[list[Arm]] = []
        for arm, (rate, failing, factor) in enumerate(
            (
                (stream.canary_rps, stream.errors if changed else stream.base_errors, stream.factor if changed else 1.0),
                (stream.baseline_rps, stream.base_errors, 1.0),
            )
        ):
            if stream.pods[arm] and stream.ar:
                fresh = rng.standard_normal(pod_walks[arm].shape) * stream.jitter[arm]
                pod_walks[arm] = stream.ar * pod_walks[arm] + np.sqrt(1.0 - stream.ar**2) * fresh
                common = np.exp(pod_walks[arm])
            else:
                walks[arm] = _factors(rng, releases, stream.jitter[arm], stream.ar, walks[arm])
                common = np.exp(walks[arm])[:, None]
            speed = speeds[arm] * common * factor * shared * (cold if arm == 0 else 1.0)
            requests = rng.poisson(rate / numbers[arm], size=speed.shape)
            chances = bucket_chances(stream, speed, stretched=arm == 0 and changed)
            counts = rng.multinomial(requests, chances)
            failed = _errors(rng, stream, requests, failing)
            sums = _sums(rng, stream, counts, speed)
            arms.append(_arms(counts, failed, sums, named=bool(stream.pods[arm])))
        yield [
            Sample(t=float(tick), seconds=1.0, canary=canary, baseline=baseline)
            for canary, baseline in zip(arms[0], arms[1], strict=True)
        ]


def _arms(counts: Ints, failed: Ints, sums: Floats, *, named: bool) -> list[Arm]:
    totals, errors, total_sums = counts.sum(1).tolist(), failed.sum(1).tolist(), sums.sum(1).tolist()
    per_pod, per_failed, per_sum = counts.tolist(), failed.tolist(), sums.tolist()
    arms = []
    for at, total in enumerate(totals):
        pods = None
        if named:
            pods = {
                f"pod-{place}": Pod(
                    requests=sum(mine), errors=errs, latency=Latency(counts=tuple(mine), sum_ms=sum_ms), age_seconds=1000.0
                )
                for place, (mine, errs, sum_ms) in enumerate(zip(per_pod[at], per_failed[at], per_sum[at], strict=True))
            }
        arms.append(
            Arm(
                requests=sum(total),
                errors=errors[at],
                latency=Latency(counts=tuple(total), sum_ms=total_sums[at]),
                pods=pods,
            )
        )
    return arms


@dataclass(frozen=True, kw_only=True)
class Ends:
    """How the releases of a cell ended: outcomes and ticks, in order; ``continue`` where they did not."""

    outcomes: list[str]
    ticks: Ints
    legs: list[str | None]


def judge(stream: Stream, terms: Terms, *, releases: int, ticks: int, seed: int) -> Ends:
    """Watch every release of a cell to its end."""
    outcomes, ended, legs = ["continue"] * releases, np.full(releases, ticks), [None] * releases
    states = {place: start(terms) for place in range(releases)}
    final_legs: list[str | None] = list(legs)
    for tick, batch in enumerate(samples(stream, releases=releases, ticks=ticks, seed=seed), start=1):
        if not states:
            break
        places = list(states)
        folded = fold([terms] * len(places), [states[at] for at in places], [batch[at] for at in places])
        for at, (state, ruling) in zip(places, folded, strict=True):
            if ruling.outcome == "continue":
                states[at] = state
                continue
            outcomes[at], final_legs[at] = ruling.outcome, ruling.leg
            ended[at] = tick
            del states[at]
    return Ends(outcomes=outcomes, ticks=ended, legs=final_legs)
