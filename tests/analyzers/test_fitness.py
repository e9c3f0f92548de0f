"""What buckets can tell of a policy's tolerances, before and beside a watch."""

import numpy as np
import pytest
from msgspec.structs import replace
from scipy import stats

from analyzers import fitness
from analyzers.fitness import resolutions
from analyzers.layout import Rows, blank
from analyzers.terms import Limits
from config.policy import LatencyTolerance, Policy, Promotion, Tolerances
from tests.analyzers.streams import ISTIO_MS, World, terms, watch


def _lognormal(median: float, p99: float) -> list[float]:
    spread = np.log(p99 / median) / 2.3263
    below = np.concatenate([[0.0], stats.norm.cdf((np.log(ISTIO_MS) - np.log(median)) / spread), [1.0]])
    return (np.diff(below) * 1e5).tolist()  # type: ignore[no-any-return]  # numpy's tolist


def test_a_broad_latency_near_a_bound_is_resolved() -> None:
    typical, p99 = resolutions(ISTIO_MS, _lognormal(40.0, 240.0), typical=1.1, slow_end=1.1)
    assert typical.sentence == "the median and 34 % of all requests lie in 25-50 ms: 10 % slower can be told"
    assert (typical.resolved, typical.told_apart, typical.bound_ms) == (True, 1.0, None)
    assert p99.sentence == "p99 lies in 100-250 ms: 10 % slower can be told"
    assert p99.told_apart == pytest.approx(250.0 / 240.0, rel=0.05)


def test_a_p99_far_from_every_bound_is_told_apart_only_when_it_reaches_one() -> None:
    _, p99 = resolutions((10.0, 100.0, 250.0), (500, 465, 34, 1), typical=1.1, slow_end=1.1)
    assert p99.sentence == (
        "p99 lies in 100-250 ms: 10 % slower cannot be told by these buckets, 45 % slower can; add a bound near 140 ms"
    )
    assert not p99.resolved
    assert resolutions((10.0, 100.0, 250.0), (500, 465, 34, 1), typical=1.1, slow_end=1.45)[1].resolved
    finer = resolutions((10.0, 100.0, 140.0, 250.0), (500, 465, 24, 10, 1), typical=1.1, slow_end=1.1)[1]
    assert finer.resolved, "the bound that was advised helps"


@pytest.mark.parametrize(("p99_ms", "wanted"), [(130.0, 1.3), (180.0, 250.0 / 180.0), (240.0, 250.0 / 240.0)])
def test_the_distance_to_the_nearest_bound_is_that_of_a_tail_that_thins_out(p99_ms: float, wanted: float) -> None:
    """Spread evenly, a p99 of 180 ms would seem to lie right below the bound of 250, and 10 % slower to be told."""
    _, p99 = resolutions(ISTIO_MS, _lognormal(40.0, p99_ms), typical=1.1, slow_end=1.1)
    assert p99.told_apart == pytest.approx(wanted, rel=0.01)
    assert p99.bound_ms == (None if p99.resolved else p99_ms)


def test_a_bucket_that_holds_nearly_everything_hides_where_it_is() -> None:
    typical, p99 = resolutions(ISTIO_MS, _lognormal(370.0, 430.0), typical=1.1, slow_end=1.1)
    assert typical.sentence == (
        "the median and over 99.99 % of all requests lie in 250-500 ms: 10 % slower cannot be told by these buckets, "
        "100 % slower can; the mean judges it; add a bound near 350 ms"
    )
    assert (typical.lower_ms, typical.upper_ms, typical.told_apart) == (250.0, 500.0, 2.0)
    assert p99.told_apart == 2.0
    assert all(one.resolved for one in resolutions((50.0, 100.0), (0, 9, 0), typical=2.0, slow_end=2.0)), "as wide as the bucket"


@pytest.mark.parametrize(("counts", "upper"), [((1000, 0, 0), 10.0), ((0, 0, 1000), None)], ids=["below", "above"])
def test_beyond_the_bounds_no_factor_is_told(counts: tuple[int, ...], upper: float | None) -> None:
    typical, p99 = resolutions((10.0, 2000.0), counts, typical=1.1, slow_end=3.0)
    assert (p99.told_apart, p99.upper_ms, p99.resolved) == (None, upper, False)
    where = "in 0-10 ms" if upper == 10.0 else "above the last bound, 2 000 ms"
    assert p99.sentence.startswith(f"p99 lies {where}: 200 % slower cannot be told by these buckets; add a bound near ")
    assert "; the mean judges it; add a bound near" in typical.sentence


def test_without_bounds_or_requests_nothing_is_said() -> None:
    assert resolutions((), (5,), typical=1.1, slow_end=1.1) == ()
    assert resolutions((1.0,), (0, 0), typical=1.1, slow_end=1.1) == ()


def test_counts_must_fit_the_bounds() -> None:
    with pytest.raises(ValueError, match="2 bounds have 3 counts, got 2"):
        resolutions((1.0, 2.0), (1, 1), typical=1.1, slow_end=1.1)


def test_a_batch_says_the_same_as_one_by_one() -> None:
    shapes = [_lognormal(40.0, 240.0), _lognormal(370.0, 430.0), _lognormal(60.0, 360.0), [0.0] * 20]
    limits = Limits.of([terms()] * len(shapes))
    rows = Rows(np.repeat(blank()[None], len(shapes), axis=0))
    rows.baseline[:, : len(ISTIO_MS) + 1] = shapes
    typical, p99 = fitness.blind(rows, limits)
    for at, counts in enumerate(shapes[:3]):
        one = resolutions(ISTIO_MS, counts, typical=1.1, slow_end=1.1)
        assert [typical[at], p99[at]] == [not resolution.resolved for resolution in one]
    assert not typical[3]
    assert not p99[3]


def test_a_watch_says_it_once_there_are_enough_latencies_of_the_baseline() -> None:
    """By the histogram that the judge remembers: with fewer, the place of p99 is a guess."""
    policy, thin = terms(), World(baseline_rps=150.0, median_ms=370.0, p99_ms=430.0)
    early, _ = watch(policy, thin.ticks(1, 1))
    assert fitness.of_watch(early.row, policy) == ()
    later, _ = watch(policy, thin.ticks(1, 2))
    seen = np.sum([one.baseline.latency.counts for one in thin.ticks(1, 2) if one.baseline and one.baseline.latency], axis=0)
    assert seen.sum() >= fitness.ENOUGH
    assert fitness.of_watch(later.row, policy) == resolutions(ISTIO_MS, seen.tolist(), typical=1.1, slow_end=1.1)
    assert fitness.of_watch(later.row, terms(bounds_ms=())) == ()


def test_a_tolerance_that_the_buckets_cannot_resolve_is_said_and_convicts_nobody() -> None:
    """All in one bucket, told to be within 10 %: the watch goes on, is promoted by its mean, and says so on the way."""
    policy = Policy(promotion=Promotion(min_requests=0, min_seconds=0.0), warmup_seconds=0.0)
    narrow = World(median_ms=370.0, p99_ms=430.0)
    _, going = watch(terms(policy), narrow.ticks(1, 3))
    assert "the latency buckets cannot tell a median 10 % slower: the mean is judged" in going.reason
    assert "the latency buckets cannot tell a p99 10 % slower" in going.reason
    _, ended = watch(terms(policy), narrow.ticks(1, 300))
    assert ended.outcome == "promote"
    assert "10 % slower cannot be told by these buckets" in ended.findings[2].sentence
    assert "p99 lies in 250-500 ms" in ended.findings[3].sentence
    coarse = replace(policy, tolerances=Tolerances(latency=LatencyTolerance(typical=3.0, slow_end=3.0)))
    _, fine = watch(terms(coarse), narrow.ticks(1, 3))
    assert "buckets" not in fine.reason
