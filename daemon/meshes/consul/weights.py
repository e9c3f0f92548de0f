"""A splitter's weights: percent in steps of 0.01 that must sum to exactly 100, by two different additions. Pure.

Consul itself rounds each to whole hundredths and adds those. The admission webhook of consul-k8s adds them in the entry's order as
single-precision floats, and refuses what is not 100 then: 66.66 and 33.33 and 0.01 may be 100 to the one and not to the other.
"""

import struct
from collections.abc import Sequence

SCALE = 100
WHOLE = 100 * SCALE
_STEP = 2.0**-20
"""Finer than single precision is near 100."""
_NEIGHBOURS = 16


def hundredths(weight: object) -> int:
    """A weight as Consul counts it; one that is absent is 0."""
    return round(float(weight) * SCALE) if isinstance(weight, int | float) else 0


def percent(parts: int) -> int | float:
    """The other way round; whole where it is."""
    return parts // SCALE if parts % SCALE == 0 else parts / SCALE


def settled(weights: Sequence[int | float], *, at: int) -> int | float:
    """The weight at a place such that both additions give 100, as far as one of its nearest neighbours does.

    It differs from the one that is there by less than Consul rounds away; where that one does, it stays.
    """
    given = weights[at]
    others = [_single(one) for one in weights]
    for candidate in (given, *_near(_single(given))):
        if _sum([*others[:at], _single(candidate), *others[at + 1 :]]) == float(SCALE):
            return candidate
    return given


def _near(value: float) -> list[float]:
    """Numbers around it, the nearest first; none that the webhook would take for too small."""
    near = (value + sign * far * _STEP for far in range(1, _NEIGHBOURS) for sign in (1, -1))
    return [_single(one) for one in near if one >= 1 / SCALE]


def _sum(singles: Sequence[float]) -> float:
    total = 0.0
    for one in singles:
        total = _single(total + one)
    return total


def _single(value: float) -> float:
    packed: tuple[float] = struct.unpack("f", struct.pack("f", value))
    return packed[0]
