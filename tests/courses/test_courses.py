"""How a watch went: every tick of a short one, the whole shape of a long one, and no more memory than that."""

import msgspec
import pytest

from analyzers.counts import Arm, Latency, Pod
from analyzers.ruling import Finding, LegNow, LegsNow, Ruling
from config.policy import ErrorTolerance, LatencyTolerance, Policy, Tolerances
from daemon.courses import Courses, Drawn
from daemon.courses.podsums import MOST_KEPT, MOST_SHOWN
from daemon.courses.shapes import Course, Now
from daemon.courses.stretches import MOST_BOUNDS, MOST_STRETCHES
from daemon.courses.ticks import MOST_ROWS
from daemon.measurements import ArmState, PodsState, Reading, Watch
from daemon.model import ArmSpec, Release

WATCH = Watch(
    release_id="web-1",
    release=Release(service="web", baseline=ArmSpec(version="1"), canary=ArmSpec(version="2")),
    policy=Policy(
        tolerances=Tolerances(
            errors=ErrorTolerance(max_rate=0.04, above_baseline=0.02), latency=LatencyTolerance(typical=1.5, slow_end=2.0)
        )
    ),
)


def ruling(t: float, *, evidence: float = 10.0) -> Ruling:
    legs = {
        "errors": LegNow(e_value=evidence, effect=0.04, beyond=100.0),
        "slow_end": LegNow(e_value=0.5, effect=None, beyond=0.0),
    }
    return Ruling(
        outcome="continue", tick=1, t=t, evidence=evidence, boundary=100.0, legs=legs, leg=None, reason="more requests are needed"
    )


def reading(*, canary: int = 10, gap: str | None = None) -> Reading:
    slow = Latency(counts=(5, 5), sum_ms=120.0)
    return Reading(
        seconds=2.0,
        baseline=Arm(requests=90, errors=0),
        canary=Arm(requests=canary, errors=1, latency=slow) if canary else Arm(requests=0),
        gap=gap,
        weight=10.0,
    )


def test_each_tick_is_a_row_of_both_arms() -> None:
    courses = Courses()
    courses.ticked(WATCH, reading(), ruling(2.0))
    courses.ticked(WATCH, reading(canary=0), ruling(4.0, evidence=1e300))
    seen = courses.course("web-1")
    assert (seen.t, seen.seconds, seen.gaps, seen.log_evidence, seen.boundary) == (
        [2.0, 4.0],
        [2.0, 2.0],
        [False, False],
        [1.0, 300.0],
        100.0,
    )
    assert (seen.legs["errors"], seen.beyond["errors"], seen.weight) == ([1.0, 300.0], [2.0, 2.0], [10.0, 10.0])
    assert seen.canary is not None
    assert (seen.canary.per_second, seen.canary.failed_share.value) == ([5.0, 0.0], [0.1, None])
    [errors, slow_end] = seen.now
    assert (errors.leg, errors.unit, errors.effect, slow_end.log_beyond) == ("errors", "points", 0.04, -30.0)


def test_the_last_tick_in_short_says_which_quantity_is_worst() -> None:
    courses = Courses()
    assert courses.now("web-1") is None
    courses.ticked(WATCH, reading(), ruling(2.0))
    now = courses.now("web-1")
    assert now is not None
    assert (now.weight, now.share, now.leg, now.gap) == (10.0, 0.1, "errors", "")
    courses.ticked(WATCH, reading(gap="no answer"), ruling(4.0, evidence=1.0))
    assert courses.now("web-1") == Now(weight=10.0, share=0.1, gap="no answer")


def test_after_the_verdict_the_traffic_is_still_seen_and_the_evidence_stays() -> None:
    courses = Courses()
    courses.ticked(WATCH, reading(), ruling(2.0))
    courses.ended("web-1")
    courses.ticked(WATCH, reading(canary=0), None)
    seen = courses.course("web-1")
    assert (seen.t, seen.log_evidence, seen.now) == ([2.0, 4.0], [1.0, 1.0], ())
    courses.left("web-1")
    assert courses.course("web-1") == Course()


@pytest.mark.parametrize("ticks", [MOST_ROWS + 1, 10 * MOST_ROWS + 7])
def test_a_long_watch_keeps_its_shape_and_every_request_in_bounded_memory(ticks: int) -> None:
    courses = Courses()
    for tick in range(1, ticks + 1):
        courses.ticked(WATCH, reading(gap="no answer" if tick == 7 else None), ruling(2.0 * tick))
    seen = courses.course("web-1")
    assert MOST_ROWS // 2 <= len(seen.t) <= MOST_ROWS
    assert (seen.t[-1], sum(seen.seconds), any(seen.gaps)) == (2.0 * ticks, 2.0 * ticks, True)
    assert seen.canary is not None
    assert sum((a or 0.0) * b for a, b in zip(seen.canary.per_second, seen.seconds, strict=True)) == pytest.approx(10.0 * ticks)
    assert seen.t == sorted(seen.t)


def test_only_so_many_watches_are_kept_and_the_longest_silent_goes() -> None:
    courses = Courses(most=2)
    for release_id in ("web-1", "web-2", "web-1", "web-3"):
        courses.ticked(msgspec.structs.replace(WATCH, release_id=release_id), reading(), ruling(2.0))
    assert [bool(courses.course(one).t) for one in ("web-1", "web-2", "web-3")] == [True, False, True]


def test_a_share_and_its_interval_are_told_beside_what_is_allowed() -> None:
    courses = Courses()
    courses.ticked(WATCH, Reading(seconds=2.0, baseline=Arm(requests=1000, errors=30), canary=Arm(requests=100, errors=9)), None)
    courses.ticked(WATCH, Reading(seconds=2.0, baseline=Arm(requests=1000), canary=None, gap="no answer"), None)
    seen = courses.course("web-1")
    assert (seen.stretches, seen.beyond_boundary) == ([2.0, 4.0], 5.0)
    assert seen.canary is not None
    assert seen.canary.per_second == [50.0, None], "no information is not zero requests"
    failed = seen.canary.failed_share
    assert failed.value == [0.09, None]
    assert (failed.low, failed.high) == ([pytest.approx(0.0481, abs=1e-4), None], [pytest.approx(0.1623, abs=1e-4), None])
    assert seen.allowed.failed_share == [0.05, 0.04], "above the baseline, and never less than what is always accepted"
    assert (seen.canary.median_ms.value, seen.canary.buckets, seen.bounds_ms) == ([None, None], [], [])


def test_quantiles_lie_in_their_buckets_and_their_intervals_around_them() -> None:
    drawn = Drawn(policy=WATCH.policy)
    fast, slow = (Latency(counts=counts, sum_ms=1.0) for counts in ((100, 800, 100, 0), (10, 100, 880, 10)))
    both = Reading(seconds=2.0, baseline=Arm(requests=1000, latency=fast), canary=Arm(requests=1000, latency=slow))
    drawn.add(both, None, bounds_ms=(10.0, 20.0, 40.0))
    drawn.add(both, None, bounds_ms=(10.0, 20.0, 40.0))
    seen = drawn.course()
    assert seen.baseline is not None
    assert seen.canary is not None
    assert (seen.bounds_ms, seen.baseline.buckets, seen.canary.buckets) == (
        [10.0, 20.0, 40.0],
        [200, 1600, 200, 0],
        [20, 200, 1760, 20],
    )
    for arm, median, tail in ((seen.baseline, (10.0, 20.0), (20.0, 40.0)), (seen.canary, (20.0, 40.0), (20.0, 80.0))):
        for figure, (low, high) in ((arm.median_ms, median), (arm.p99_ms, tail)):
            [value, again] = figure.value
            assert value is not None
            assert low <= value <= high
            assert value == again
            assert figure.low[0] is not None
            assert figure.low[0] <= value
            assert figure.high[0] is None or value <= figure.high[0]
    assert seen.allowed.median_ms == [pytest.approx(1.5 * (seen.baseline.median_ms.value[0] or 0.0), rel=1e-4)] * 2


def test_what_each_quantity_says_is_computed_once_a_tick_and_not_after_the_verdict() -> None:
    asked = []

    def told(at: int) -> tuple[Finding, ...]:
        asked.append(at)
        return ()

    courses = Courses()
    legs = LegsNow(("errors",), (1.0,), (1.0,), lambda _: (0.0,), told, 3)
    for _ in range(2):
        courses.ticked(WATCH, reading(), msgspec.structs.replace(ruling(2.0), legs=legs))
        for _ in range(3):
            assert courses.course("web-1").findings == ()
    assert asked == [3, 3]
    courses.ended("web-1")
    courses.course("web-1")
    assert asked == [3, 3]


def test_where_only_the_canary_is_watched_a_baseline_is_not_missed() -> None:
    courses = Courses()
    for alone in (False, True):
        watch = msgspec.structs.replace(WATCH, release_id=f"web-{alone}", alone=alone)
        courses.ticked(watch, Reading(seconds=2.0, canary=Arm(requests=100, errors=9)), None)
        seen = courses.course(watch.release_id)
        assert seen.gaps == [not alone]
        assert seen.baseline is not None
        assert seen.baseline.per_second == [None], "nobody has counted it"


def test_few_requests_have_no_99th_percentile() -> None:
    drawn = Drawn()
    few = Arm(requests=99, latency=Latency(counts=(50, 49), sum_ms=1.0))
    drawn.add(Reading(seconds=2.0, baseline=few, canary=few), None, bounds_ms=(10.0,))
    seen = drawn.course()
    assert seen.canary is not None
    assert seen.canary.median_ms.value[0] is not None
    assert seen.canary.p99_ms.value == [None]


def test_stretches_and_buckets_are_bounded_and_no_request_is_lost() -> None:
    drawn, bounds = Drawn(), tuple(float(bound) for bound in range(1, 201))
    arm = Arm(requests=201, errors=1, latency=Latency(counts=(1,) * 201, sum_ms=1.0))
    for _ in range(3 * MOST_STRETCHES + 1):
        drawn.add(Reading(seconds=1.0, baseline=arm, canary=arm), None, bounds_ms=bounds)
    drawn.add(Reading(seconds=1.0, baseline=arm, canary=Arm(requests=1, latency=Latency(counts=(1,), sum_ms=1.0))), None)
    seen = drawn.course()
    assert seen.canary is not None
    assert seen.baseline is not None
    assert MOST_STRETCHES // 2 <= len(seen.stretches) <= MOST_STRETCHES
    assert (seen.stretches[-1], len(seen.bounds_ms) <= MOST_BOUNDS, seen.bounds_ms[-1]) == (3 * MOST_STRETCHES + 2.0, True, 200.0)
    assert len(seen.baseline.buckets) == len(seen.bounds_ms) + 1
    assert sum(seen.baseline.buckets) == 201 * (3 * MOST_STRETCHES + 2)
    assert sum(seen.canary.buckets) == 201 * (3 * MOST_STRETCHES + 1), "other buckets than the first are left out"


def test_pods_are_told_by_arm_the_busiest_first_and_only_so_many() -> None:
    courses = Courses()
    pods = {f"web-v2-{number}": Pod(requests=number, errors=number // 50) for number in range(MOST_KEPT + 5)}
    timed = {"web-v1-0": Pod(requests=4, latency=Latency(counts=(1, 3), sum_ms=50.0))}
    state = PodsState(baseline=ArmState(pods=1, ready=1), canary=ArmState(pods=2, ready=1, restarts=3, troubles=("x: OOMKilled",)))
    reading = Reading(seconds=2.0, baseline=Arm(requests=4, pods=timed), canary=Arm(requests=9, pods=pods), pods=state)
    courses.ticked(WATCH, reading, None)
    courses.ticked(WATCH, Reading(seconds=2.0), None)
    seen = courses.course("web-1")
    assert len(seen.pods) == MOST_SHOWN + 1
    assert (seen.pods[0].pod, seen.pods[0].arm, seen.pods[0].errors) == ("web-v2-63", "canary", 1)
    assert (seen.pods[-1].pod, seen.pods[-1].mean_ms) == ("web-v1-0", 12.5)
    assert seen.pods_left_out == MOST_KEPT + 5 - MOST_SHOWN
    assert seen.pods_state == state
