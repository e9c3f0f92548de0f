"""Guards hold what only looks like evidence, and do not stand in the way of an outage."""

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from analyzers.counts import Arm, Latency, Pod, Sample
from analyzers.evidence import Standing
from analyzers.guards import bursts, dispersion, pods
from analyzers.intake import pack
from analyzers.judge import fold, start
from analyzers.layout import BASELINE_RING, CANARY_RING, Rows
from analyzers.legs import mean
from analyzers.legs.table import LEGS, TYPICAL
from config.policy import LatencyTolerance, Policy, Tolerances
from tests.analyzers.streams import World, latency, sample, terms, watch


def test_an_outage_is_rolled_back_in_its_first_tick() -> None:
    """20 % of errors or more with at least 20 of them in one tick does not wait for a second, nor for a guard against bursts."""
    one = terms(bounds_ms=())
    assert watch(one, [sample(1.0, canary=(100, 20), baseline=(900, 1))])[1].outcome == "rollback"
    late = [sample(float(t), canary=(100, 0), baseline=(900, 1)) for t in range(1, 100)]
    _, ruling = watch(one, [*late, sample(100.0, canary=(100, 20), baseline=(900, 1))])
    assert (ruling.outcome, ruling.tick) == ("rollback", 100)


def test_an_outage_of_both_arms_is_none_of_the_canarys() -> None:
    _, ruling = watch(terms(bounds_ms=()), [sample(float(t), canary=(100, 40), baseline=(900, 360)) for t in range(1, 20)])
    assert ruling.outcome == "continue"
    assert ruling.evidence < 10.0


def test_errors_in_bursts_cool_the_evidence() -> None:
    """Bursts of fifteen in both arms: the canary's share of them is chance, and is held."""
    stream = [
        sample(float(t), canary=(100, 15 if t in {10, 16, 22, 28, 34} else 0), baseline=(900, 15 if t % 12 == 0 else 0))
        for t in range(1, 41)
    ]
    _, ruling = watch(terms(bounds_ms=()), stream)
    assert ruling.outcome == "continue"
    assert ruling.evidence > ruling.boundary
    assert "failures come in bursts" in ruling.reason
    _, ended = watch(terms(bounds_ms=(), ticks=40), stream)
    assert ended.outcome == "inconclusive"
    assert "Failures come in bursts, about " in ended.findings[0].sentence


def test_dispersion_of_independent_errors_is_one_and_of_clumps_their_size() -> None:
    rng = np.random.default_rng(1)
    requests = np.full((400, BASELINE_RING), 1000.0)
    single = rng.poisson(1.0, requests.shape).astype(float)
    clumped = 5.0 * rng.poisson(0.2, requests.shape)
    assert (bursts.dispersion(np.stack([single, requests], axis=-1)) > 1.0).mean() < 0.03
    assert np.median(bursts.dispersion(np.stack([clumped, requests], axis=-1))) == pytest.approx(5.0, abs=1.0)
    assert bursts.dispersion(np.zeros((1, BASELINE_RING, 2))).tolist() == [1.0]


def test_a_canary_that_begins_to_fail_is_no_clump() -> None:
    rng = np.random.default_rng(2)
    failing = np.where(np.arange(CANARY_RING) < 25, 0.05, 2.5)
    ring = np.stack([rng.poisson(failing, (400, CANARY_RING)).astype(float), np.full((400, CANARY_RING), 50.0)], axis=-1)
    newest = np.full(400, CANARY_RING - 1)
    assert (bursts.dispersion(ring) > 1.0).mean() > 0.8
    assert (bursts.successive_dispersion(ring, newest) > 1.0).mean() < 0.25


@pytest.mark.parametrize(
    ("errors", "requests"),
    [
        ((1, 33, 31, 36), (652, 772, 724, 705)),
        ((0, 12, 31, 36), (652, 772, 724, 705)),
        ((1, 2, 1, 20, 36), (650, 700, 690, 772, 724)),
    ],
)
def test_the_step_of_a_canary_that_begins_to_fail_after_a_few_ticks_is_no_clump(errors: list[int], requests: list[int]) -> None:
    ring = np.zeros((1, CANARY_RING, 2))
    ring[0, : len(errors)] = np.array((errors, requests)).T
    assert bursts.successive_dispersion(ring, np.array([len(errors) - 1])).tolist() == [1.0]


def test_clumps_of_the_canary_are_seen_for_their_size_and_independent_errors_for_none() -> None:
    rng = np.random.default_rng(5)
    requests = np.full((400, CANARY_RING), 500.0)
    newest = np.full(400, CANARY_RING - 1)
    single = np.stack([rng.poisson(5.0, requests.shape).astype(float), requests], axis=-1)
    clumped = np.stack([5.0 * rng.poisson(1.0, requests.shape), requests], axis=-1)
    assert (bursts.successive_dispersion(single, newest) > 1.0).mean() < 0.03
    assert np.median(bursts.successive_dispersion(clumped, newest)) == pytest.approx(5.0, abs=1.0)


def _blocks(z: np.ndarray) -> float:
    """Dispersion after the standardised statistics ``z`` of successive ticks, through a judge's rows."""
    from analyzers.layout import Rows, blank

    rows = Rows(blank()[None].copy())
    for value in z:
        dispersion.fold(rows, shift=np.array([value]), precision=np.array([1.0]))
    dispersion.fold(rows, shift=np.array([0.0]), precision=np.array([0.0]))
    return float(dispersion.dispersion(rows.blocks)[0])


def test_latency_that_jumps_from_tick_to_tick_is_dispersed_and_a_late_regression_is_not() -> None:
    rng = np.random.default_rng(3)
    calm = [_blocks(rng.standard_normal(120)) for _ in range(60)]
    jumpy = [_blocks(3.0 * rng.standard_normal(120)) for _ in range(60)]
    late = [_blocks(rng.standard_normal(120) + 1.3 * (np.arange(120) > 100)) for _ in range(60)]
    assert np.mean(np.array(calm) > 1.0) < 0.35
    assert np.median(jumpy) > 3.5
    assert np.mean(np.array(late) > 1.0) < 0.45


def test_latency_that_jumps_holds_the_rollback() -> None:
    """Canary ticks alternate between much faster and much slower: evidence passes the boundary, the guard holds."""
    fast, slow = latency((26, 16, 8)), latency((3, 10, 37))
    base = latency((300, 350, 300))
    stream = [sample(float(t), slow=(slow if t % 2 else fast, base)) for t in range(1, 13)]
    _, before = watch(terms(bounds_ms=(10.0, 20.0)), [*stream, *(sample(20.0 + t, slow=(slow, base)) for t in range(6))])
    assert before.outcome == "continue"
    assert before.evidence > before.boundary
    assert "latency moves from tick to tick" in before.reason
    _, ended = watch(terms(bounds_ms=(10.0, 20.0), ticks=12), stream)
    assert "Latency moves from tick to tick on its own" in ended.findings[2].sentence


def _pod(counts: tuple[int, ...], *, age: float | None = 500.0, middle: float = 10.0) -> Pod:
    return Pod(requests=sum(counts), latency=Latency(counts=counts, sum_ms=middle * sum(counts)), age_seconds=age)


def _with_pods(t: float, canary: dict[str, Pod], baseline: dict[str, Pod]) -> Sample:
    arms = []
    for mine in (canary, baseline):
        parts = [pod.latency for pod in mine.values() if pod.latency is not None]
        counts = tuple(map(sum, zip(*(part.counts for part in parts), strict=True)))
        whole = Latency(counts=counts, sum_ms=sum(part.sum_ms for part in parts))
        arms.append(Arm(requests=sum(pod.requests for pod in mine.values()), latency=whole, pods=mine))
    return Sample(t=t, seconds=1.0, canary=arms[0], baseline=arms[1])


QUICK, USUAL, SLOW, SLOWEST = (140, 40, 20), (100, 60, 40), (60, 60, 80), (20, 40, 140)


def test_a_canary_no_slower_than_the_slow_pods_of_the_baseline_is_held() -> None:
    spread = {"a": _pod(QUICK), "b": _pod(USUAL), "c": _pod(SLOWEST), "d": _pod(QUICK), "e": _pod(SLOWEST), "f": _pod(QUICK)}
    stream = [_with_pods(float(t), {"x": _pod(SLOWEST)}, spread) for t in range(1, 20)]
    _, ruling = watch(terms(bounds_ms=(10.0, 20.0), ticks=30), stream)
    assert ruling.outcome == "continue"
    assert ruling.evidence > ruling.boundary
    assert "between pods" in ruling.reason
    _, ended = watch(terms(bounds_ms=(10.0, 20.0), ticks=19), stream)
    assert "The difference is no larger than that between pods" in ended.findings[2].sentence


@pytest.mark.parametrize("canaries", [1, 3])
def test_a_canary_slower_than_every_pod_of_the_baseline_is_not_held(canaries: int) -> None:
    alike = {f"b{at}": _pod((100 + at % 3, 60, 40), middle=10.0 + 0.01 * at) for at in range(8)}
    slow = {f"c{at}": _pod((60, 60, 80 + at), middle=15.0) for at in range(canaries)}
    _, ruling = watch(terms(bounds_ms=(10.0, 20.0)), [_with_pods(float(t), slow, alike) for t in range(1, 20)])
    assert ruling.outcome == "rollback"
    assert ruling.findings[2].sentence.endswith("The difference is larger than that between pods of one version.")


def _tally(rank: float, tail: float, above: float) -> pods.Tally:
    """Of a pod of 10 requests in a tick, whose chance is none."""
    return 10.0, rank, tail, above, 10.0, 0.0, 0.0, 0.0, 0.0, 1.0


def _failures(requests: float, failed: float) -> pods.Tally:
    return 0.0, 0.0, 0.0, 0.0, requests, failed, 0.0, 0.0, 0.0, 0.0


def test_too_few_pods_are_not_asked() -> None:
    assert pods.agreement({"cx": _tally(1.0, 1.0, 1.0), "ba": _tally(1.0, 1.0, 1.0)}) is None
    assert pods.agreement({"ba": _tally(1.0, 1.0, 1.0)}) is None


def test_pods_that_are_exactly_alike_agree_on_any_difference() -> None:
    baseline = {f"b{at}": _tally(1.0, 0.0, 2.0) for at in range(3)}
    assert pods.agreement({"cx": _tally(2.0, -1.0, 2.0), **baseline}) == (True, False, False)


def test_no_more_than_so_many_pods_are_remembered() -> None:
    many = {f"b{at}": _pod((1, 1, 1)) for at in range(200)}
    state, _ = watch(terms(bounds_ms=(10.0, 20.0)), [_with_pods(float(t), {"x": _pod((1, 1, 1))}, many) for t in (1, 2)])
    assert len(state.pods) == pods.MOST_PODS


def test_pods_without_a_usable_histogram_are_left_out() -> None:
    odd = {"a": _pod((5, 5, 5)), "b": Pod(requests=3), "c": _pod((5, 5)), "d": _pod((5, 5, 5), middle=float("nan"))}
    whole = Arm(requests=15, latency=latency((5, 5, 5)), pods=odd)
    one_sided = Arm(requests=15, latency=latency((5, 5, 5)))
    state, _ = watch(terms(bounds_ms=(10.0, 20.0)), [Sample(t=1.0, seconds=1.0, canary=whole, baseline=whole)])
    assert sorted(key for key, tally in state.pods.items() if tally[0] > 0.0) == ["ba", "ca"]
    state, _ = watch(terms(bounds_ms=(10.0, 20.0)), [Sample(t=1.0, seconds=1.0, canary=whole, baseline=one_sided)])
    assert dict(state.pods) == {}


def test_latency_of_young_pods_is_not_judged_until_they_are_warm() -> None:
    old = {"a": _pod(USUAL), "b": _pod(USUAL)}
    cold = {"x": _pod(SLOW, age=5.0)}
    _, young = watch(terms(bounds_ms=(10.0, 20.0)), [_with_pods(float(t), cold, old) for t in range(1, 20)])
    assert young.legs["typical"].e_value == pytest.approx(1.0)
    assert young.reason.endswith("the latency of young pods is not judged yet")
    mixed = {"x": _pod(SLOW, age=5.0), "y": _pod(USUAL, age=100.0)}
    state, _ = watch(terms(bounds_ms=(10.0, 20.0)), [_with_pods(float(t), mixed, old) for t in range(1, 4)])
    assert sorted(key for key, tally in state.pods.items() if tally[0] > 0.0) == ["ba", "bb", "cy"]


def test_young_pods_whose_old_neighbours_bring_no_histogram_idle_the_tick() -> None:
    canary = Arm(
        requests=400,
        latency=latency(SLOW),
        pods={"x": _pod(SLOW, age=5.0), "y": Pod(requests=200, age_seconds=100.0)},
    )
    baseline = Arm(requests=400, latency=latency(USUAL))
    _, ruling = watch(terms(bounds_ms=(10.0, 20.0)), [Sample(t=1.0, seconds=1.0, canary=canary, baseline=baseline)])
    assert ruling.legs["typical"].e_value == pytest.approx(1.0)


def test_pods_of_both_arms_that_are_equally_cold_need_no_warm_up() -> None:
    stream = [_with_pods(float(t), {"x": _pod(SLOW, age=5.0, middle=15.0)}, {"a": _pod(USUAL, age=7.0)}) for t in range(1, 20)]
    _, ruling = watch(terms(bounds_ms=(10.0, 20.0)), stream)
    assert ruling.outcome == "rollback"


def test_errors_of_young_pods_are_judged_at_once() -> None:
    cold = {"x": Pod(requests=100, errors=30, age_seconds=1.0)}
    canary = Arm(requests=100, errors=30, pods=cold)
    _, ruling = watch(terms(bounds_ms=()), [Sample(t=1.0, seconds=1.0, canary=canary, baseline=Arm(requests=900, pods={}))])
    assert (ruling.outcome, ruling.leg) == ("rollback", "errors")


@pytest.mark.broad
def test_a_late_regression_is_found_about_as_fast_as_an_early_one() -> None:
    ticks = [watch(terms(ticks=400), World(factor=1.3, onset=55).ticks(seed, 400))[1].tick for seed in range(8)]
    assert np.median(ticks) <= 55 + 12


def _failing_pods(canary: dict[str, int], baseline: dict[str, int], *, requests: int = 100) -> Sample:
    arms = [
        Arm(
            requests=requests * len(failures),
            errors=sum(failures.values()),
            pods={name: Pod(requests=requests, errors=failed) for name, failed in failures.items()},
        )
        for failures in (canary, baseline)
    ]
    return Sample(t=1.0, seconds=1.0, canary=arms[0], baseline=arms[1])


def _ticks(one: Sample, number: int) -> list[Sample]:
    return [replace(one, t=float(t)) for t in range(1, number + 1)]


UNEVEN = {"a": 0, "b": 5, "c": 0, "d": 5, "e": 1, "f": 1}


def test_a_canary_that_fails_no_more_than_the_failing_pods_of_the_baseline_is_held() -> None:
    stream = _ticks(_failing_pods({"x": 5}, UNEVEN), 40)
    _, ruling = watch(terms(ticks=60), stream)
    assert ruling.outcome == "continue"
    assert ruling.evidence > ruling.boundary
    assert "pods of one version differ in their failures, " in ruling.reason
    _, ended = watch(terms(ticks=40), stream)
    assert "Pods of one version differ in their failures, " in ended.findings[0].sentence


def test_one_canary_pod_that_fails_alone_does_not_hold_its_own_conviction() -> None:
    alike = dict.fromkeys("abcdef", 1)
    _, ruling = watch(terms(), _ticks(_failing_pods({"x": 30, "y": 1, "z": 1}, alike), 40))
    assert ruling.outcome == "rollback"


def test_pods_that_fail_alike_say_nothing_of_differences() -> None:
    tallies = {f"b{name}": _failures(1000.0, 10.0) for name in "abc"} | {"cx": _failures(1000.0, 90.0)}
    assert pods.failing(tallies, clumps=1.0) == 1.0


@pytest.mark.parametrize("keys", [("ba", "bb", "cx"), ("ba", "bb", "bc")], ids=["two baseline pods", "no canary pod"])
def test_with_too_few_pods_nothing_is_known_of_their_failures(keys: tuple[str, ...]) -> None:
    uneven = {key: _failures(1000.0, 100.0 * at) for at, key in enumerate(keys)}
    assert pods.failing(uneven, clumps=1.0) == 1.0


def test_the_variance_between_pods_counts_for_more_the_fewer_tell_of_it() -> None:
    """The same spread of rates, seen in 3 and in 12 baseline pods."""

    def uneven(pairs: int) -> dict[str, pods.Tally]:
        rates = [40.0, 10.0, 25.0] * pairs
        tallies = {f"b{at}": _failures(1000.0, failed) for at, failed in enumerate(rates)}
        return tallies | {"cx": _failures(1000.0, 60.0)}

    few, many = pods.failing(uneven(1), clumps=1.0), pods.failing(uneven(4), clumps=1.0)
    assert few > 5.0 * many > 5.0


def test_failures_in_clumps_are_no_difference_between_pods() -> None:
    tallies = {f"b{at}": _failures(1000.0, failed) for at, failed in enumerate((5.0, 15.0, 10.0, 20.0))}
    tallies |= {"cx": _failures(1000.0, 60.0)}
    assert pods.failing(tallies, clumps=5.0) == 1.0


def test_pods_with_impossible_failures_are_left_out() -> None:
    odd = {"a": Pod(requests=5, errors=9), "b": Pod(requests=5, errors=-1), "c": Pod(requests=5, errors=1)}
    arm = Arm(requests=15, errors=1, pods=odd)
    state, _ = watch(terms(), [Sample(t=1.0, seconds=1.0, canary=arm, baseline=arm)])
    assert {key: tally[4:6] for key, tally in state.pods.items() if tally[4]} == {"bc": (5.0, 1.0), "cc": (5.0, 1.0)}


@pytest.mark.parametrize(("wander", "outcome"), [(0.0, "rollback"), (0.1, "continue")])
def test_latency_that_is_known_to_wander_must_be_slower_by_more_than_that(wander: float, outcome: str) -> None:
    policy = Policy(tolerances=Tolerances(latency=LatencyTolerance(wander=wander)))
    _, ruling = watch(terms(policy), World(factor=1.3).ticks(3, 20))
    assert ruling.outcome == outcome


@pytest.mark.broad
def test_a_small_baseline_speaks_no_more_against_the_canary_than_for_it() -> None:
    """The logarithm of the smaller arm's mean lies lower: 198 canary requests a second against 2, both alike."""
    for seed in range(8):
        state, _ = watch(terms(), World(canary_rps=198.0, baseline_rps=2.0).ticks(seed, 250))
        rows = Rows(state.row[None])
        rows.logs[:] = -np.inf
        standing = Standing(rows)
        mean.join(standing, rows, np.array([1.0]))
        assert np.exp(standing.worse[0, TYPICAL]).sum() / (LEGS[TYPICAL].share * mean.SHARE) < 3.0


def test_releases_with_and_without_pods_are_folded_side_by_side() -> None:
    one = terms(bounds_ms=(10.0, 20.0))
    apart = _with_pods(1.0, {"x": _pod(USUAL)}, {"a": _pod(USUAL)})
    together = sample(1.0, slow=(latency((3, 2, 1)), latency((3, 2, 1))))
    (with_pods, _), (without, _) = fold([one] * 2, [start(one)] * 2, [apart, together])
    assert sorted(with_pods.pods) == ["ba", "cx"]
    assert dict(without.pods) == {}


def _watched_pods(rng: np.random.Generator, canary: list[float], *, baseline: int, ticks: int) -> list[bool]:
    """Whether the ranks may convict after each tick: mid-ranks of a spread of .29; 50 requests a tick over the canary's pods, 950
    over the baseline's, whose pods are alike; ``canary``: by how much the mean rank of each of the canary's pods is higher."""
    shifts = np.array([*canary, *([0.0] * baseline)])
    asked = np.array([50.0 / len(canary)] * len(canary) + [950.0 / baseline] * baseline)
    keys = [*(f"c{at}" for at in range(len(canary))), *(f"b{at}" for at in range(baseline))]
    tallies, agreed = np.zeros((len(keys), 10)), []
    for _ in range(ticks):
        new = asked * shifts + 0.29 * np.sqrt(asked) * rng.standard_normal(len(keys))
        tallies[:, 0] += asked
        tallies[:, 1] += new
        tallies[:, 6] += new * new / asked
        tallies[:, 9] += 1.0
        said = pods.agreement(dict(zip(keys, msgspec.convert(tallies.tolist(), list[pods.Tally]), strict=True)))
        agreed.append(said is not None and said[0])
    return agreed


SLOWER_BY_HALF, SLOWER_BY_A_FIFTH = 0.145, 0.067
"""Shifts of the mean rank of lognormal latencies with a median of 40 and a p99 of 240 ms."""


@pytest.mark.broad
@pytest.mark.parametrize("canary", [[SLOWER_BY_HALF, 0.0, 0.0], [0.03, -0.01, 0.02], [0.0] * 3], ids=["one", "a little", "none"])
def test_pods_of_one_version_that_differ_are_not_taken_for_a_slower_version_at_any_of_many_looks(canary: list[float]) -> None:
    rng = np.random.default_rng(3)
    ever = [any(_watched_pods(rng, canary, baseline=10, ticks=100)[2:]) for _ in range(60)]
    assert sum(ever) <= 2


@pytest.mark.parametrize(("pod_count", "baseline"), [(3, 10), (1, 10), (1, 3)])
def test_pods_that_are_all_slower_agree_soon(pod_count: int, baseline: int) -> None:
    rng = np.random.default_rng(4)
    for shift, within in ((SLOWER_BY_HALF, 12), (SLOWER_BY_A_FIFTH, 45)):
        seen = [_watched_pods(rng, [shift] * pod_count, baseline=baseline, ticks=within) for _ in range(20)]
        assert sum(any(one) for one in seen) >= 18


LONG = 15.0


def _failed_on(pod_failures: list[int], *, asked: int = 250, baseline: int = 14, seconds: float = LONG) -> bool:
    """Whether so many failures on the canary's pods are more than a stop explains; the baseline fails that many of 14 250."""
    pods_of_it = {f"p{at}": Pod(requests=asked, errors=failed) for at, failed in enumerate(pod_failures)}
    canary = Arm(requests=asked * len(pod_failures), errors=sum(pod_failures), pods=pods_of_it)
    one = Sample(t=seconds, seconds=seconds, canary=canary, baseline=Arm(requests=14250, errors=baseline))
    return bool(pods.scattered([one], pack([terms(bounds_ms=())], [one]))[0])


def test_failures_on_several_pods_that_are_too_many_for_a_stop_need_no_second_scrape() -> None:
    assert _failed_on([20, 19, 21])
    assert not _failed_on([3, 2, 55]), "one pod alone: it may have stopped"
    assert not _failed_on([60]), "the only pod"
    assert not _failed_on([6, 5, 6]), "too few"
    assert not _failed_on([20, 19, 21], baseline=1000), "the baseline fails as well"
    assert not _failed_on([20, 19, 21], seconds=1.0), "in a short tick a stop explains nearly everything"
    assert not pods.scattered([sample(15.0, canary=(100, 30))], pack([terms(bounds_ms=())], [sample(15.0, canary=(100, 30))]))[0]


@pytest.mark.parametrize("seconds", [5.0, 15.0, 30.0])
@pytest.mark.parametrize("pod_count", [2, 3, 10])
def test_a_stop_of_half_a_second_of_all_pods_is_seldom_more_than_it_explains(seconds: float, pod_count: int) -> None:
    """At most 1 %: 2000 stops, 50 requests a second, each request of the half second fails, and one of 1000 of the others."""
    rng = np.random.default_rng(5)
    asked = round(50.0 * seconds / pod_count)
    stopped = rng.poisson(25.0 / pod_count, (2000, pod_count))
    usual = rng.binomial(asked, 0.001, (2000, pod_count))
    found = [_failed_on(np.minimum(row, asked).tolist(), asked=asked, seconds=seconds) for row in stopped + usual]
    assert sum(found) <= 20


def test_latency_becomes_comparable_without_an_edge_when_a_warm_up_ends() -> None:
    one = terms(bounds_ms=(10.0, 20.0))
    widths = {}
    for age in (30.0, 60.0, 90.0, 120.0, 300.0):
        tick = pack([one], [_with_pods(1.0, {"x": _pod(SLOW, age=age), "y": _pod(SLOW, age=900.0)}, {"a": _pod(USUAL, age=9e4)})])
        widths[age] = float(tick.settling[0])
    assert widths[30.0] == pytest.approx(1.0, abs=1e-6), "the young pod is left out, the other is old"
    assert [widths[age] for age in (60.0, 90.0, 120.0)] == [1.5, 1.25, 1.125]
    assert 1.0 < widths[300.0] < 1.01
    cold = [_with_pods(1.0, {"x": _pod(SLOW, age=61.0)}, {"a": _pod(USUAL, age=61.0)})]
    assert pack([one], cold).settling[0] == 1.0, "both arms are equally cold"
    never = terms(Policy(warmup_seconds=0.0), bounds_ms=(10.0, 20.0))
    assert pack([never], [_with_pods(1.0, {"x": _pod(SLOW, age=1.0)}, {"a": _pod(USUAL, age=9e4)})]).settling[0] == 1.0
    assert pack([one], [_with_pods(1.0, {"x": _pod(SLOW, age=1.0)}, {"a": _pod(USUAL, age=9e4)})]).settling[0] == 1.0


def test_a_pod_of_unknown_age_is_not_taken_for_warm_beside_one_whose_age_is_known() -> None:
    mixed = {"x": _pod(SLOW, age=None), "y": _pod(USUAL, age=100.0)}
    state, ruling = watch(terms(bounds_ms=(10.0, 20.0)), [_with_pods(1.0, mixed, {"a": _pod(USUAL)})])
    assert sorted(key for key, tally in state.pods.items() if tally[0] > 0.0) == ["ba", "cy"]
    assert ruling.reason.endswith("the latency of young pods is not judged yet")


def test_where_no_age_is_known_a_canary_taken_back_for_its_latency_may_be_cold_and_that_is_said() -> None:
    """In the first warm-up of the watch; later even a pod that was new then is warm."""
    unknown = [_with_pods(float(t), {"x": _pod(SLOW, age=None, middle=15.0)}, {"a": _pod(USUAL)}) for t in range(1, 20)]
    _, soon = watch(terms(bounds_ms=(10.0, 20.0)), unknown)
    assert soon.outcome == "rollback"
    assert soon.reason.endswith("; the ages of its pods are not known: a cold start would look the same")
    late = [replace(one, t=one.t + 60.0) for one in unknown]
    assert "ages" not in watch(terms(bounds_ms=(10.0, 20.0)), late)[1].reason
