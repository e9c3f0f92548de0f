"""Native histograms on bounds that stay: exact where a bound tears no bucket, and none where it does."""

import itertools
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import InvalidInput
from daemon.telemetry.counters.histograms import MAX_BOUNDS, common_bounds, growth
from daemon.telemetry.counters.native import Bucket, CustomBounds, NativeHistogram

SECONDS = 1000.0


def exponential(values: list[float], resolution: int) -> list[Bucket]:
    """As Prometheus keeps these values at this resolution."""
    step = 2.0**-resolution
    places = Counter(math.ceil(math.log2(value) / step - 1e-12) for value in values)
    return [Bucket(2.0 ** ((place - 1) * step), 2.0 ** (place * step), float(number)) for place, number in sorted(places.items())]


def custom(values: list[float], bounds: list[float]) -> list[Bucket]:
    """As Prometheus shows a histogram with these bounds: the buckets that hold something."""
    edges = [-math.inf, *bounds, math.inf]
    found = []
    for low, high in itertools.pairwise(edges):
        number = sum(low < value <= high for value in values)
        found += [Bucket(low, high, float(number))] if number else []
    return found


def met(buckets: list[Bucket], *, bounds: CustomBounds | None = None) -> NativeHistogram:
    total = sum(one.number for one in buckets)
    return NativeHistogram.met(count=total, sum=1.5, buckets=buckets, custom=bounds or CustomBounds())


@given(st.lists(st.floats(min_value=0.01, max_value=100.0), min_size=1, max_size=60), st.integers(min_value=-1, max_value=5))
def test_each_count_is_that_of_the_values_up_to_its_bound(values: list[float], resolution: int) -> None:
    found = met(exponential(values, resolution)).on_bounds(unit_ms=SECONDS, path="h")
    for bound, counted in zip(found.bounds_ms, found.cumulative, strict=False):
        surely = sum(value * SECONDS < bound * (1 - 1e-6) for value in values)
        at_most = sum(value * SECONDS <= bound * (1 + 1e-6) for value in values)
        assert surely <= counted <= at_most
    assert found.total == len(values)
    assert len(found.bounds_ms) <= MAX_BOUNDS
    assert found.sum_ms == 1500.0


@given(st.lists(st.floats(min_value=0.01, max_value=20.0), min_size=2, max_size=60), st.integers(min_value=1, max_value=59))
def test_what_grows_between_two_samples_is_what_was_observed_between_them(values: list[float], cut: int) -> None:
    earlier = values[: min(cut, len(values) - 1)]
    old, new = (met(exponential(some, 3)).on_bounds(unit_ms=SECONDS, path="h") for some in (earlier, values))
    assert old.bounds_ms == new.bounds_ms
    step = growth(old, new)
    assert step is not None
    assert sum(step[0]) == len(values) - len(earlier)


def test_pods_of_different_resolution_are_compared_on_what_all_of_them_have() -> None:
    fine, coarse = (met(exponential([0.05, 0.3, 2.0], resolution)).on_bounds(unit_ms=SECONDS, path="h") for resolution in (4, 0))
    shared = common_bounds([fine, coarse])
    assert shared == coarse.bounds_ms
    assert set(coarse.bounds_ms) < set(fine.bounds_ms)
    assert [bound / SECONDS for bound in shared] == [2.0**power for power in range(-10, 6)]


def test_bounds_of_somebodys_choice_are_all_those_that_were_met_of_the_metric() -> None:
    known, bounds = CustomBounds(), [5.0, 7.0, 10.0, 30.0]
    fast, slow = met(custom([6.0], bounds), bounds=known), met(custom([9.0, 40.0], bounds), bounds=known)
    assert fast.on_bounds(unit_ms=1.0, path="h").bounds_ms == (5.0, 7.0, 10.0, 30.0)
    assert fast.on_bounds(unit_ms=1.0, path="h").cumulative == (0, 1, 1, 1, 1)
    assert slow.on_bounds(unit_ms=1.0, path="h").cumulative == (0, 0, 1, 1, 2)


def test_a_bound_that_would_tear_a_bucket_is_not_used() -> None:
    known = CustomBounds()
    met(custom([6.0], [5.0, 7.0]), bounds=known)
    other = met(custom([6.0], [4.0, 10.0]), bounds=known)
    assert other.on_bounds(unit_ms=1.0, path="h").bounds_ms == (4.0, 10.0)


def test_what_is_about_zero_is_below_every_bound() -> None:
    buckets = [Bucket(-1e-39, 1e-39, 3.0), *exponential([0.2], 3)]
    found = met(buckets).on_bounds(unit_ms=SECONDS, path="h")
    assert found.cumulative[0] == 3
    assert found.total == 4


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"count": 2.5}, "not a count"), ({"count": 0.0}, "more than its count"), ({"sum": math.inf}, "the sum is inf")],
)
def test_a_rate_or_what_is_broken_is_refused(changed: dict[str, float], message: str) -> None:
    sample = {"count": 1.0, "sum": 0.2, **changed}
    broken = NativeHistogram.met(buckets=exponential([0.2], 3), custom=CustomBounds(), **sample)
    with pytest.raises(InvalidInput, match=message):
        broken.on_bounds(unit_ms=SECONDS, path="h")


def test_a_float_histogram_counts_where_its_counts_are_whole() -> None:
    half = NativeHistogram.met(count=0.5, sum=0.1, buckets=[Bucket(0.5, 1.0, 0.5)], custom=CustomBounds())
    with pytest.raises(InvalidInput, match=r"0\.5 is not a count"):
        half.on_bounds(unit_ms=SECONDS, path="h")
