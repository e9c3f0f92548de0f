"""A log line that comes again and again is written now and then."""

import pytest

from daemon.aio.throttle import EVERY_SECONDS, LogThrottle


def test_a_thing_is_said_once_and_then_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("daemon.aio.throttle.time.monotonic", lambda: now)
    throttle = LogThrottle()
    assert [throttle.due(), throttle.due()] == [True, False]
    now += EVERY_SECONDS
    assert [throttle.due(), throttle.due()] == [True, False]
