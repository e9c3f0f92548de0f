"""The same watches simulated once more, request by request, with nothing of daemon.offline.simulation: to hold a plan against."""

import numpy as np

from analyzers.counts import Arm, Latency, Sample
from analyzers.judge import fold, start, terms_of
from config.policy import Policy
from daemon.offline.plan.service import Service
from daemon.offline.plan.trying import End

Z99 = 2.3263478740


def _arm(dice: np.random.Generator, service: Service, rps: float, *, errors: float, factor: float) -> Arm:
    """Every request by itself: whether it fails, how long it takes, and in which bucket that is counted."""
    number = int(dice.poisson(rps * service.tick_seconds))
    failed = dice.random(number) < errors
    sigma = np.log(service.p99_ms / service.median_ms) / Z99
    milliseconds = factor * np.exp(np.log(service.median_ms) + sigma * dice.standard_normal(number))
    timed = milliseconds[~failed] if service.split else milliseconds
    counts = np.bincount(np.searchsorted(service.bounds_ms, timed, side="left"), minlength=len(service.bounds_ms) + 1)
    latency = Latency(counts=tuple(counts.tolist()), sum_ms=float(timed.sum()))
    return Arm(requests=number, errors=int(failed.sum()), latency=latency)


def ends_by_hand(
    service: Service, policy: Policy, *, releases: int, seed: int, errors: float | None = None, factor: float = 1.0
) -> list[End]:
    """Watch releases side by side, each to its verdict."""
    dice = np.random.default_rng(seed)
    terms = terms_of(
        policy,
        tick_seconds=service.tick_seconds,
        window_seconds=policy.window_seconds,
        weight=service.weight,
        bounds_ms=service.bounds_ms,
    )
    worse = service.errors if errors is None else errors
    mine, theirs = service.rps * service.weight / 100.0, service.rps * (1.0 - service.weight / 100.0)
    ends: dict[int, End] = {}
    states, t = dict.fromkeys(range(releases), start(terms)), 0.0
    while states:
        t += service.tick_seconds
        samples = [
            Sample(
                t=t,
                seconds=service.tick_seconds,
                baseline=_arm(dice, service, theirs, errors=service.errors, factor=1.0),
                canary=_arm(dice, service, mine, errors=worse, factor=factor),
            )
            for _ in states
        ]
        for release, (state, ruling) in zip(
            tuple(states), fold([terms] * len(states), list(states.values()), samples), strict=True
        ):
            if ruling.outcome == "continue":
                states[release] = state
            else:
                ends[release] = End(outcome=ruling.outcome, seconds=t)
                del states[release]
    return [ends[release] for release in range(releases)]
