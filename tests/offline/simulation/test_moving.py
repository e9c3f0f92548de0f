"""What moves in a stream: an arm that stands still, garbage that is collected, a weight that rises, a trend."""

import numpy as np
import pytest

from daemon.offline.simulation.world import Stop, Traffic, Unsteady, World
from tests.offline.simulation.test_streams import mean_ms, samples_of, ticks_of


def test_a_stop_says_how_many_requests_meet_it_and_how_long_they_wait() -> None:
    assert Stop(seconds=0.5).parts(1.0) == [(0.5, 0.0, 0.5)]
    assert Stop(seconds=2.0).parts(1.0) == [(1.0, 1.0, 2.0), (1.0, 0.0, 1.0)]
    assert Stop(seconds=0.5).parts(0.25) == [(1.0, 0.25, 0.5), (1.0, 0.0, 0.25)]
    assert Stop(seconds=0.5).parts(15.0) == [(1.0 / 30.0, 0.0, 0.5)]


def test_a_stop_comes_once_in_every_release_and_then_all_is_as_before() -> None:
    ticks = ticks_of(World(stop=Stop(between=(2, 5)), traffic=Traffic(canary_rps=1000.0)), releases=200, number=7)
    slowness = np.array([mean_ms(tick)[0] for tick in ticks]) / 55.0
    assert ((slowness > 1.7).sum(axis=0) == 1).all(), "half of a tick's requests wait a quarter of a second on average"
    hit = slowness.argmax(axis=0) + 1
    assert (hit.min(), hit.max()) == (2, 5)
    assert max(mean_ms(tick)[1].max() for tick in ticks) < 80.0, "the baseline goes on"


def test_a_stop_of_two_ticks_hits_both_the_first_one_harder() -> None:
    ticks = ticks_of(World(stop=Stop(seconds=2.0, between=(2, 2))), number=4)
    means = [mean_ms(tick)[0].mean() for tick in ticks]
    assert means[1] == pytest.approx(means[0] + 1500.0, rel=0.02)
    assert means[2] == pytest.approx(means[0] + 500.0, rel=0.02)
    assert means[3] == pytest.approx(means[0], rel=0.05)


def test_garbage_is_collected_in_both_arms_again_and_again_and_not_together() -> None:
    ticks = ticks_of(World(stop=Stop(every_ticks=5, baseline=True), traffic=Traffic(canary_rps=900.0)), releases=300, number=15)
    slow = np.array([[means > 100.0 for means in mean_ms(tick)] for tick in ticks])
    assert (slow.sum(axis=0) == 3).all()
    together = (slow[:, 0] & slow[:, 1]).any(axis=0).mean()
    assert together == pytest.approx(0.2, abs=0.1)


def test_a_failing_stop_fails_what_arrives_and_delays_nothing() -> None:
    ticks = ticks_of(World(stop=Stop(fails=True, between=(3, 3)), traffic=Traffic(tick_seconds=15.0)), number=4)
    failed = [tick.canary.errors.sum() / tick.canary.requests.sum() for tick in ticks]
    assert failed[2] == pytest.approx(0.001 + 0.5 / 15.0, rel=0.05)
    assert max(failed[0], failed[1], failed[3]) < 0.002
    assert mean_ms(ticks[2])[0].mean() == pytest.approx(mean_ms(ticks[1])[0].mean(), rel=0.03)


def test_the_weight_rises_in_steps_and_the_requests_follow() -> None:
    traffic = Traffic(steps=((1, 5.0), (3, 50.0), (5, 100.0)))
    ticks = ticks_of(World(traffic=traffic), number=5)
    assert [tick.weight for tick in ticks] == [5.0, 5.0, 50.0, 50.0, 100.0]
    samples = list(samples_of(World(traffic=traffic), releases=2, number=5))
    assert [batch[0].weight for batch in samples] == [tick.weight for tick in ticks]
    shares = [tick.canary.requests.sum() / (tick.canary.requests.sum() + tick.baseline.requests.sum()) for tick in ticks]
    np.testing.assert_allclose(shares, [0.05, 0.05, 0.5, 0.5, 1.0], atol=0.005)


def test_requests_need_not_follow_the_route() -> None:
    sticky = Traffic(canary_rps=60.0, baseline_rps=940.0, route_weight=5.0)
    assert ticks_of(World(traffic=sticky), number=1)[0].weight == 5.0


def test_a_trend_is_shared_by_the_arms_and_then_stays() -> None:
    ticks = ticks_of(World(unsteady=Unsteady(trend=1.5, trend_seconds=10.0)), number=14)
    means = np.array([[one.mean() for one in mean_ms(tick)] for tick in ticks])
    np.testing.assert_allclose(means[:, 0] / means[:, 1], 1.0, rtol=0.05)
    assert means[9, 1] / means[0, 1] == pytest.approx(2.5 / 1.15, rel=0.03)
    assert means[13, 1] == pytest.approx(means[9, 1], rel=0.02)
