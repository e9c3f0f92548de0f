"""What a test run says at its end: how long it took, and how long the tests of each layer, many of them side by side."""

import signal
import time

import pytest
from hypothesis import HealthCheck, settings

# A property fails by what it finds, not by how busy the machine is; the rest is as hypothesis sets it, which repeats itself in CI.
settings.register_profile("patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# A run in the background of a shell ignores SIGINT, one under nohup SIGHUP, and so would the processes that tests start and signal.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

LIMIT_MINUTES = 15
"""What all tests together may take on two idle cores."""

_began_seconds = time.monotonic()
_spent_seconds = {"unit": 0.0, "live": 0.0, "mesh": 0.0}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up set-up, call and tear-down, by layer."""
    layer = next((name for name in ("mesh", "live") if name in report.keywords), "unit")
    _spent_seconds[layer] += report.duration


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line: a layer that grows is seen."""
    minutes = (time.monotonic() - _began_seconds) / 60
    layers = ", ".join(f"{name} {seconds / 60:.1f}" for name, seconds in _spent_seconds.items())
    terminalreporter.write_line(f"{minutes:.1f} minutes of {LIMIT_MINUTES}; spent in the tests of each layer: {layers}")
