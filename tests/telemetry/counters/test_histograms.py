"""Growth of counters and histograms: resets, contradictions, and never more than was served."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import InvalidInput
from daemon.telemetry.counters import deltas
from daemon.telemetry.counters.histograms import MAX_BOUNDS, LatencyTracker, coarsen, common_bounds, growth
from daemon.telemetry.counters.snapshot import ArmSnapshot, Histogram, assemble, whole
from daemon.telemetry.schema import Ended

INF = math.inf
BOUNDS = (10.0, 100.0)


def test_counts_grow_by_how_they_ended() -> None:
    new = {"a": (Ended.SERVED, 12), "b": (Ended.SERVED, 5), "c": (Ended.FAILED, 3), "d": (Ended.FORBIDDEN, 1)}
    assert deltas.growth({"a": 10, "b": 5, "c": 1}, new) == deltas.Growth(2, 2, 1, restarted=False)


def test_a_counter_below_its_last_value_began_anew_at_zero() -> None:
    assert deltas.growth({"a": 100}, {"a": (Ended.SERVED, 7)}) == deltas.Growth(7, 0, 0, restarted=True)


@pytest.mark.parametrize("value", [math.nan, INF, -INF, -1.0, 0.5, 2e15, 1e300])
def test_what_cannot_be_a_count_is_refused(value: float) -> None:
    with pytest.raises(InvalidInput, match="is not a count"):
        whole(value, path="x")


def test_buckets_in_any_order_make_a_histogram_in_ms() -> None:
    made = assemble({INF: 5.0, 0.1: 2.0, 1.0: 4.0}, 2.5, unit_ms=1000.0, path="x")
    assert made == Histogram((100.0, 1000.0), (2, 4, 5), 2500.0)
    assert assemble({INF: 5.0, 10.0: 2.0}, None, unit_ms=1.0, path="x") == Histogram((10.0,), (2, 5), 0.0)


@pytest.mark.parametrize(
    ("buckets", "total", "reason"),
    [
        ({}, 0.0, "no \\+Inf"),
        ({10.0: 1.0}, 0.0, "no \\+Inf"),
        ({10.0: 3.0, INF: 2.0}, 0.0, "fall with growing bounds"),
        ({10.0: math.nan, INF: 2.0}, 0.0, "is not a count"),
        ({10.0: 1.0, INF: 2.0}, math.nan, "the sum is nan"),
    ],
)
def test_a_histogram_that_contradicts_itself_is_refused(buckets: dict[float, float], total: float, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        assemble(buckets, total, unit_ms=1.0, path="x")


def histogram(*cumulative: int, bounds: tuple[float, ...] = (1.0, 2.0)) -> Histogram:
    return Histogram(bounds, cumulative, float(cumulative[-1]))


def test_histograms_grow_bucket_by_bucket() -> None:
    assert growth(histogram(1, 2, 3), histogram(2, 5, 9)) == ([1, 2, 3], 6.0)
    assert growth(None, histogram(1, 2, 3)) == ([1, 1, 1], 3.0)


def test_the_same_histogram_again_is_no_news() -> None:
    assert growth(histogram(1, 2, 3), histogram(1, 2, 3)) is None
    assert growth(None, histogram(0, 0, 0)) is None


def test_a_histogram_below_its_last_total_began_anew() -> None:
    assert growth(histogram(10, 20, 30), histogram(0, 1, 1)) == ([0, 1, 0], 1.0)


def test_a_sum_never_shrinks() -> None:
    step = growth(Histogram((1.0,), (1, 1), 50.0), Histogram((1.0,), (2, 2), 49.0))
    assert step == ([1, 0], 0.0)


@pytest.mark.parametrize("new", [histogram(0, 3, 4), histogram(3, 3, 4), histogram(2, 2, 3)])
def test_buckets_that_no_requests_explain_are_refused(new: Histogram) -> None:
    with pytest.raises(InvalidInput, match="bucket counts"):
        growth(histogram(1, 2, 3), new)


def test_coarser_bounds_lose_detail_and_no_request() -> None:
    fine = Histogram((1.0, 2.0, 3.0), (1, 3, 6, 10), 5.0)
    assert coarsen(fine, (1.0, 3.0)) == Histogram((1.0, 3.0), (1, 6, 10), 5.0)
    assert coarsen(fine, fine.bounds_ms) is fine
    assert coarsen(fine, (2.5,)) is None
    assert coarsen(fine, (4.0,)) is None


def test_bounds_in_common_are_thinned_to_what_the_judge_takes() -> None:
    many = tuple(float(n) for n in range(200))
    shared = common_bounds([Histogram(many, (0,) * 201, 0.0), Histogram(many[50:], (0,) * 151, 0.0)])
    assert len(shared) == MAX_BOUNDS
    assert set(shared) <= set(many[50:])
    assert common_bounds([histogram(0, 0, 0), histogram(0, 0, 0, bounds=(2.0, 5.0))]) == (2.0,)
    assert common_bounds([histogram(0, 0, 0), histogram(0, 0, 0, bounds=(5.0, 7.0))]) == ()


@given(st.lists(st.lists(st.integers(0, 50), min_size=4, max_size=4), min_size=1, max_size=10))
def test_steps_add_up_to_the_whole(steps: list[list[int]]) -> None:
    """However the same requests are cut into readings, their buckets add up to the same."""
    running = [0, 0, 0, 0]
    old: Histogram | None = None
    added = [0, 0, 0, 0]
    for step in steps:
        running = [a + b for a, b in zip(running, step, strict=True)]
        new = Histogram((1.0, 2.0, 3.0), tuple(sum(running[: n + 1]) for n in range(4)), 0.0)
        grown = growth(old, new)
        if grown is not None:
            added = [a + b for a, b in zip(added, grown[0], strict=True)]
        old = new
    assert added == running


def test_a_histogram_that_was_withheld_when_its_pod_was_joined_holds_history() -> None:
    """Of two series one was whole; parts of the other had not come yet."""
    one, two = Histogram(BOUNDS, (1, 2, 3), 30.0), Histogram(BOUNDS, (100, 200, 300), 3000.0)
    tracker = LatencyTracker()
    joined = {"p": ArmSnapshot(at=1.0, spacing_seconds=1.0, histograms={"one": one}, withheld=frozenset({"two"}))}
    tracker.restart([joined, joined])
    tracker.keep([joined, joined], counted=[(), ()], awaited=[(), ()])
    grown = Histogram(one.bounds_ms, (2, 3, 4), 40.0)
    later = {"p": ArmSnapshot(at=2.0, spacing_seconds=1.0, histograms={"one": grown, "two": two})}
    for arm in tracker.fold([later, later], now=2.0):
        assert arm is not None
        assert sum(arm.latency.counts) == 1
    more = Histogram(two.bounds_ms, (101, 202, 303), 3030.0)
    last = {"p": ArmSnapshot(at=3.0, spacing_seconds=1.0, histograms={"one": grown, "two": more})}
    for arm in tracker.fold([last, last], now=3.0):
        assert arm is not None
        assert sum(arm.latency.counts) == 3
