"""What the judge costs: one release alone, and a batch of them."""

import time

import numpy as np

from analyzers.counts import Arm, Latency, Sample
from analyzers.judge import JudgeState, fold, start, terms_of
from config.policy import Policy, Promotion
from tests.bench.figures import Figure, spread

# A watch that goes on: a release that may be promoted would be described anew at every tick.
POLICY = Policy(promotion=Promotion(min_requests=10**9))
STATE_KIB_OF_0_1 = 6.0
BOUNDS = (0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0, 30000.0, 60000.0, 300000.0)


def figures() -> list[Figure]:
    """Cost per release and tick alone and in a batch of 1000, and the size of a state that has seen something."""
    alone = [_watch(releases=1, ticks=100) for _ in range(7)]
    batch = [_watch(releases=1000, ticks=4)[0] * 1e6 for _ in range(5)]
    size = len(alone[0][1].save())
    return [
        Figure(
            what="judge, one release alone, CPU ms per tick",
            measured=spread([seconds * 1e3 for seconds, _ in alone], digits=3),
            goal="<= 0.5",
        ),
        Figure(what="judge, in a batch of 1000, CPU us per release and tick", measured=spread(batch), goal="<= 30"),
        Figure(
            what="judge's saved state after 100 ticks, KiB", measured=f"{size / 1024:.1f}", goal=f"< {STATE_KIB_OF_0_1:g} (0.1)"
        ),
    ]


def _watch(*, releases: int, ticks: int) -> tuple[float, JudgeState]:
    """CPU seconds per release and tick, after a warm-up; and a state at the end."""
    terms = [terms_of(POLICY, tick_seconds=1.0, window_seconds=300.0, bounds_ms=BOUNDS)] * releases
    states = [start(one) for one in terms]
    dice = np.random.default_rng(7)
    ticks_of_samples = [[_sample(dice, t=float(t)) for _ in range(releases)] for t in range(1, ticks + 3)]
    seconds = 0.0
    for number, samples in enumerate(ticks_of_samples):
        began = time.process_time()
        states = [state for state, _ in fold(terms, states, samples)]
        if number >= 2:
            seconds += time.process_time() - began
    return seconds / (ticks * releases), states[0]


def _sample(dice: np.random.Generator, *, t: float) -> Sample:
    return Sample(t=t, seconds=1.0, baseline=one_arm(dice, 950), canary=one_arm(dice, 50))


def one_arm(dice: np.random.Generator, rate: int) -> Arm:
    """A tick of a healthy arm at about this many requests: 0.1 % errors, lognormal latency of successes."""
    requests = int(dice.poisson(rate))
    errors = int(dice.binomial(requests, 0.001))
    latencies = dice.lognormal(np.log(40.0), 0.77, requests - errors)
    counts = np.bincount(np.searchsorted(BOUNDS, latencies), minlength=len(BOUNDS) + 1)
    latency = Latency(counts=tuple(int(count) for count in counts), sum_ms=float(latencies.sum()))
    return Arm(requests=requests, errors=errors, latency=latency)
