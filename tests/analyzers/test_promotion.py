"""Certificates by themselves."""

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from analyzers import asides, layout, p99, promotion
from analyzers.guards import share
from analyzers.intake import Tick
from analyzers.layout import ERRORS_EXPECTED, EXPOSED, Array, Mask, Rows, blank
from analyzers.legs import mean
from analyzers.terms import Limits
from config.policy import ErrorTolerance, Policy, Promotion, Tolerances, TrafficTolerance
from tests.analyzers.shown import Route, watched
from tests.analyzers.streams import World, latency, sample, terms, watch

RELEASES = 400


def _slow_end(rows: Rows, limits: Limits) -> Mask:
    return p99.progress(rows, limits) >= 1.0


def test_an_identical_canary_gets_every_certificate() -> None:
    policy = Policy(promotion=Promotion(min_requests=10**9))
    one = terms(policy)
    state, _ = watch(one, World(canary_rps=500.0, baseline_rps=500.0).ticks(1, 120))
    rows, limits = Rows(state.row[None]), Limits.of([one])
    found = promotion.certify(rows, limits)
    assert min(found.errors[0], found.rank[0], found.mean[0]) >= 1.0
    assert found.typical[0] == min(found.rank[0], found.mean[0])
    assert bool(_slow_end(rows, limits)[0]) == bool(p99.certified_bound(rows, limits)[0] <= 1.10)


@pytest.mark.parametrize(("failed", "surely"), [(0.0, False), (3.0, False), (60.0, False), (90.0, True), (9000.0, True)])
@pytest.mark.parametrize("max_rate", [0.0, 0.005])
def test_a_baseline_is_unwell_once_its_failures_surely_exceed_the_limit(failed: float, surely: bool, max_rate: float) -> None:
    """Of 10 000 requests. Without a limit's room a few failures are enough, three are not."""
    rows, limits = Rows(blank()[None]), Limits.of([terms(_errors(max_rate=max_rate, above_baseline=0.0))])
    rows.counts[0, [layout.B_ERR, layout.B_REQ]] = failed, 1e4
    failing, rate = asides.unwell(rows, limits)
    assert (bool(failing[0]), rate[0]) == (surely or (max_rate == 0.0 and failed > 3.0), failed / 1e4)


def test_ticks_with_few_requests_are_merged_until_they_make_a_mean() -> None:
    """Three requests a tick: without merging a slow service, or one sampled often, could never show its mean latency."""
    one = terms(Policy(promotion=Promotion(min_requests=10**9)))
    state, _ = watch(one, World(canary_rps=3.0, baseline_rps=30.0).ticks(1, 200))
    rows = Rows(state.row[None])
    requests = rows.counts[0, layout.C_LAT]
    means, waiting = rows.safe_mean[0, 0], rows.mean_wait[0, 2]
    assert waiting < mean.MIN_REQUESTS
    assert requests / (mean.MIN_REQUESTS + 15.0) < means <= requests / mean.MIN_REQUESTS


def test_merging_changes_nothing_where_every_tick_has_enough() -> None:
    one = terms(Policy(promotion=Promotion(min_requests=10**9)))
    state, _ = watch(one, World().ticks(1, 20))
    rows = Rows(state.row[None])
    assert rows.safe_mean[0, 0] == 20.0
    assert not rows.mean_wait.any()


def _errors(*, max_rate: float, above_baseline: float) -> Policy:
    return Policy(tolerances=Tolerances(errors=ErrorTolerance(max_rate=max_rate, above_baseline=above_baseline)))


def _tick(counts: Array) -> Tick:
    """Errors and requests, (releases, 4): failed and asked of the canary, then of the baseline. No latency."""
    none, off = np.zeros(len(counts)), np.zeros(len(counts), dtype=np.bool_)
    c_err, c_req, b_err, b_req = counts.T
    numbers = {"c_err": c_err, "b_err": b_err, "c_req": c_req, "b_req": b_req, "c_den": none, "b_den": none}
    numbers |= dict.fromkeys(("c_una", "b_una", "c_unc", "b_unc"), none)
    unknown = np.full(len(counts), math.nan)
    times = {"c": np.zeros((len(counts), 2)), "b": np.zeros((len(counts), 2)), "c_sum": unknown, "b_sum": unknown}
    return Tick(
        t=none,
        seen=~off,
        timed=off,
        lone=off,
        warming=off,
        ageless=off,
        settling=none,
        weight=unknown,
        odd=np.zeros(len(counts), dtype=np.int64),
        **numbers,
        **times,
    )


def _binomial(number: int, rate: float) -> Array:
    return np.array([math.comb(number, k) * rate**k * (1.0 - rate) ** (number - k) for k in range(number + 1)])


@pytest.mark.parametrize(("canary", "baseline"), [(1, 0), (3, 9), (8, 4), (6, 30), (12, 1)])
@pytest.mark.parametrize("known", [0.0, 0.02, 0.4], ids=["nothing known", "2 % known", "40 % known"])
def test_what_is_bet_for_a_canary_has_a_mean_of_at_most_one_wherever_it_is_beyond_tolerance(
    canary: int, baseline: int, known: float
) -> None:
    """By enumeration of all tables of a tick, at rates where both limits are passed, whichever of them is bet against."""
    table = np.array([[a, canary, b, baseline] for a, b in product(range(canary + 1), range(baseline + 1))], dtype=np.float64)
    for max_rate, above in ((0.05, 0.02), (0.0, 0.1), (0.3, 0.0), (0.02, 0.2)):
        one = terms(_errors(max_rate=max_rate, above_baseline=above))
        rows, limits = Rows(np.repeat(blank()[None], len(table), axis=0)), Limits.of([one] * len(table))
        rows.shown[:, EXPOSED], rows.shown[:, ERRORS_EXPECTED] = 1000.0, 1000.0 * known
        tick, usual = _tick(table), promotion._usual(rows)
        arms = (tick.c_err, tick.c_req), (tick.b_err, tick.b_req)
        bets = np.exp(promotion._bets(*arms, usual, limits.max_rate, limits.above_baseline))
        for base in (0.0, 0.01, 0.1, 0.5, 0.8):
            for rate in (max(max_rate, base + above), min(1.0, 1.5 * max(max_rate, base + above))):
                chances = np.outer(_binomial(canary, rate), _binomial(baseline, base)).ravel()
                assert (chances @ bets <= 1.0 + 1e-12).all()


def test_whichever_limit_can_be_shown_at_the_baselines_rate_is_bet_against() -> None:
    """Where the baseline fails more than the absolute limit, only the comparison can clear a canary, and the other way round."""
    counts = np.array([[0.0, 1000.0, 1.0, 19000.0], [30.0, 1000.0, 570.0, 19000.0]])
    one = terms(_errors(max_rate=0.005, above_baseline=0.02))
    rows, limits = Rows(np.repeat(blank()[None], 2, axis=0)), Limits.of([one] * 2)
    none = np.zeros(2)
    for _ in range(4):
        promotion.fold(rows, limits, _tick(counts), shift=none, precision=none)
    assert (promotion.certify(rows, limits).errors >= 1.0).all()
    assert promotion.certify(rows, limits).error_limit == pytest.approx([0.02 + 1 / 19000, 0.05])


def _stepped(number: int) -> float:
    return 0.05 if number <= 60 else 0.2 if number <= 120 else 0.5


def _rising(number: int) -> float:
    """Latency of both arms grows by half every 150 ticks."""
    return float(1.5 ** (number / 150.0 - 1.0))


Certified = Callable[[Rows, Limits], Mask]


def _ever(route: Route, policy: Policy, certified: Certified, *, ticks: int = 240, releases: int = RELEASES) -> float:
    """Share of the releases that had the certificate at any time, looked for every third tick."""
    ever = np.zeros(releases, dtype=np.bool_)
    for number, rows, limits in watched(route, terms(policy, ticks=ticks), releases=releases, ticks=ticks, seed=number_of(route)):
        if number % 3 == 0:
            with np.errstate(all="ignore"):
                ever |= certified(rows, limits)
    return float(ever.mean())


def number_of(route: Route) -> int:
    """A seed of its own for each."""
    return round(1000.0 * (route.factor + 3.0 * route.tail + 5.0 * route.came) + 1e6 * route.weight(200))


def _by_errors(rows: Rows, limits: Limits) -> Mask:
    return promotion.certify(rows, limits).errors >= 1.0


def _by_rank(rows: Rows, limits: Limits) -> Mask:
    return promotion.certify(rows, limits).rank >= 1.0


BOTH = _errors(max_rate=0.005, above_baseline=0.005)
ABSOLUTE = _errors(max_rate=0.005, above_baseline=0.0)
STEPPED = Route(weight=_stepped, drift=_rising)


@pytest.mark.broad
@pytest.mark.parametrize(
    ("route", "policy", "certified"),
    [
        (Route(errors=lambda _: (0.005, 0.001)), ABSOLUTE, _by_errors),
        (Route(errors=lambda _: (0.006, 0.001)), BOTH, _by_errors),
        (Route(errors=lambda t: (0.005 + 0.001 * 1.02**t, 0.001 * 1.02**t), weight=_stepped), BOTH, _by_errors),
        (Route(factor=1.10), Policy(), _by_rank),
        (Route(factor=1.10, weight=_stepped, drift=_rising), Policy(), _by_rank),
        (Route(factor=1.10, weight=_stepped, drift=lambda t: 1.0 / _rising(t)), Policy(), _by_rank),
        (Route(tail=1.10), Policy(), _slow_end),
        (Route(factor=1.10, weight=_stepped, drift=_rising), Policy(), _slow_end),
        (Route(factor=1.10, weight=_stepped, drift=lambda t: 1.0 / _rising(t)), Policy(), _slow_end),
    ],
    ids=[
        "errors at the absolute limit", "errors at the relative limit", "the same, stepped share and errors that grow",
        "typical latency", "typical latency, stepped share, slowing", "typical latency, stepped share, speeding up",
        "p99", "slow end, stepped share, slowing", "slow end, stepped share, speeding up",
    ],
)  # fmt: skip
def test_a_canary_at_a_tolerance_is_certified_no_more_often_than_the_policy_says(
    route: Route, policy: Policy, certified: Certified
) -> None:
    """At most alpha = 5 % over all looks; 400 releases: 7.5 % would be three standard errors above."""
    assert _ever(route, policy, certified) <= 0.05


@pytest.mark.parametrize("drift", [_rising, lambda t: 1.0 / _rising(t)], ids=["slowing", "speeding up"])
def test_an_identical_canary_is_certified_while_its_share_is_stepped_and_load_drifts(drift: Callable[[int], float]) -> None:
    route = Route(weight=_stepped, drift=drift, errors=lambda t: (0.0005 * 1.01**t, 0.0005 * 1.01**t))

    def everything(rows: Rows, limits: Limits) -> Mask:
        found = promotion.certify(rows, limits)
        return (found.errors >= 1.0) & (found.rank >= 1.0) & _slow_end(rows, limits)

    assert _ever(route, BOTH, everything, releases=100) >= 0.97


def _strays(route: Route, factor: float = 1.25, *, ticks: int = 120) -> tuple[float, float]:
    """Share of the releases that were ever surely outside the policy's factor, and the median part answered at the end."""
    policy = Policy(tolerances=Tolerances(traffic=TrafficTolerance(share_factor=factor)))
    ever, part = np.zeros(RELEASES, dtype=np.bool_), np.zeros(RELEASES)
    for _, rows, _ in watched(route, terms(policy), releases=RELEASES, ticks=ticks, seed=number_of(route)):
        ever |= share.mismatched(rows)
        part = share.answered(rows)
    return float(ever.mean()), float(np.median(part))


@pytest.mark.broad
@pytest.mark.parametrize("weight", [lambda _: 0.05, lambda _: 0.5, _stepped], ids=["5 %", "50 %", "stepped"])
def test_lost_requests_forbid_a_promotion_and_sticky_sessions_do_not(weight: Callable[[int], float]) -> None:
    """30 % never answered are outside a factor 1.25 of the odds at every weight; a fifth more, by sticky sessions, is inside."""
    for came, outside in ((1.0, 0.0), (0.7, 1.0)):
        strays, answered = _strays(Route(weight=weight, came=came))
        assert strays == outside
        assert answered == pytest.approx(came, abs=0.02)
    for inside in (1.2, 1.0 / 1.2):
        assert _strays(Route(weight=weight, came=inside))[0] == 0.0
    assert _strays(Route(weight=weight, came=1.5))[0] == 1.0
    assert _strays(Route(weight=weight, came=1.5), factor=1.6)[0] == 0.0


def test_where_no_weight_is_known_or_nothing_is_split_no_share_is_wrong() -> None:
    counts = np.array([[0.0, 900.0, 0.0, 100.0]] * 4)
    tick = _tick(counts)
    tick.weight[:] = [math.nan, 0.0, 1.0, 0.1]
    rows, limits = Rows(np.repeat(blank()[None], 4, axis=0)), Limits.of([terms()] * 4)
    share.fold(rows, limits, tick)
    assert share.mismatched(rows).tolist() == [False, False, False, True]
    assert np.isnan(share.answered(rows)).tolist() == [True, True, True, False]
    assert share.answered(rows)[3] == pytest.approx(81.0)


def test_a_sample_that_carries_its_weight_goes_before_what_was_announced() -> None:
    """A weight of 5 % was announced and 50 % is there now; one that is no weight is not known."""
    shown = {}
    for weight in (50.0, None, 101.0):
        one = sample(1.0, canary=(500, 0), baseline=(500, 0))
        _, ruling = watch(
            terms(Policy(promotion=Promotion(min_seconds=1.0)), weight=5.0, ticks=1, bounds_ms=()),
            [type(one)(t=1.0, seconds=1.0, baseline=one.baseline, canary=one.canary, weight=weight)],
        )
        shown[weight] = "set share_factor" in ruling.reason
    assert shown == {50.0: False, None: True, 101.0: False}


@pytest.mark.parametrize(
    ("slow", "bounds_ms", "said"),
    [
        (((0, 0, 0), (0, 0, 0)), (250.0, 500.0), "the slow end was not measured"),
        (((0, 500), (1, 9500)), (250.0,), "p99 could not be told: there is a single latency bound"),
        (
            ((0, 500, 0), (2, 9994, 4)), (250.0, 500.0),
            "p99 could not be told: all but 0.06 % of the requests lie between 250 and 500 ms",
        ),
        (((0, 500, 0), (0, 10_000, 0)), (250.0, 500.0), "p99 could not be told: all of the requests lie between 250 and 500 ms"),
        (
            ((0, 450, 50), (2, 8800, 1200)), (250.0, 500.0),
            "p99 could not be told: 12 % of the requests take longer than 500 ms",
        ),
        (((0, 500, 0), (4000, 5900, 100)), (250.0, 500.0), "p99 could not be told: 59 % of the requests lie"),
    ],
    ids=["none", "a single bound", "one bucket", "all in it", "above the last bound", "a slope that is not known"],
)  # fmt: skip
def test_what_cannot_be_told_of_the_slow_end_is_said(
    slow: tuple[tuple[int, ...], tuple[int, ...]], bounds_ms: tuple[float, ...], said: str
) -> None:
    one = terms(Policy(promotion=Promotion(min_requests=10**9)), bounds_ms=bounds_ms)
    state, _ = watch(one, [sample(float(t), slow=(latency(slow[0]), latency(slow[1]))) for t in range(1, 4)])
    assert p99.told(Rows(state.row[None]), Limits.of([one]))[0].startswith(said)


def test_a_slow_end_with_too_few_requests_is_said_to_be_so_and_a_certified_one_with_its_bound() -> None:
    one = terms(Policy(promotion=Promotion(min_requests=10**9)))
    for ticks, said in ((3, "the slow end could not be told on 1"), (90, "the slow end is at most 1.")):
        state, _ = watch(one, World().ticks(1, ticks))
        assert p99.told(Rows(state.row[None]), Limits.of([one]))[0].startswith(said)
