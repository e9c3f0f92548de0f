"""Numbers as they are read at 3 a.m."""

import pytest

from analyzers import words


@pytest.mark.parametrize(
    ("rate", "text"),
    [(0.0, "0 %"), (0.001, "0.1 %"), (0.0213, "2.1 %"), (0.21, "21 %"), (1.0, "100 %"), (0.999, "99.9 %"), (0.05, "5 %")],
)
def test_percent(rate: float, text: str) -> None:
    assert words.percent(rate) == text


@pytest.mark.parametrize(("factor", "text"), [(1.314, "1.31 times"), (12.3, "12 times")])
def test_times(factor: float, text: str) -> None:
    assert words.times(factor) == text


@pytest.mark.parametrize(
    ("evidence", "text"), [(0.3, "1 in 0"), (109.0, "1 in 100"), (4321.0, "1 in 4 300"), (1e30, "1 in more than a billion")]
)
def test_odds_round_down(evidence: float, text: str) -> None:
    assert words.odds(evidence) == text


def test_lists() -> None:
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b", "c"]) == "a, b and c"
