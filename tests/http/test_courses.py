"""How a watch went: every tick of a short one, the whole shape of a long one, and no more memory than that."""

import pytest

from analyzers.counts import Arm, Latency
from analyzers.ruling import LegNow, Ruling
from daemon.http.courses import MOST_ROWS, Course, Courses, Now
from daemon.model import Reading


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
    courses.ticked("web-1", reading(), ruling(2.0))
    courses.ticked("web-1", reading(canary=0), ruling(4.0, evidence=1e300))
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
    assert (seen.canary.per_second, seen.canary.failed_share, seen.canary.mean_ms) == ([5.0, 0.0], [0.1, None], [12.0, None])
    [errors, slow_end] = seen.now
    assert (errors.leg, errors.unit, errors.effect, slow_end.log_beyond) == ("errors", "points", 0.04, -30.0)


def test_the_last_tick_in_short_says_which_quantity_is_worst() -> None:
    courses = Courses()
    assert courses.now("web-1") is None
    courses.ticked("web-1", reading(), ruling(2.0))
    now = courses.now("web-1")
    assert now is not None
    assert (now.weight, now.share, now.leg, now.gap) == (10.0, 0.1, "errors", "")
    courses.ticked("web-1", reading(gap="no answer"), ruling(4.0, evidence=1.0))
    assert courses.now("web-1") == Now(weight=10.0, share=0.1, gap="no answer")


def test_after_the_verdict_the_traffic_is_still_seen_and_the_evidence_stays() -> None:
    courses = Courses()
    courses.ticked("web-1", reading(), ruling(2.0))
    courses.ended("web-1")
    courses.ticked("web-1", reading(canary=0), None)
    seen = courses.course("web-1")
    assert (seen.t, seen.log_evidence, seen.now) == ([2.0, 4.0], [1.0, 1.0], ())
    courses.left("web-1")
    assert courses.course("web-1") == Course()


@pytest.mark.parametrize("ticks", [MOST_ROWS + 1, 10 * MOST_ROWS + 7])
def test_a_long_watch_keeps_its_shape_and_every_request_in_bounded_memory(ticks: int) -> None:
    courses = Courses()
    for tick in range(1, ticks + 1):
        courses.ticked("web-1", reading(gap="no answer" if tick == 7 else None), ruling(2.0 * tick))
    seen = courses.course("web-1")
    assert MOST_ROWS // 2 <= len(seen.t) <= MOST_ROWS
    assert (seen.t[-1], sum(seen.seconds), any(seen.gaps)) == (2.0 * ticks, 2.0 * ticks, True)
    assert seen.canary is not None
    assert sum(a * b for a, b in zip(seen.canary.per_second, seen.seconds, strict=True)) == pytest.approx(10.0 * ticks)
    assert seen.t == sorted(seen.t)


def test_only_so_many_watches_are_kept_and_the_longest_silent_goes() -> None:
    courses = Courses(most=2)
    for release_id in ("web-1", "web-2", "web-1", "web-3"):
        courses.ticked(release_id, reading(), ruling(2.0))
    assert [bool(courses.course(one).t) for one in ("web-1", "web-2", "web-3")] == [True, False, True]
