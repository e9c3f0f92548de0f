"""A second generator of releases, by other means: what the judge was never tuned on.

It shares no drawing with `daemon.offline.simulation`: latencies are drawn one by one, once, from numpy's own distributions, and
binned; a tick's counts are a Poisson number for every bucket; the load and the speed of both arms jump together between two regimes
(a Markov chain); failures come from a rate that itself is drawn anew every tick (gamma), and from moments in which a shared
backend is down for both arms. Its rows are for looking, not for choosing constants by.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from analyzers.counts import Arm, Latency, Sample

Floats = npt.NDArray[np.float64]
Law = Literal["weibull", "gammas", "truncated", "humps", "steps", "cauchy"]
LINKERD_MS: Final = (1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 100, 200, 300, 400, 500, 1000, 2000, 3000, 4000, 5000, 10000, 20000)
RAW_MS: Final = tuple(digit * power for power in (1.0, 10.0, 100.0, 1000.0) for digit in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9))
"""Log-linear bins as Envoy and its relatives keep them, thinned."""
TEN_MS: Final = (5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0, 10000.0)
"""What many client libraries take by default."""
_DRAWN: Final = 400_000
"""Latencies behind a distribution: its own error is common to both arms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A release of the second generator.

    Attributes:
        canary_rps, baseline_rps: mean requests per second. tick_seconds: of a tick.
        law: how latency is distributed. bounds_ms: how it is read.
        errors: mean failed share. flicker: variance of a tick's failure rate over its square (both arms', each by itself).
        down: chance per tick that a shared backend fails 5 % of both arms' requests in it.
        busy: in the busy regime there are so many times as many requests, and all take ``strain`` times as long.
        sojourn: mean ticks in a regime.
        canary_factor: on all of the canary's latencies from ``onset_tick`` on.
        slowest, slow_factor: this share of the slowest latencies of the canary is longer by this factor.
        fastest_factor: on the faster half of the canary's latencies, fading out towards p95.
        canary_errors: failed share of the canary from the onset on; null for the same.
    """

    canary_rps: float = 80.0
    baseline_rps: float = 720.0
    tick_seconds: float = 1.0
    law: Law = "weibull"
    bounds_ms: tuple[float, ...] = TEN_MS
    errors: float = 0.002
    flicker: float = 0.0
    down: float = 0.0
    busy: float = 1.0
    strain: float = 1.0
    sojourn: float = 20.0
    onset_tick: int = 0
    canary_factor: float = 1.0
    slowest: float = 0.0
    slow_factor: float = 1.0
    fastest_factor: float = 1.0
    canary_errors: float | None = None

    @property
    def weight(self) -> float:
        """The canary's weight in percent."""
        return 100.0 * self.canary_rps / (self.canary_rps + self.baseline_rps)


def _latencies(law: Law, dice: np.random.Generator) -> Floats:
    """Latencies in ms."""
    size = _DRAWN
    match law:
        case "weibull":
            return 38.0 * dice.weibull(1.3, size)
        case "gammas":
            return np.where(dice.random(size) < 0.7, dice.gamma(6.0, 3.0, size), 40.0 + dice.gamma(1.5, 60.0, size))
        case "truncated":
            drawn = dice.normal(90.0, 60.0, 3 * size)
            return drawn[(drawn > 12.0) & (drawn < 260.0)][:size]
        case "humps":
            return np.where(
                dice.random(size) < 0.7, dice.lognormal(np.log(12.0), 0.35, size), dice.lognormal(np.log(300.0), 0.4, size)
            )
        case "steps":
            return dice.choice(np.array([8.0, 22.0, 45.0, 130.0, 420.0]), size, p=[0.3, 0.3, 0.25, 0.13, 0.02]) * dice.uniform(
                0.9, 1.1, size
            )
        case "cauchy":
            return 5.0 + 20.0 * np.abs(dice.standard_t(2.5, size))


@lru_cache(maxsize=128)
def _binned(service: Service, *, changed: bool, busy: bool) -> tuple[Floats, Floats]:
    """Share and mean latency of every bucket."""
    dice = np.random.default_rng(list(service.law.encode()))
    latencies = np.sort(_latencies(service.law, dice))
    if changed:
        rank = np.linspace(0.0, 1.0, len(latencies))
        latencies = latencies * service.canary_factor * np.where(rank > 1.0 - service.slowest, service.slow_factor, 1.0)
        latencies = latencies * service.fastest_factor ** np.clip((0.95 - rank) / 0.45, 0.0, 1.0)
    if busy:
        latencies = latencies * service.strain
    place = np.searchsorted(np.array(service.bounds_ms), latencies)
    number = np.bincount(place, minlength=len(service.bounds_ms) + 1).astype(np.float64)
    total = np.bincount(place, weights=latencies, minlength=len(service.bounds_ms) + 1)
    return number / number.sum(), total / np.maximum(number, 1.0)


def feed(service: Service, *, ticks: int, releases: int, seed: np.random.SeedSequence) -> Iterator[partial[list[Sample]]]:
    """Per tick, what gives the samples of the releases at some places."""
    dice = np.random.default_rng(np.random.PCG64DXSM(seed))
    busy = dice.random(releases) < 0.5
    for number in range(1, ticks + 1):
        busy = busy ^ (dice.random(releases) < 1.0 / service.sojourn)
        down = dice.random(releases) < service.down
        changed = number > service.onset_tick
        arms = [
            _arm(service, dice, rps=rps, changed=changed and canary, busy=busy, down=down)
            for rps, canary in ((service.canary_rps, True), (service.baseline_rps, False))
        ]
        yield partial(_samples, service, number * service.tick_seconds, arms[0], arms[1])


_Drawn = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]


def _arm(
    service: Service,
    dice: np.random.Generator,
    *,
    rps: float,
    changed: bool,
    busy: npt.NDArray[np.bool_],
    down: npt.NDArray[np.bool_],
) -> _Drawn:
    """Failures (releases,), histograms (releases, J) and sums of an arm."""
    calm, strained = (_binned(service, changed=changed, busy=state) for state in (False, True))
    arriving = rps * service.tick_seconds * np.where(busy, service.busy, 1.0)
    rate = np.full(len(busy), service.errors if service.canary_errors is None or not changed else service.canary_errors)
    if service.flicker > 0.0:
        rate = rate * dice.gamma(1.0 / service.flicker, service.flicker, len(busy))
    rate = np.minimum(rate + np.where(down, 0.05, 0.0), 1.0)
    failed = dice.poisson(arriving * rate)
    share, mean = (np.where(busy[:, None], slow, fast) for fast, slow in zip(calm, strained, strict=True))
    counts = dice.poisson((arriving * (1.0 - rate))[:, None] * share)
    return failed, counts, (counts * mean).sum(1) * dice.normal(1.0, 0.002, len(busy))


def _samples(service: Service, t: float, canary: _Drawn, baseline: _Drawn, places: Sequence[int]) -> list[Sample]:
    arms = []
    for failed, counts, sums in (canary, baseline):
        chosen = zip(failed[places].tolist(), counts[places].tolist(), sums[places].tolist(), strict=True)
        arms.append([Arm(requests=sum(c) + f, errors=f, latency=Latency(counts=tuple(c), sum_ms=total)) for f, c, total in chosen])
    seconds, weight = service.tick_seconds, service.weight
    return [Sample(t=t, seconds=seconds, baseline=b, canary=c, weight=weight) for c, b in zip(*arms, strict=True)]
