"""Many releases watched by the real judge, to their verdicts: what a policy would do to such releases.

Where the releases come from is open: a feed gives, tick by tick, the samples of those that are still watched. Releases run in
blocks, each with a seed of its own derived from the trial's: blocks bound the memory, can be spread over processes, and a block's
releases do not depend on how many blocks there are.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec
import numpy as np

from analyzers.counts import Sample
from analyzers.judge import Round, Terms, terms_of, to_end
from config.policy import Policy
from daemon.offline.simulation import packing
from daemon.offline.simulation.drawing import Counts, Stream
from daemon.offline.simulation.shapes import Shape
from daemon.offline.simulation.world import World

BLOCK: Final = 512
"""Releases that are watched side by side."""

Feed = Iterator[Callable[[Sequence[int]], list[Sample]]]
"""Per tick, what gives the samples of the releases at some places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """How releases ended, in order.

    Attributes:
        outcomes: ``rollback``, ``promote``, ``inconclusive``; what was still watched when the feed ended is inconclusive.
        ticks: the tick of the verdict (the first is 1).
        legs: the leg that carried a rollback.
    """

    outcomes: tuple[str, ...]
    ticks: Counts
    legs: tuple[str | None, ...]

    def share(self, outcome: str) -> float:
        """The share of the releases that ended so."""
        return self.outcomes.count(outcome) / len(self.outcomes)

    def delays(self, outcome: str, *, after_tick: int = 0) -> Counts:
        """Ticks to this outcome, counted from a tick, of the releases that ended so later than it."""
        chosen = np.array([one == outcome for one in self.outcomes]) & (self.ticks > after_tick)
        return self.ticks[chosen] - after_tick


def terms_for(world: World, policy: Policy) -> Terms:
    """The judge's terms for a watch of this world: what it finds, whoever is to confirm that."""
    return terms_of(
        msgspec.structs.replace(policy, on_promote="promote"),
        tick_seconds=world.traffic.tick_seconds,
        window_seconds=policy.window_seconds,
        weight=world.traffic.weight(1),
        bounds_ms=world.times.bounds_ms,
    )


def watched_ticks(world: World, terms: Terms) -> int:
    """Ticks until the deadline."""
    return math.ceil(terms.window_seconds / world.traffic.tick_seconds - 1e-9)


def feed(
    world: World,
    *,
    ticks: int,
    releases: int,
    seed: int | np.random.SeedSequence,
    latencies: tuple[Shape, Shape] | None = None,
) -> Feed:
    """Releases of a world; for the rest see ``Stream``."""
    stream = Stream(world, releases=releases, seed=seed, latencies=latencies)
    return (partial(packing.samples, world, tick) for tick in stream.ticks(ticks))


def rounds(source: Feed, terms: Terms, *, releases: int) -> Iterator[Round]:
    """Judge a block of releases under the same terms, each until it has ended or the feed has."""

    def samples_of(places: Sequence[int]) -> Sequence[Sample | None]:
        tick = next(source, None)
        return [None] * len(places) if tick is None else tick(places)

    return to_end([terms] * releases, samples_of)


def watch(source: Feed, terms: Terms, *, releases: int) -> Ends:
    """Watch a block of releases, each to its verdict."""
    outcomes, ended = ["inconclusive"] * releases, np.zeros(releases, dtype=np.int64)
    legs: list[str | None] = [None] * releases
    for number, now in enumerate(rounds(source, terms, releases=releases), start=1):
        ended[now.places] = number
        for at, ruling in zip(now.places, now.rulings, strict=True):
            if ruling.outcome != "continue":
                outcomes[at], legs[at] = ruling.outcome, ruling.leg
    return Ends(outcomes=tuple(outcomes), ticks=ended, legs=tuple(legs))


def blocks(releases: int) -> list[int]:
    """Sizes of the blocks of a trial."""
    return [min(BLOCK, releases - first) for first in range(0, releases, BLOCK)]


def judge(world: World, policy: Policy, *, releases: int, seed: int) -> Ends:
    """Watch releases of one world under a policy, each to its verdict."""
    terms = terms_for(world, policy)
    parts = [
        watch(
            feed(world, ticks=watched_ticks(world, terms), releases=size, seed=np.random.SeedSequence([seed, block])),
            terms,
            releases=size,
        )
        for block, size in enumerate(blocks(releases))
    ]
    return Ends(
        outcomes=tuple(one for part in parts for one in part.outcomes),
        ticks=np.concatenate([part.ticks for part in parts]),
        legs=tuple(one for part in parts for one in part.legs),
    )
