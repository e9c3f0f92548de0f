"""A revert by hand that has time. Import the fixture ``unhurried_reverts`` into a ``conftest.py``: it is taken by every test there.

What a revert wants to know before its patch, who would serve and whose the routes are, it waits a second for, and patches then
without knowing it. That is as long as a busy machine may put a test's process aside.
"""

from functools import partial

import pytest

from daemon.cli import reverting
from daemon.engine.reverting import Reverting


@pytest.fixture(autouse=True)
def unhurried_reverts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command waits for these answers for as long as it takes."""
    patient = partial(Reverting, baseline_seconds=40.0, owner_seconds=40.0, owner_told_seconds=40.0)
    monkeypatch.setattr(reverting, "Reverting", patient)
