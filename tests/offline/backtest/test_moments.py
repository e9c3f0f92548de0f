"""Moments as people write them."""

import pytest

from daemon.errors import InvalidInput
from daemon.offline.backtest.moments import moment, shown

NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-09-21T14:13:20Z", NOW),
        ("2026-09-21 14:13:20", NOW),
        ("2026-09-21T16:13:20+02:00", NOW),
        ("1790000000", NOW),
        ("now", NOW),
        ("90s", NOW - 90.0),
        ("1.5h", NOW - 5400.0),
        ("30d", NOW - 30 * 86_400.0),
    ],
)
def test_a_moment_is_a_date_or_seconds_or_how_long_ago(text: str, expected: float) -> None:
    assert moment(text, now=NOW, path="--from") == expected


@pytest.mark.parametrize("text", ["", "yesterday", "30 parsecs", "nan", "2026-13-01"])
def test_what_is_no_moment_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"--from: .* write 2026-11-03T10:00:00Z"):
        moment(text, now=NOW, path="--from")


def test_what_lies_ahead_is_refused() -> None:
    with pytest.raises(InvalidInput, match="is not in the past"):
        moment("2027-01-01", now=NOW, path="--from")


def test_moments_are_shown_in_utc() -> None:
    assert shown(NOW) == "2026-09-21 14:13:20"
