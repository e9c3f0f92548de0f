"""The generators: what is drawn has the rates, shapes and hazards that were asked for, and a seed names a stream."""

from collections.abc import Iterator

import numpy as np
import pytest

from analyzers.counts import Sample
from daemon.offline.simulation import packing, shapes
from daemon.offline.simulation.drawing import DrawnTick, Stream
from daemon.offline.simulation.world import Change, Failures, Part, Pods, Times, Traffic, Unsteady, World, fine_bounds


def ticks_of(world: World, *, releases: int = 400, number: int = 10, seed: int = 3) -> list[DrawnTick]:
    return list(Stream(world, releases=releases, seed=seed).ticks(number))


def samples_of(world: World, *, releases: int = 40, number: int = 10) -> Iterator[list[Sample]]:
    for tick in Stream(world, releases=releases, seed=3).ticks(number):
        yield packing.samples(world, tick, range(releases))


def mean_ms(tick: DrawnTick) -> tuple[np.ndarray, np.ndarray]:
    """Mean latency of every release, canary and baseline."""
    canary, baseline = tick.canary, tick.baseline
    return canary.sums.sum(1) / canary.counts.sum((1, 2)), baseline.sums.sum(1) / baseline.counts.sum((1, 2))


def test_a_seed_names_a_stream() -> None:
    world = World(pods=Pods(canary=2, baseline=3, spread=0.1), unsteady=Unsteady(jitter=(0.1, 0.1), drift=0.5))
    first, again, other = (ticks_of(world, releases=5, number=4, seed=seed)[-1] for seed in (8, 8, 9))
    np.testing.assert_array_equal(first.canary.counts, again.canary.counts)
    np.testing.assert_array_equal(first.baseline.sums, again.baseline.sums)
    assert (first.canary.counts != other.canary.counts).any()


def test_a_healthy_world_has_its_rates_in_both_arms() -> None:
    ticks = ticks_of(World(failures=Failures(errors=0.02, denied=0.01)))
    for part, rate in (("canary", 50.0), ("baseline", 950.0)):
        drawn = [getattr(tick, part) for tick in ticks]
        asked = sum(one.requests.sum() for one in drawn)
        denied = sum(one.denied.sum() for one in drawn)
        assert (asked + denied) / 4000 == pytest.approx(rate, rel=5 / (4000 * rate) ** 0.5)
        assert denied / (asked + denied) == pytest.approx(0.01, rel=0.05)
        assert sum(one.errors.sum() for one in drawn) / asked == pytest.approx(0.02, rel=0.05)


def test_histograms_hold_successes_where_split_and_all_requests_where_not() -> None:
    for split in (True, False):
        tick = ticks_of(World(failures=Failures(errors=0.1, slow=20.0), split=split), number=1)[0]
        left_out = tick.canary.errors if split else 0
        np.testing.assert_array_equal(tick.canary.counts.sum(-1), tick.canary.requests - left_out)


def test_slow_failures_are_slow_in_a_histogram_that_is_not_split() -> None:
    plain, slow = (ticks_of(World(failures=Failures(errors=0.2, slow=by), split=False), number=1)[0] for by in (1.0, 20.0))
    ratio = mean_ms(slow)[1].mean() / mean_ms(plain)[1].mean()
    assert ratio == pytest.approx(0.8 + 0.2 * 20.0, rel=0.05)


def test_counts_follow_the_shape_and_sums_agree_with_the_counts() -> None:
    world = World(times=Times(bounds_ms=fine_bounds()))
    ticks = ticks_of(world)
    counts = sum(tick.baseline.counts.sum((0, 1)) for tick in ticks)
    shape = shapes.lognormal(median_ms=40.0, p99_ms=240.0)
    chance, mean, _ = shape.buckets(np.log(np.array(world.times.bounds_ms)), np.array(0.0))
    np.testing.assert_allclose(counts / counts.sum(), chance, atol=5e-4)
    assert np.mean([mean_ms(tick)[1].mean() for tick in ticks]) == pytest.approx(shape.mean_ms, rel=0.005)
    tick = ticks[0]
    assert np.corrcoef((tick.canary.counts * mean).sum(-1)[:, 0], tick.canary.sums[:, 0])[0, 1] > 0.99


def test_the_change_begins_after_its_onset_and_only_in_the_canary() -> None:
    ticks = ticks_of(World(change=Change(onset_tick=3, errors=0.5, factor=2.0, denied=0.2)), number=6)
    for tick in ticks:
        changed = tick.number > 3
        canary, baseline = (one.mean() for one in mean_ms(tick))
        assert canary / baseline == pytest.approx(2.0 if changed else 1.0, rel=0.05)
        assert (tick.canary.errors.sum() / tick.canary.requests.sum() > 0.4) == changed
        assert (tick.canary.denied.sum() > 0) == changed
        assert tick.baseline.errors.sum() / tick.baseline.requests.sum() < 0.01
        assert tick.baseline.denied.sum() == 0


def test_a_tail_change_moves_the_slowest_requests_only() -> None:
    tick = ticks_of(World(change=Change(tail=3.0)), releases=2000, number=1)[0]
    canary, baseline = (drawn.counts.sum((0, 1)) / drawn.counts.sum() for drawn in (tick.canary, tick.baseline))
    np.testing.assert_allclose(canary[:7], baseline[:7], atol=0.005)
    assert canary[9:].sum() > 3.0 * baseline[9:].sum()


def test_a_leak_grows_to_its_full_size() -> None:
    change = Change(onset_tick=10, ramp_ticks=20, errors=0.1)
    assert [change.size(tick) for tick in (1, 10, 20, 30, 300)] == [0.0, 0.0, 0.5, 1.0, 1.0]


def test_clumped_errors_keep_their_rate_and_vary_more() -> None:
    rates, spreads = [], []
    for clump in (1, 5):
        errors = np.array([tick.baseline.errors[:, 0] for tick in ticks_of(World(failures=Failures(errors=0.01, clump=clump)))])
        rates.append(errors.mean())
        spreads.append(errors.var() / errors.mean())
    assert rates[1] == pytest.approx(rates[0], rel=0.05)
    assert spreads[0] == pytest.approx(1.0, rel=0.1)
    assert spreads[1] == pytest.approx(5.0, rel=0.1)


def test_jitter_has_its_size_and_its_correlation() -> None:
    world = World(unsteady=Unsteady(jitter=(0.0, 0.2), correlation=0.9), traffic=Traffic(baseline_rps=5000.0))
    means = np.log(np.array([mean_ms(tick)[1] for tick in ticks_of(world, releases=2000, number=2)]))
    assert means.std() == pytest.approx(0.2, rel=0.05)
    assert np.corrcoef(means)[0, 1] == pytest.approx(0.9, abs=0.03)


def test_drift_is_shared_by_the_arms_and_differs_between_releases() -> None:
    tick = ticks_of(World(unsteady=Unsteady(drift=0.6), traffic=Traffic(canary_rps=5000.0)), number=1)[0]
    canary, baseline = mean_ms(tick)
    assert np.corrcoef(canary, baseline)[0, 1] > 0.99
    assert baseline.max() / baseline.min() == pytest.approx(1.6 / 0.4, rel=0.15)


def test_load_swings_in_both_arms_together() -> None:
    tick = ticks_of(World(traffic=Traffic(swing=0.5, canary_rps=950.0)), number=1)[0]
    assert np.corrcoef(tick.canary.requests[:, 0], tick.baseline.requests[:, 0])[0, 1] > 0.9


@pytest.mark.parametrize("equally", [False, True])
def test_a_cold_start_fades(equally: bool) -> None:
    ticks = ticks_of(World(unsteady=Unsteady(cold=3.0, cold_seconds=10.0, cold_baseline=equally)), number=60)
    canary, baseline = (one.mean() for one in mean_ms(ticks[0]))
    expected = 1.0 + 2.0 * np.exp(-0.1)
    assert canary / (baseline / expected if equally else baseline) == pytest.approx(expected, rel=0.05)
    late = mean_ms(ticks[-1])
    assert late[0].mean() / late[1].mean() == pytest.approx(1.0, rel=0.03)


def test_pods_share_the_traffic_and_differ_by_their_spread() -> None:
    world = World(pods=Pods(canary=2, baseline=10, spread=0.1, error_spread=0.5), failures=Failures(errors=0.05))
    ticks = ticks_of(world, releases=300, number=20)
    asked = np.sum([tick.baseline.requests for tick in ticks], axis=0)
    assert asked.shape == (300, 10)
    assert asked.mean() == pytest.approx(20 * 95.0, rel=0.01)
    times = np.sum([tick.baseline.sums for tick in ticks], axis=0)
    speeds = np.log(times / np.sum([tick.baseline.counts.sum(-1) for tick in ticks], axis=0))
    assert speeds.std(axis=1).mean() == pytest.approx(0.1, rel=0.1)
    rates = np.sum([tick.baseline.errors for tick in ticks], axis=0) / asked
    assert np.log(rates.clip(1e-4)).std(axis=1).mean() == pytest.approx(0.5, rel=0.1)


def test_samples_add_up_over_their_pods_and_carry_their_ages() -> None:
    world = World(pods=Pods(canary=2, baseline=3, told_apart=True, ages=True))
    for number, batch in enumerate(samples_of(world, number=3), start=1):
        for sample in batch:
            assert sample.t == number
            assert sample.canary is not None
            assert sample.canary.pods is not None
            assert sample.canary.latency is not None
            assert len(sample.canary.pods) == 2
            assert sum(pod.requests for pod in sample.canary.pods.values()) == sample.canary.requests
            assert sum(sum(pod.latency.counts) for pod in sample.canary.pods.values() if pod.latency) == sum(
                sample.canary.latency.counts
            )
            assert {pod.age_seconds for pod in sample.canary.pods.values()} == {float(number)}
            assert sample.baseline is not None
            assert min(pod.age_seconds or 0.0 for pod in (sample.baseline.pods or {}).values()) > 80000.0


def test_gaps_take_an_arm_away_and_say_so() -> None:
    world = World(traffic=Traffic(gap_chance=0.05, gap_ticks=3))
    batches = list(samples_of(world, releases=200, number=60))
    missing = np.array([[sample.canary is None for sample in batch] for batch in batches])
    assert 0.1 < missing[10:].mean() < 0.16
    lengths = [len(run) for place in range(200) for run in "".join("x" if hit else " " for hit in missing[:, place]).split()]
    assert min(lengths[:-1]) >= 1
    assert max(set(lengths), key=lengths.count) == 3
    assert all((sample.gap is None) == (sample.canary is not None and sample.baseline is not None) for sample in batches[0])


def test_a_counter_reset_hides_a_part_of_the_tick() -> None:
    tick = ticks_of(World(traffic=Traffic(reset_chance=0.5)), releases=4000, number=1)[0]
    assert tick.baseline.requests.mean() == pytest.approx(0.75 * 950.0, rel=0.03)
    np.testing.assert_array_equal(tick.baseline.counts.sum(-1), tick.baseline.requests - tick.baseline.errors)


def test_a_proxy_that_merges_its_histograms_brings_all_of_them_later() -> None:
    world = World(traffic=Traffic(flush_ticks=5))
    batches = list(samples_of(world, releases=3, number=10))
    for at in range(3):
        arms = [batch[at].canary for batch in batches]
        assert [arm is not None and arm.latency is not None for arm in arms] == ([False] * 4 + [True]) * 2
        successes = sum(arm.requests - arm.errors for arm in arms[:5] if arm is not None)
        flushed = arms[4].latency if arms[4] is not None else None
        assert flushed is not None
        assert sum(flushed.counts) == successes


def test_a_second_hump_has_its_share() -> None:
    parts = (Part(share=9.0, median_ms=5.0, p99_ms=20.0), Part(share=1.0, median_ms=500.0, p99_ms=2000.0))
    world = World(times=Times(parts=parts))
    tick = ticks_of(world, number=1)[0]
    counts = tick.baseline.counts.sum((0, 1))
    assert counts[7:].sum() / counts.sum() == pytest.approx(0.1, abs=0.005)


def test_one_kind_of_requests_may_become_slower_by_itself() -> None:
    parts = (Part(share=0.9, median_ms=5.0, p99_ms=20.0), Part(share=0.1, median_ms=300.0, p99_ms=900.0))
    world = World(times=Times(parts=parts), change=Change(onset_tick=1, factors=(1.0, 2.0)))
    before, after = ticks_of(world, number=2)
    slow = [tick.canary.sums.sum() - tick.canary.counts[..., :5].sum() * 6.0 for tick in (before, after)]
    assert slow[1] / slow[0] == pytest.approx(2.0, rel=0.1)
    assert after.canary.counts[..., :5].sum() / after.canary.counts.sum() == pytest.approx(0.9, abs=0.01)
    assert mean_ms(after)[1].mean() == pytest.approx(mean_ms(before)[1].mean(), rel=0.02)


def test_retried_errors_keep_their_rate_and_come_in_bursts_of_all_sizes() -> None:
    errors = np.array([tick.baseline.errors[:, 0] for tick in ticks_of(World(failures=Failures(errors=0.02, retried=0.6)))])
    assert errors.mean() == pytest.approx(19.0, rel=0.03)
    assert errors.var() / errors.mean() == pytest.approx((1.0 + 0.6) / (1.0 - 0.6), rel=0.1), "a geometric size, Poisson in number"


def test_a_slow_pod_is_the_canarys_first() -> None:
    tick = ticks_of(World(pods=Pods(canary=3, baseline=3, slow=2.0)), releases=2000, number=1)[0]
    means = [drawn.sums.sum(0) / drawn.counts.sum((0, 2)) for drawn in (tick.canary, tick.baseline)]
    assert means[0][0] / means[0][1:].mean() == pytest.approx(2.0, rel=0.05)
    assert means[1][0] / means[1][1:].mean() == pytest.approx(1.0, rel=0.03)


def test_observed_latencies_stand_for_the_worlds() -> None:
    shape = shapes.lognormal(median_ms=200.0, p99_ms=400.0)
    stream = Stream(World(change=Change(onset_tick=1)), releases=100, seed=1, latencies=(shape, shapes.stretched(shape, 1.5)))
    first, second = stream.ticks(2)
    assert mean_ms(first)[0].mean() == pytest.approx(shape.mean_ms, rel=0.02)
    assert second.canary.counts[..., 9:].sum() > 2 * first.canary.counts[..., 9:].sum()
