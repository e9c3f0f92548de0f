"""Of a scrape that comes in parts, the newest moment at which all parts are there."""

import pytest

from daemon.telemetry.counters.settling import Samples, settled_at, value_at


def samples(*pairs: tuple[float, int]) -> Samples:
    return [(at, str(value)) for at, value in pairs]


SERVED = samples((5.0, 100), (10.0, 150), (15.0, 200))


def test_what_is_there_whole_is_taken_as_it_is() -> None:
    assert settled_at({"200": SERVED}, {}, at=15.0, spacing_seconds=5.0) == 15.0


@pytest.mark.parametrize("last", [5.0, 10.0])
def test_a_series_that_is_behind_is_waited_for_and_all_are_taken_as_they_were_when_it_was_there(last: float) -> None:
    behind = samples((last - 5.0, 1), (last, 2))
    assert settled_at({"200": SERVED}, {"503": behind}, at=15.0, spacing_seconds=5.0) == last


def test_of_several_that_are_behind_the_last_one_counts() -> None:
    behind = {"503": samples((10.0, 2)), "404": samples((5.0, 1))}
    assert settled_at({"200": SERVED}, behind, at=15.0, spacing_seconds=5.0) == 5.0


def test_a_series_that_is_behind_by_more_has_ended() -> None:
    assert settled_at({"200": samples((1.0, 7), (15.0, 200))}, {"503": samples((1.0, 2))}, at=15.0, spacing_seconds=5.0) == 15.0


def test_a_series_of_other_times_is_another_scrapers_and_is_not_waited_for() -> None:
    assert settled_at({"200": SERVED}, {"503": samples((12.0, 2))}, at=15.0, spacing_seconds=5.0) == 15.0


def test_a_process_that_has_begun_anew_is_not_waited_for_since_its_other_series_may_not_come_back() -> None:
    fallen = samples((5.0, 100), (10.0, 150), (15.0, 3))
    assert settled_at({"200": fallen}, {"503": samples((10.0, 2))}, at=15.0, spacing_seconds=5.0) == 15.0


def test_a_value_is_that_of_the_very_moment_or_none() -> None:
    assert value_at(SERVED, 10.0002) == "150"
    assert value_at(SERVED, 12.0) is None
