"""What a test run says at its end: how long it took, and how long the tests of each layer, many of them side by side."""

import gc
import importlib
import os
import pkgutil
import signal
import time
from collections import Counter
from collections.abc import Generator

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, is_hypothesis_test, settings

import analyzers
import config
import daemon

# A property fails by what it finds, not by how busy the machine is; the rest is as hypothesis sets it, which repeats itself in CI.
settings.register_profile("patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# A run in the background of a shell ignores SIGINT, one under nohup SIGHUP, and so would the processes that tests start and signal.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

LIMIT_MINUTES = 15
"""What all tests together may take on two idle cores."""


MEASURING = "COVERAGE_PROCESS_CONFIG"
"""What tells a process that it is measured, and how."""

MEASURED_CASES = 4
"""Of a test that has more, the others are not measured."""

_how_to_measure: list[str] = []
_later_cases: set[pytest.Item] = set()


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coverage is measured in the processes that the test starts, which makes each of them dearer by half.

    For tests that start what no other test runs in its own process; in all others nothing is measured but themselves.
    """
    for how in _how_to_measure:
        monkeypatch.setenv(MEASURING, how)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Function) -> Generator[None, object, object]:
    """What is tried over and over is not measured: others run the same code, and measuring makes all Python twice as slow.

    That is each property, all but the first cases of a test that has many, and what is marked ``broad``; not of the mathematics, of
    which each branch is to be seen.
    """
    looking = Coverage.current()
    again = not item.nodeid.startswith("tests/analyzers/") and (is_hypothesis_test(item.obj) or item in _later_cases)
    if looking is None or not (again or item.get_closest_marker("broad")):
        return (yield)
    looking.stop()
    try:
        return (yield)
    finally:
        looking.start()


# What is collected stays to the end: there is nothing to be found in it, neither while it is collected nor each time afterwards.
gc.disable()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """While tests are collected only the import of the product is measured: the rest is pytest's own work."""
    looking = Coverage.current()
    if looking is None:
        return (yield)
    for package in (config, analyzers, daemon):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    looking.stop()
    try:
        return (yield)
    finally:
        looking.start()


def pytest_collection_finish(session: pytest.Session) -> None:
    """From here on there is something to be found, and processes are started."""
    cases = Counter[str]()
    for item in session.items:
        test = item.nodeid.partition("[")[0]
        cases[test] += 1
        if cases[test] > MEASURED_CASES:
            _later_cases.add(item)
    gc.freeze()
    gc.enable()
    if how := os.environ.pop(MEASURING, None):
        _how_to_measure.append(how)


@pytest.hookimpl(tryfirst=True)  # xdist takes the groups from the marks in this same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Side by side, the tests of one file that share an event loop, and so servers, stay together, unless they say with whom else.

    Who may take longest begins first: one that begins last is waited for by all. The rest stays in its order.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    for item in items:
        loop = item.get_closest_marker("asyncio")
        if loop is not None and loop.kwargs.get("loop_scope") == "module" and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
    items.sort(key=_may_take_seconds, reverse=True)


def _may_take_seconds(item: pytest.Item) -> float:
    allowed = item.get_closest_marker("timeout")
    return 0.0 if allowed is None else float(allowed.args[0])


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
