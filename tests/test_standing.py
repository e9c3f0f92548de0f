"""Said once for each change, and known in between."""

import pytest

from daemon.standing import Standing


def test_a_component_that_fails_for_long_is_said_twice_in_all(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    time = 100.0
    standing = Standing("store", now=lambda: time)
    standing.works()
    for _ in range(50):
        time += 1.0
        standing.fails("no room")
    assert (standing.problem, standing.last_success_at) == ("no room", 100.0)
    time += 1.0
    standing.works()
    standing.works()
    assert standing.problem is None
    first, second = caplog.records
    assert (first.levelname, first.message, first.__dict__["reason"]) == ("WARNING", "does not work", "no room")
    assert (second.levelname, second.message, second.__dict__["after_seconds"]) == ("INFO", "works again", 50.0)


def test_of_a_component_that_nobody_uses_any_more_nothing_is_claimed() -> None:
    standing = Standing("telemetry edge")
    standing.fails("no answer")
    standing.rests()
    assert standing.problem is None
