"""For how long an answer sends us away, in both forms that HTTP has for it."""

import pytest

from daemon.aio.retryafter import retry_after_seconds

NOW = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("text", "date", "seconds"),
    [
        ("7", "", 7.0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", NOW, 30.0),
        ("Wed, 21 Oct 2026 07:27:30 GMT", NOW, 0.0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", "", None),
        ("Wed, 21 Oct 2026 07:28:30 -0000", NOW, None),
        ("tomorrow", NOW, None),
        ("Wed, 99 Oct 99999999999999 07:28:30 GMT", NOW, None),
        ("-3", NOW, None),
        ("", NOW, None),
    ],
)
def test_it_is_seconds_or_a_date_by_the_clock_of_who_answers(text: str, date: str, seconds: float | None) -> None:
    assert retry_after_seconds(text, date=date) == seconds
