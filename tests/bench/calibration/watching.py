"""A block of a row's releases, watched by the judge: how each of them ended, as a whole number.

A deadline says why it came to nothing, and those words cost as much as a hundred ticks. Where nothing is promoted nobody reads
them, so that there the deadline lies just behind the last tick that is watched.
"""

import math
import zlib
from dataclasses import dataclass

import numpy as np

from analyzers.judge import Terms, terms_of
from config.policy import Policy
from daemon.offline.simulation import trials
from daemon.offline.simulation.shapes import Shape
from daemon.offline.simulation.world import World
from tests.bench.calibration import held_back
from tests.bench.calibration.row import Row

Ends = list[int]
"""The tick of a rollback, minus the tick of a promotion, 0 for neither."""
Latencies = tuple[Shape, Shape] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What the judge is told of a row's releases."""

    ticks: int
    terms: Terms


def setting(row: Row) -> Setting:
    """Ticks to watch, and the terms."""
    policy: Policy = row.watch.policy
    stream = row.stream
    if isinstance(stream, World):
        seconds, weight, bounds_ms = stream.traffic.tick_seconds, stream.traffic.weight(1), stream.times.bounds_ms
    else:
        seconds, weight, bounds_ms = stream.tick_seconds, stream.weight, stream.bounds_ms
    ticks = math.ceil(row.watch.length_seconds / seconds - 1e-9)
    window = row.watch.length_seconds if row.watch.promoting else (ticks + 0.4) * seconds
    terms = terms_of(policy, tick_seconds=seconds, window_seconds=window, weight=weight, bounds_ms=bounds_ms)
    return Setting(ticks=ticks, terms=terms)


def ends(row: Row, *, block: int, releases: int, latencies: Latencies = None) -> Ends:
    """One block, with a seed of its own that does not depend on the order of the rows."""
    seed = np.random.SeedSequence([zlib.crc32(row.name.encode()), block])
    found = trials.watch(feed(row, releases=releases, seed=seed, latencies=latencies), setting(row).terms, releases=releases)
    signs = np.array([{"rollback": 1, "promote": -1}.get(outcome, 0) for outcome in found.outcomes])
    return [int(end) for end in signs * found.ticks]


def feed(row: Row, *, releases: int, seed: np.random.SeedSequence, latencies: Latencies = None) -> trials.Feed:
    """The samples of a block of a row's releases."""
    ticks = setting(row).ticks
    if isinstance(row.stream, World):
        return trials.feed(row.stream, ticks=ticks, releases=releases, seed=seed, latencies=latencies)
    return held_back.feed(row.stream, ticks=ticks, releases=releases, seed=seed)
