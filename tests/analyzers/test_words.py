"""Numbers as they are read at 3 a.m."""

import pytest

from analyzers import words


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0.0, "0 %"),
        (0.001, "0.1 %"),
        (0.0213, "2.1 %"),
        (0.21, "21 %"),
        (1.0, "100 %"),
        (0.999, "99.9 %"),
        (0.99962, "99.96 %"),
        (0.995, "99.5 %"),
        (0.05, "5 %"),
    ],
)
def test_percent(rate: float, text: str) -> None:
    assert words.percent(rate) == text


@pytest.mark.parametrize(("factor", "text"), [(1.314, "1.31 times"), (12.3, "12 times")])
def test_times(factor: float, text: str) -> None:
    assert words.times(factor) == text


@pytest.mark.parametrize(
    ("evidence", "text"),
    [(0.3, "at most 1 in 1"), (109.0, "at most 1 in 100"), (4321.0, "at most 1 in 4 300"), (1e30, "less than 1 in a billion")],
)
def test_odds_round_down(evidence: float, text: str) -> None:
    assert words.odds(evidence) == text


def test_how_often_a_canary_that_is_no_worse_would_come_as_far() -> None:
    assert words.alarm(612.0) == "at most 1 in 610 canaries that are no worse would look as bad"
    assert words.alarm(1e12) == "fewer than 1 in a billion canaries that are no worse would look as bad"


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.921, 1.068, "between 0.92 and 1.07 times"),
        (0.9962, 1.0031, "between 0.996 and 1.003 times"),
        (1.0, 1.0, "1.00 times"),
        (0.7, 12.34, "between 0.70 and 12 times"),
        (0.7, None, "at least 0.70 times"),
    ],
)
def test_two_factors_have_as_many_digits_as_tell_them_apart(low: float, high: float | None, text: str) -> None:
    assert words.between(low, high) == text


def test_what_is_enough_is_said_to_be() -> None:
    assert [words.exposed(seen, 500.0) for seen in (499.0, 2029.0)] == [
        "499 of 500 canary requests seen",
        "2 029 canary requests seen (enough)",
    ]
    assert [words.watched(seconds, wanted) for seconds, wanted in ((299.75, 300.0), (900.0, 300.0), (0.25, 0.5))] == [
        "299 of 300 s watched",
        "900 s watched (enough)",
        "0 of 0.5 s watched",
    ]


def test_odds_that_it_is_worse_than_tolerated_round_down() -> None:
    assert [words.to_one(evidence) for evidence in (0.9, 5.89, 57.6, 1044.2, 1e6)] == [
        "less than 1 to 1",
        "5.8 to 1",
        "57 to 1",
        "1 044 to 1",
        "more than a million to 1",
    ]


def test_lists() -> None:
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b", "c"]) == "a, b and c"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s"), (39.2, "40 s"), (91.0, "2 min"), (1500.0, "25 min"), (10_000.0, "3 h"), (172_801.0, "3 days"), (1e30, None)],
)
def test_durations_round_up(seconds: float, text: str | None) -> None:
    assert text is None or words.duration(seconds) == text
    assert words.duration(seconds)[0].isdigit()


def test_traffic_latency_and_factors() -> None:
    assert [words.per_second(rate) for rate in (0.5, 2.34, 50.4, 12_000.0)] == ["0.5/s", "2.3/s", "50/s", "12 000/s"]
    assert [words.milliseconds(latency) for latency in (0.5, 250.0, 3.6e6)] == ["0.5 ms", "250 ms", "3 600 000 ms"]
    assert [words.slower(factor) for factor in (1.1, 1.05, 3.0, 1.125)] == [
        "10 % slower",
        "5 % slower",
        "200 % slower",
        "12.5 % slower",
    ]
