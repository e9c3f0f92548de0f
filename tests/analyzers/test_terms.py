"""Terms refuse what the judge cannot compute with, in one clear sentence."""

import math
from typing import Literal

import pytest

from analyzers.judge import terms_of
from config.policy import Policy


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"tick_seconds": 0.0}, "tick_seconds"),
        ({"tick_seconds": math.nan}, "tick_seconds"),
        ({"window_seconds": -1.0}, "window_seconds"),
        ({"weight": 101.0}, "between 0 and 100"),
        ({"bounds_ms": tuple(range(1, 65))}, "at most 63"),
        ({"bounds_ms": (1.0, math.inf)}, "finite"),
        ({"bounds_ms": (1.0, 1.0)}, "increase"),
    ],
)
def test_impossible_terms_are_refused(changed: dict[str, object], says: str) -> None:
    given: dict[str, object] = {"tick_seconds": 1.0, "window_seconds": 300.0}
    with pytest.raises(ValueError, match=says):
        terms_of(Policy(), **(given | changed))  # type: ignore[arg-type]  # wrong values are the point


def test_a_window_shorter_than_a_tick_is_one_tick() -> None:
    assert terms_of(Policy(), tick_seconds=5.0, window_seconds=1.0).horizon == 1.0


def test_bounds_that_differ_have_another_mark() -> None:
    marks = {terms_of(Policy(), tick_seconds=1.0, window_seconds=9.0, bounds_ms=b).bounds_mark for b in ((), (1, 2), (2, 1.5 + 1))}
    assert len(marks) == 3


@pytest.mark.parametrize(
    ("seconds", "cap"), [(0.25, 0.75), (1.0, 3.0), (4.0, 3.0), (5.0, 4.5), (30.0, 4.5)], ids=lambda value: f"{value:g}"
)
def test_a_second_may_multiply_an_e_process_by_twenty_however_often_it_is_looked_at(seconds: float, cap: float) -> None:
    assert terms_of(Policy(), tick_seconds=seconds, window_seconds=300.0).cap == cap


def test_how_sure_it_must_be_of_the_harm_and_what_later_starts_weigh() -> None:
    def one(word: Literal["fast", "balanced", "strict"], window_seconds: float) -> tuple[float, float]:
        made = terms_of(Policy(evidence=word), tick_seconds=1.0, window_seconds=window_seconds)
        return made.beyond, made.later

    assert one("fast", 300.0) == (3.0, 1.0 / 120.0)
    assert one("balanced", 300.0) == (5.0, 1.0 / 120.0)
    assert one("balanced", 900.0) == (5.0, 2.5 / 900.0)
    assert one("strict", 300.0) == (100.0, 0.25 / 300.0)
