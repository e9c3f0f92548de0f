"""The same watches simulated once more, request by request, with nothing of daemon.offline.simulation: to hold a plan against."""

from collections.abc import Sequence
from itertools import count

import numpy as np

from analyzers.counts import Arm, Latency, Sample
from analyzers.judge import terms_of, to_end
from analyzers.ruling import Ruling
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
    times = count(1)

    def samples_of(places: Sequence[int]) -> list[Sample]:
        t = next(times) * service.tick_seconds
        return [
            Sample(
                t=t,
                seconds=service.tick_seconds,
                baseline=_arm(dice, service, theirs, errors=service.errors, factor=1.0),
                canary=_arm(dice, service, mine, errors=worse, factor=factor),
            )
            for _ in places
        ]

    last: dict[int, Ruling] = {}
    for places, _, rulings in to_end([terms] * releases, samples_of):
        last.update(zip(places, rulings, strict=True))
    return [End(outcome=last[release].outcome, seconds=last[release].t) for release in range(releases)]
