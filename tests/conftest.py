"""What a test run says at its end: how long each layer took, beside the share it may take."""

import signal

import pytest

# A run in the background of a shell ignores SIGINT, and so would the processes it starts, some of which are to be interrupted.
signal.signal(signal.SIGINT, signal.default_int_handler)

SHARES_MINUTES = {"unit": 4.0, "live": 5.0, "mesh": 6.0}
"""Of the fifteen minutes that all tests together may take on two idle cores."""

_spent_seconds = dict.fromkeys(SHARES_MINUTES, 0.0)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up set-up, call and tear-down, by layer."""
    layer = next((name for name in ("mesh", "live") if name in report.keywords), "unit")
    _spent_seconds[layer] += report.duration


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line: a layer that grows over its share is seen."""
    layers = [f"{name} {_spent_seconds[name] / 60:.1f} of {share:g}" for name, share in SHARES_MINUTES.items()]
    terminalreporter.write_line(f"minutes by layer: {', '.join(layers)}")
