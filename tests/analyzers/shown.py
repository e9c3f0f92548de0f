"""Many releases at once through what promotion keeps, without samples and without the judge: counts in, certificates out."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from analyzers import promotion
from analyzers.guards import share
from analyzers.intake import Tick
from analyzers.layout import CANARY, EXPECTED, EXPECTED_VARIANCE, Array, Mask, Rows, blank
from analyzers.terms import Limits, Terms
from tests.analyzers.streams import ISTIO_MS

MEDIAN_MS, SPREAD = 40.0, 0.77


@dataclass(frozen=True, kw_only=True)
class Route:
    """Traffic of a release whose weight and load change: per tick the rate of both arms together, the weight, and a factor on
    the latency of both arms; and how the canary differs.

    ``came``: factor on the odds of a request to be the canary's.
    """

    rate: float = 1000.0
    weight: Callable[[int], float] = lambda _: 0.05
    drift: Callable[[int], float] = lambda _: 1.0
    errors: Callable[[int], tuple[float, float]] = lambda _: (0.001, 0.001)
    factor: float = 1.0
    tail: float = 1.0
    came: float = 1.0

    def shares(self, drift: float, factor: float, tail: float) -> Array:
        """Shares of the buckets: lognormal, everything above p95 stretched by a power so that p99 is ``tail`` times as long."""
        at = np.log(np.array(ISTIO_MS) / (MEDIAN_MS * drift * factor)) / SPREAD
        p95, p99 = 1.6448536, 2.3263479
        stretch = 1.0 + np.log(tail) / (SPREAD * (p99 - p95))
        at = np.where(at > p95, p95 + (at - p95) / stretch, at)
        below = np.array([0.5 * (1.0 + math.erf(z / np.sqrt(2.0))) for z in at.tolist()])
        return np.diff(np.concatenate([[0.0], below, [1.0]]))


def watched(route: Route, terms: Terms, *, releases: int, ticks: int, seed: int) -> Iterator[tuple[int, Rows, Limits]]:
    """The state of all releases after each tick; it is the same arrays every time."""
    rng = np.random.default_rng(seed)
    rows, limits = Rows(np.repeat(blank()[None], releases, axis=0)), Limits.of([terms] * releases)
    for number in range(1, ticks + 1):
        tick = _tick(route, rng, releases=releases, number=number)
        shift, precision = _ranks(tick)
        with np.errstate(all="ignore"):
            promotion.fold(rows, limits, tick, shift=shift, precision=precision)
            share.fold(rows, limits, tick)
        size, ratio = tick.c.shape[1], (tick.c.sum(1) / np.maximum(tick.b.sum(1), 1.0))[:, None]
        rows.exposed[:, CANARY, :size] += tick.c
        rows.exposed[:, EXPECTED, :size] += ratio * tick.b
        rows.exposed[:, EXPECTED_VARIANCE, :size] += ratio**2 * tick.b
        yield number, rows, limits


def _tick(route: Route, rng: np.random.Generator, *, releases: int, number: int) -> Tick:
    weight = route.weight(number)
    drift, (c_rate, b_rate) = route.drift(number), route.errors(number)
    odds = weight / (1.0 - weight) * route.came
    base = (1.0 - weight) * route.rate
    c_req, b_req = rng.poisson(base * odds, releases), rng.poisson(base, releases)
    c_err, b_err = rng.binomial(c_req, c_rate), rng.binomial(b_req, b_rate)
    c = rng.multinomial(c_req - c_err, route.shares(drift, route.factor, route.tail)).astype(np.float64)
    b = rng.multinomial(b_req - b_err, route.shares(drift, 1.0, 1.0)).astype(np.float64)
    timed: Mask = (c.sum(1) > 0.0) & (b.sum(1) > 0.0)
    c[~timed], b[~timed] = 0.0, 0.0
    none = np.zeros(releases)
    return Tick(
        t=np.full(releases, float(number)),
        seen=np.ones(releases, dtype=np.bool_),
        c_err=c_err.astype(np.float64),
        b_err=b_err.astype(np.float64),
        c_req=c_req.astype(np.float64),
        b_req=b_req.astype(np.float64),
        c_den=none,
        b_den=none,
        c_una=none,
        b_una=none,
        c_unc=none,
        b_unc=none,
        timed=timed,
        lone=np.zeros(releases, dtype=np.bool_),
        c=c,
        b=b,
        c_sum=np.full(releases, np.nan),
        b_sum=np.full(releases, np.nan),
        warming=np.zeros(releases, dtype=np.bool_),
        settling=np.ones(releases),
        ageless=np.ones(releases, dtype=np.bool_),
        weight=np.full(releases, weight),
        odd=np.zeros(releases, dtype=np.int64),
    )


def _ranks(tick: Tick) -> tuple[Array, Array]:
    """Shift and precision of the tick's Mann-Whitney statistic."""
    pooled = tick.c + tick.b
    m, n, total = tick.c.sum(1), tick.b.sum(1), np.maximum(pooled.sum(1), 2.0)
    part = pooled / total[:, None]
    ranks = np.cumsum(part, axis=1) - 0.5 * part - 0.5
    pairs = np.maximum(m * n, 1.0)
    ties = total**2 / (total - 1.0) * (part**3).sum(1) - 1.0 / (total - 1.0)
    precision = np.where(tick.timed, 12.0 * pairs / (total + 1.0 - ties), 0.0)
    return np.where(tick.timed, (ranks * tick.c).sum(1) * total / pairs, 0.0), precision
