"""Curves, drawn for a terminal and for a page; here is what both share: where an axis of time has its labels."""

import math

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)


def moments(seconds: float, *, most: int = 6) -> list[int]:
    """Seconds from 0 to the end at even steps, at most ``most`` besides 0."""
    step = next((step for step in _STEPS if seconds / step < most + 1), math.ceil(seconds / most))
    return list(range(0, math.floor(seconds) + 1, step))
