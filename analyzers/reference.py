"""What a baseline was while it served: what is left to hold a canary against that has all of its traffic."""

import math
from typing import Final

import msgspec

from analyzers.counts import MAX_BUCKETS

_LARGEST: Final = 1e15


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of a baseline that no longer grow.

    Attributes:
        requests, errors, unanswered: since its watch began; ``requests`` exclude the unanswered ones.
        bounds_ms: finite upper bounds of the latency histogram, increasing; () where there is none.
        latency: its counts, one more than bounds: of the last ticks, older ones with less weight; () where there is none.
    """

    requests: float = 0.0
    errors: float = 0.0
    unanswered: float = 0.0
    bounds_ms: tuple[float, ...] = ()
    latency: tuple[float, ...] = ()


def checked(one: Reference) -> Reference:
    """The same, where it can be one.

    Raises:
        ValueError: with what is wrong.
    """
    counts = (one.requests, one.errors, one.unanswered, *one.latency)
    if any(not 0.0 <= count <= _LARGEST for count in counts) or one.errors > one.requests:
        raise ValueError(f"a reference has counts of 0 or more, and no more errors than requests, got {one}")
    if one.latency or one.bounds_ms:
        if len(one.latency) != len(one.bounds_ms) + 1 or len(one.latency) > MAX_BUCKETS:
            said = f"{len(one.latency)} counts of latency, {len(one.bounds_ms)} bounds need {len(one.bounds_ms) + 1}"
            raise ValueError(f"a reference has {said}, and at most {MAX_BUCKETS} of them can be judged")
        if math.fsum(one.latency) <= 0.0:
            raise ValueError("a reference's histogram of latency is empty: leave it out")
    return one
