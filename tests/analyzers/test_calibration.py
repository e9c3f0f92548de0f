"""A small seeded part of the calibration (``tests.bench.calibration``): rates within exact binomial limits, delays as designed."""

import pytest
from scipy import stats

from tests.bench.calibration import DETECTION, HEALTHY, PROMOTION, Cell, measure

SURELY = 0.999


def _cell(name: str) -> Cell:
    return next(cell for cell in (*DETECTION, *HEALTHY, *PROMOTION) if cell.name == name)


@pytest.mark.parametrize("name", ["A/A clean", "A/A, not split", "A/A errors in bursts of 5"])
def test_healthy_canaries_are_rolled_back_in_at_most_one_of_a_hundred(name: str) -> None:
    runs = 150
    got = measure(_cell(name), runs=runs, seed=11)
    assert got.share * runs <= stats.binom.ppf(SURELY, runs, 0.01)


@pytest.mark.parametrize(
    ("name", "median"),
    [("errors 1 %", 11), ("errors 5 %", 2), ("latency x1.2", 8), ("p99 +50 % (tail only)", 25), ("onset 165: errors 5 %", 4)],
)
def test_regressions_are_found_as_fast_as_designed(name: str, median: float) -> None:
    got = measure(_cell(name), runs=60, seed=12)
    assert got.share == 1.0
    assert got.median <= median


@pytest.mark.parametrize("name", ["at tolerance: errors +.5 points", "at tolerance: errors .5 %", "at tolerance: x1.10"])
def test_a_canary_at_a_tolerance_is_promoted_in_at_most_one_of_twenty(name: str) -> None:
    runs = 40
    got = measure(_cell(name), runs=runs, seed=13)
    assert got.share * runs <= stats.binom.ppf(SURELY, runs, 0.05)


def test_an_identical_canary_is_promoted_within_a_minute() -> None:
    got = measure(_cell("identical: errors, rank, mean"), runs=60, seed=14)
    assert got.share == 1.0
    assert got.median <= 40
