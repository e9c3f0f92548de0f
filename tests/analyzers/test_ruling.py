"""Legs as a ruling holds them: a mapping whose numbers are put into words when asked for."""

import math

import pytest

from analyzers.ruling import LegNow, LegsNow

LEGS = LegsNow(("errors", "typical"), (12.5, 1.0), (3.0, 1.0), lambda at: (0.04, math.nan)[:at], lambda at: (), 2)


def test_legs_are_a_mapping_by_name() -> None:
    assert dict(LEGS) == {"errors": LegNow(12.5, 0.04, 3.0), "typical": LegNow(1.0, None)}
    assert len(LEGS) == 2


def test_a_leg_that_there_is_not_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="speed"):
        LEGS["speed"]
