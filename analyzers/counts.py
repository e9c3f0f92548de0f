"""What one tick saw, as counts. The only thing the judge ever reads.

The field names are those of a recording's lines, so that the same structs are the wire format (see ``daemon.measurements``).
Arms are never ratios and never quantiles: a count can be added, tested and replayed; a ratio cannot.

There are 10 000s of them at every tick, and none is part of a cycle: the garbage collector passes them over (``gc=False``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

Effect = Literal["excuses", "holds", "says"]
"""What a signal does to a ruling (``analyzers.signals``)."""
About = Literal["canary", "baseline", "mesh"]

MAX_BUCKETS = 64
"""Counts per histogram, +Inf included, that can be judged."""


class Latency(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A histogram of one arm in one tick.

    ``counts`` has one entry per finite upper bound and one more for +Inf; ``sum_ms`` is the sum of the latencies in ms.
    """

    counts: tuple[int, ...]
    sum_ms: float


class Pod(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One pod's part of an arm in one tick. ``age_seconds`` is the pod's age at the end of the tick, where known."""

    requests: int
    errors: int = 0
    denied: int = 0
    latency: Latency | None = None
    age_seconds: float | None = None


class Arm(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One arm in one tick: ``requests`` exclude ``denied`` and ``unanswered`` ones, ``errors`` are among ``requests``.

    ``unanswered`` requests are those that nobody answered before their client gave up. ``unclassified`` ones are among
    ``requests``, and telemetry does not say how they ended: as far as is known they did not fail.

    ``latency`` is null in a tick in which the histogram did not move on (a proxy that merges its histograms every 5 s is
    scraped every second); its counts may then cover the requests of several ticks when it comes.
    """

    requests: int
    errors: int = 0
    denied: int = 0
    unanswered: int = 0
    unclassified: int = 0
    latency: Latency | None = None
    pods: Mapping[str, Pod] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Something known beside the counts, as of a tick: it stands, or it is not there. It never convicts.

    Attributes:
        kind: one of few names, as ``restarted``: for metrics, and for whoever branches on it.
        about: whose it is.
        effect: ``excuses``: while it stands nobody is convicted, and nobody promoted; ``holds``: nobody is promoted;
            ``says``: it is told, and that is all.
        words: for a person, with its subject and no full stop.
    """

    kind: str
    about: About
    effect: Effect
    words: str


class Sample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One tick of one release: ``t`` seconds since the watch began, over the last ``seconds`` seconds.

    An arm that is null had no telemetry this tick; ``gap`` then says why. No information is not zero requests. ``weight`` is
    the route's weight of the canary during this tick in percent, where that is known. ``signals`` are what stands beside it.
    """

    t: float
    seconds: float
    baseline: Arm | None
    canary: Arm | None
    gap: str | None = None
    weight: float | None = None
    signals: tuple[Signal, ...] = ()
