"""What the engine's tests share."""

import pytest

from tests.hand.clock import HandClock


@pytest.fixture
def clock() -> HandClock:
    """A thousand seconds after 1970."""
    return HandClock(1_000.0)
