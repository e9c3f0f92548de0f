"""Many releases of one world watched by the real judge, to their verdicts: what a policy would do to such releases.

Releases run in blocks, each with a seed of its own derived from the trial's: blocks bound the memory, can be spread over
processes, and a block's releases do not depend on how many blocks there are.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from analyzers.counts import Sample
from analyzers.judge import JudgeState, Terms, fold, start, terms_of
from analyzers.ruling import Ruling
from config.policy import Policy
from daemon.simulation import packing
from daemon.simulation.drawing import Counts, Stream
from daemon.simulation.world import World

BLOCK: Final = 512
"""Releases that are watched side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """How releases ended, in order.

    Attributes:
        outcomes: ``rollback``, ``promote``, ``inconclusive``.
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
    """The judge's terms for a watch of this world."""
    return terms_of(
        policy,
        tick_seconds=world.traffic.tick_seconds,
        window_seconds=policy.window_seconds,
        split=world.split,
        weight=world.traffic.weight,
        bounds_ms=world.times.bounds_ms,
    )


def watched_ticks(world: World, terms: Terms) -> int:
    """Ticks until the deadline."""
    return math.ceil(terms.window_seconds / world.traffic.tick_seconds - 1e-9)


@dataclass(slots=True, kw_only=True)
class Round:
    """One tick of a watch: samples, the judge's states and rulings of the releases at ``places``, in parallel."""

    number: int
    places: Sequence[int]
    samples: list[Sample]
    states: list[JudgeState]
    rulings: list[Ruling]


class Watch:
    """A block of releases under watch. Iterate over ``rounds``; ``terms`` and ``places`` may be changed in between."""

    def __init__(self, world: World, terms: Terms, *, releases: int, seed: int | np.random.SeedSequence) -> None:
        """Begin with all releases watched, all under the same terms."""
        self.terms = [terms] * releases
        self.places = list(range(releases))
        self._world = world
        self._states = [start(terms)] * releases
        self._stream = Stream(world, releases=releases, seed=seed)

    def rounds(self, ticks: int) -> Iterator[Round]:
        """Fold tick after tick until ``places`` is empty or the ticks are over."""
        for tick in self._stream.ticks(ticks):
            places = self.places
            if not places:
                return
            samples = packing.samples(self._world, tick, places)
            folded = fold([self.terms[at] for at in places], [self._states[at] for at in places], samples)
            states = [state for state, _ in folded]
            for at, state in zip(places, states, strict=True):
                self._states[at] = state
            yield Round(number=tick.number, places=places, samples=samples, states=states, rulings=[ruling for _, ruling in folded])


def blocks(releases: int) -> list[int]:
    """Sizes of the blocks of a trial."""
    return [min(BLOCK, releases - first) for first in range(0, releases, BLOCK)]


def block_seed(seed: int, block: int) -> np.random.SeedSequence:
    """The seed of one block of a trial."""
    return np.random.SeedSequence([seed, block])


def judge(world: World, policy: Policy, *, releases: int, seed: int) -> Ends:
    """Watch releases of one world under a policy, each to its verdict."""
    terms = terms_for(world, policy)
    parts = [judge_block(world, terms, releases=size, seed=block_seed(seed, block)) for block, size in enumerate(blocks(releases))]
    return Ends(
        outcomes=tuple(one for part in parts for one in part.outcomes),
        ticks=np.concatenate([part.ticks for part in parts]),
        legs=tuple(one for part in parts for one in part.legs),
    )


def judge_block(world: World, terms: Terms, *, releases: int, seed: int | np.random.SeedSequence) -> Ends:
    """One block of a trial: releases under the same terms, each to its verdict."""
    ticks = watched_ticks(world, terms)
    outcomes, ended = ["inconclusive"] * releases, np.full(releases, ticks, dtype=np.int64)
    legs: list[str | None] = [None] * releases
    watch = Watch(world, terms, releases=releases, seed=seed)
    for now in watch.rounds(ticks):
        going = []
        for at, ruling in zip(now.places, now.rulings, strict=True):
            if ruling.outcome == "continue":
                going.append(at)
                continue
            outcomes[at], ended[at], legs[at] = ruling.outcome, now.number, ruling.leg
        watch.places = going
    return Ends(outcomes=tuple(outcomes), ticks=ended, legs=tuple(legs))
