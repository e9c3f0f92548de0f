"""Samples made by hand or by a seeded generator, for the tests of the judge."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from analyzers.arrays import Array
from analyzers.counts import Arm, Latency, Sample
from analyzers.intake import Tick
from analyzers.judge import JudgeState, Terms, fold, start, terms_of
from analyzers.ruling import Ruling
from config.policy import Policy

ISTIO_MS = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000)
FAST = Policy()


def terms(
    policy: Policy = FAST,
    *,
    bounds_ms: Sequence[float] = ISTIO_MS,
    ticks: int = 300,
    weight: float | None = None,
    timed: bool = True,
) -> Terms:
    """Terms of a watch of ``ticks`` seconds, sampled every second."""
    return terms_of(policy, tick_seconds=1.0, window_seconds=float(ticks), weight=weight, bounds_ms=bounds_ms, timed=timed)


def latency(counts: Sequence[int], sum_ms: float | None = None) -> Latency:
    """A histogram; without a sum its mean is 10 ms."""
    return Latency(counts=tuple(counts), sum_ms=10.0 * sum(counts) if sum_ms is None else sum_ms)


def sample(
    t: float,
    *,
    canary: tuple[int, int] = (50, 0),
    baseline: tuple[int, int] = (950, 0),
    slow: tuple[Latency | None, Latency | None] = (None, None),
) -> Sample:
    """One tick; each arm is (requests, errors), ``slow`` its latency (canary, baseline)."""
    return Sample(
        t=t,
        seconds=1.0,
        canary=Arm(requests=canary[0], errors=canary[1], latency=slow[0]),
        baseline=Arm(requests=baseline[0], errors=baseline[1], latency=slow[1]),
    )


def tick(
    t: float,
    *,
    canary: tuple[float, float],
    baseline: tuple[float, float],
    c: Array,
    b: Array,
    sums: tuple[float, float] = (float("nan"), float("nan")),
) -> Tick:
    """What ``intake`` makes of one sample; each arm is (requests, errors), with its histogram (1, J)."""

    def one(value: float) -> Array:
        return np.array([value])

    return Tick(
        t=one(t),
        seen=np.array([True]),
        c_err=one(canary[1]),
        b_err=one(baseline[1]),
        c_req=one(canary[0]),
        b_req=one(baseline[0]),
        c_den=one(0.0),
        b_den=one(0.0),
        c_una=one(0.0),
        b_una=one(0.0),
        c_unc=one(0.0),
        b_unc=one(0.0),
        timed=np.array([True]),
        lone=np.array([False]),
        c=c,
        b=b,
        c_sum=one(sums[0]),
        b_sum=one(sums[1]),
        warming=np.array([False]),
        settling=one(1.0),
        ageless=np.array([False]),
        weight=one(float("nan")),
        odd=np.array([0]),
    )


@dataclass(frozen=True, kw_only=True)
class World:
    """Traffic of one release: rates per second, failed shares, a factor on the canary's latency from tick ``onset`` on."""

    canary_rps: float = 50.0
    baseline_rps: float = 950.0
    errors: tuple[float, float] = (0.001, 0.001)
    factor: float = 1.0
    onset: int = 0
    median_ms: float = 40.0
    p99_ms: float = 240.0

    def ticks(self, seed: int, number: int) -> Iterator[Sample]:
        """``number`` samples, one a second."""
        rng = np.random.default_rng(seed)
        for tick in range(1, number + 1):
            changed = tick > self.onset
            arms = []
            for rate, errors, factor in (
                (self.canary_rps, self.errors[0 if changed else 1], self.factor if changed else 1.0),
                (self.baseline_rps, self.errors[1], 1.0),
            ):
                requests = int(rng.poisson(rate))
                spread = np.log(self.p99_ms / self.median_ms) / 2.3263
                times = self.median_ms * factor * np.exp(spread * rng.standard_normal(requests))
                counts = np.bincount(np.searchsorted(ISTIO_MS, times), minlength=len(ISTIO_MS) + 1)
                arms.append(
                    Arm(
                        requests=requests,
                        errors=int(rng.binomial(requests, errors)),
                        latency=Latency(counts=tuple(counts.tolist()), sum_ms=float(times.sum())),
                    )
                )
            yield Sample(t=float(tick), seconds=1.0, canary=arms[0], baseline=arms[1])


def watch(one: Terms, samples: Sequence[Sample] | Iterator[Sample]) -> tuple[JudgeState, Ruling]:
    """Fold samples until a final ruling or their end."""
    ended, state = None, start(one)
    for sample in samples:
        [ended] = fold([one], [state], [sample])
        state, ruling = ended
        if ruling.outcome != "continue":
            break
    assert ended is not None
    return ended
