"""Clocks that differ: proven by what a store answers, never guessed from samples that are merely late."""

import logging

import pytest

from daemon.telemetry.prometheus import clocks
from daemon.telemetry.prometheus.clocks import Clocks

NOW = 1_000.0


def compared(*newest: float, window_seconds: float = 30.0, every: float = 5.0) -> Clocks:
    made = Clocks("http://store")
    for number, at in enumerate(newest):
        now = NOW + number * every
        made.compare(at, window_seconds=window_seconds, asked_at=now, answered_at=now + 0.1)
    return made


@pytest.mark.parametrize("age", [0.0, 2.0, 29.0, 31.0])
def test_samples_that_may_be_late_prove_nothing(age: float) -> None:
    assert compared(NOW - age).ahead_seconds == 0.0


def test_samples_older_than_what_was_asked_for_show_that_we_are_ahead_by_the_rest() -> None:
    assert compared(NOW - 70.0).ahead_seconds == pytest.approx(40.0)


def test_samples_that_are_not_taken_yet_show_that_we_are_behind() -> None:
    assert compared(NOW + 40.1).ahead_seconds == pytest.approx(-40.0)


def test_what_was_proven_holds_while_lateness_would_do_as_well_and_no_longer_than_that() -> None:
    """Once it is taken for lateness the windows are wide enough for it, and nothing is proof any more."""
    assert compared(NOW - 70.0, NOW - 60.0, NOW - 55.0).ahead_seconds == pytest.approx(40.0)
    assert compared(NOW - 70.0, NOW + 4.0).ahead_seconds == 0.0


def test_that_we_are_behind_is_forgotten_when_it_has_not_shown_for_long() -> None:
    assert compared(NOW + 40.0, NOW + 4.0).ahead_seconds < 0.0
    assert compared(NOW + 40.0, NOW + 399.0, every=400.0).ahead_seconds == 0.0


def test_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger=clocks.__name__):
        compared(NOW - 70.0, NOW - 75.0, NOW - 80.0)
    assert [one.__dict__["reason"] for one in caplog.records] == [
        "ours is at least 40 s ahead of the store's; it may also answer from a cache"
    ]
