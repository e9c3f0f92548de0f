"""How often what is no worse, or tolerated, is taken back: seeded streams of many shapes, counts in, convictions out.

Small enough to run always; the page of the calibration has the figures.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from analyzers.arrays import Array
from analyzers.conviction import charges, weigh
from analyzers.intake import Tick
from analyzers.judge import fold_arrays
from analyzers.layout import Rows, blank
from analyzers.terms import Limits
from config.policy import Policy, Promotion
from tests.analyzers.streams import terms

BOUNDS = (10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0)
RELEASES, TICKS = 120, 80


def _lognormal(median_ms: float, spread: float) -> Callable[[np.random.Generator], Array]:
    return lambda rng: median_ms * np.exp(spread * rng.standard_normal(20_000))


def _mixed(*parts: tuple[float, float, float]) -> Callable[[np.random.Generator], Array]:
    """Parts are (share, median, spread)."""
    return lambda rng: np.concatenate(
        [median * np.exp(spread * rng.standard_normal(round(20_000 * share))) for share, median, spread in parts]
    )


USUAL = _lognormal(40.0, 0.77)


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Latencies of both arms, the factor on both at a tick, requests of both arms at a tick, and their failed shares."""

    canary: Callable[[np.random.Generator], Array] = USUAL
    baseline: Callable[[np.random.Generator], Array] = USUAL
    drift: Callable[[int], float] = lambda _: 1.0
    requests: Callable[[int], tuple[float, float]] = lambda _: (50.0, 950.0)
    errors: tuple[float, float] = (0.001, 0.001)
    stop: int = 0


def _arm(rng: np.random.Generator, latencies: Array, *, requests: float, errors: float) -> tuple[Array, Array, Array, Array]:
    """Requests, failures, histograms and sums of all releases."""
    asked = rng.poisson(requests, RELEASES)
    failed = rng.binomial(asked, errors)
    place = np.searchsorted(BOUNDS, latencies)
    shares = np.bincount(place, minlength=len(BOUNDS) + 1) / len(latencies)
    counts = rng.multinomial(asked - failed, shares).astype(np.float64)
    mean, spread = latencies.mean(), latencies.std()
    sums = np.maximum(counts.sum(1) * mean + np.sqrt(counts.sum(1)) * spread * rng.standard_normal(RELEASES), 1.0)
    return asked.astype(np.float64), failed.astype(np.float64), counts, sums


def _tick(stream: Stream, rng: np.random.Generator, number: int) -> Tick:
    m, n = stream.requests(number)
    drift = stream.drift(number)
    waits = rng.uniform(0.0, 500.0, 20_000) * (rng.random(20_000) < 0.5) if number == stream.stop else 0.0
    mine = _arm(rng, stream.canary(rng)[:20_000] * drift + waits, requests=m, errors=stream.errors[0])
    theirs = _arm(rng, stream.baseline(rng) * drift, requests=n, errors=stream.errors[1])
    none, never = np.zeros(RELEASES), np.zeros(RELEASES, dtype=np.bool_)
    timed = (mine[2].sum(1) > 0.0) & (theirs[2].sum(1) > 0.0)
    return Tick(
        t=np.full(RELEASES, float(number)),
        seen=~never,
        c_err=mine[1],
        b_err=theirs[1],
        c_req=mine[0],
        b_req=theirs[0],
        c_den=none,
        b_den=none,
        c_una=none,
        b_una=none,
        c_unc=none,
        b_unc=none,
        timed=timed,
        lone=never,
        c=np.where(timed[:, None], mine[2], 0.0),
        b=np.where(timed[:, None], theirs[2], 0.0),
        c_sum=mine[3],
        b_sum=theirs[3],
        warming=never,
        settling=np.ones(RELEASES),
        ageless=never,
        weight=np.full(RELEASES, np.nan),
        odd=np.zeros(RELEASES, dtype=np.int64),
    )


def convicted(stream: Stream, *, policy: Policy | None = None, ticks: int = TICKS, seed: int = 1) -> Array:
    """The tick at which each release is taken back; 0 for never."""
    one = terms(policy or Policy(promotion=Promotion(min_requests=10**9)), bounds_ms=BOUNDS, ticks=300)
    rng = np.random.default_rng(seed)
    rows, limits = Rows(np.repeat(blank()[None], RELEASES, axis=0)), Limits.of([one] * RELEASES)
    first = np.zeros(RELEASES)
    for number in range(1, ticks + 1):
        with np.errstate(all="ignore"):
            seen = fold_arrays(rows, limits, _tick(stream, rng, number), np.zeros(RELEASES, dtype=np.bool_))
            found = charges(rows, limits, weigh(rows, limits, seen, [{}] * RELEASES))
        for at, charge in found.items():
            if charge.leg is not None and first[at] == 0.0:
                first[at] = number
    return first


SLOW_PART = (0.015, 600.0, 0.3)
NO_WORSE = {
    "the same": Stream(),
    "faster": Stream(canary=_lognormal(30.0, 0.77)),
    "faster in the body only": Stream(
        canary=_mixed((0.985, 15.0, 0.4), SLOW_PART),
        baseline=_mixed((0.985, 30.0, 0.4), SLOW_PART),
        requests=lambda _: (10.0, 30.0),
    ),
    "two humps, the fast one faster": Stream(
        canary=_mixed((0.6, 6.0, 0.5), (0.4, 160.0, 0.5)), baseline=_mixed((0.6, 12.0, 0.5), (0.4, 160.0, 0.5))
    ),
    "one bucket": Stream(canary=_lognormal(350.0, 0.05), baseline=_lognormal(350.0, 0.05)),
    "a drift": Stream(drift=lambda number: 1.0 + 0.5 * np.sin(number / 20.0)),
    "stepped shares under a drift": Stream(
        requests=lambda number: (50.0 + 6.0 * (number // 20) * 20, 950.0 - 6.0 * (number // 20) * 20),
        drift=lambda number: 1.0 + number / 60.0,
    ),
    "mostly the canary's": Stream(requests=lambda _: (800.0, 200.0)),
    "one pause of half a second": Stream(stop=40),
    "fewer errors": Stream(errors=(0.001, 0.01)),
}


@pytest.mark.parametrize("name", NO_WORSE)
def test_a_canary_that_is_no_worse_is_not_taken_back(name: str) -> None:
    assert (convicted(NO_WORSE[name]) > 0.0).sum() <= 1


TOLERATED = {
    "0.3 % of errors where 0.5 % are allowed": Stream(errors=(0.003, 0.001)),
    "1.2 % of errors against 1 %": Stream(errors=(0.012, 0.01)),
    "5 % slower": Stream(canary=_lognormal(42.0, 0.77)),
    "5 % slower in one bucket": Stream(canary=_lognormal(350.0, 0.05), baseline=_lognormal(333.0, 0.05)),
    "3 % slower, stepped shares under a drift": Stream(
        canary=_lognormal(41.2, 0.77),
        requests=lambda number: (50.0 + 6.0 * (number // 20) * 20, 950.0 - 6.0 * (number // 20) * 20),
        drift=lambda number: 1.0 + number / 60.0,
    ),
}


@pytest.mark.broad
@pytest.mark.parametrize("name", TOLERATED)
def test_a_canary_that_is_worse_inside_its_tolerance_is_not_taken_back(name: str) -> None:
    assert (convicted(TOLERATED[name]) > 0.0).mean() <= 0.05


@pytest.mark.broad
@pytest.mark.parametrize(
    ("stream", "median"),
    [
        (Stream(errors=(0.05, 0.001)), 4.0),
        (Stream(errors=(0.2, 0.001)), 3.0),
        (Stream(canary=_lognormal(48.0, 0.77)), 12.0),
        (Stream(canary=_lognormal(60.0, 0.77)), 4.0),
        (Stream(canary=_lognormal(420.0, 0.05), baseline=_lognormal(350.0, 0.05)), 12.0),
        (Stream(canary=_mixed((0.96, 30.0, 0.4), (0.04, 600.0, 0.3)), baseline=_mixed((0.985, 30.0, 0.4), SLOW_PART)), 20.0),
    ],
    ids=["errors 5 %", "errors 20 %", "x1.2", "x1.5", "x1.2 in one bucket", "a slow end more frequent"],
)
def test_a_bad_canary_is_taken_back_soon(stream: Stream, median: float) -> None:
    first = convicted(stream, ticks=60)
    assert np.median(np.where(first > 0.0, first, np.inf)) <= median


@pytest.mark.broad
def test_the_surer_it_must_be_the_longer_it_takes() -> None:
    medians = []
    for evidence in ("fast", "balanced", "strict"):
        policy = Policy(evidence=evidence, promotion=Promotion(min_requests=10**9))
        first = convicted(Stream(errors=(0.02, 0.001)), policy=policy, ticks=60)
        medians.append(float(np.median(np.where(first > 0.0, first, np.inf))))
    assert medians[0] <= medians[1] < medians[2] < 40.0
