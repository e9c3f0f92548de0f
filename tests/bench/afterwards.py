"""How often a canary is taken back after its promotion that is as the baseline was, and how soon one that goes bad then is.

Each release is watched beside its baseline for a minute, and then alone for four, at a tick a second: the reference is what the
judge itself has of the baseline at the end of the first watch. The streams are those of the calibration; none of the constants of
``analyzers.onearm`` was chosen by them.
"""

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from analyzers.counts import Sample
from analyzers.judge import fold, start, to_end
from analyzers.onearm.limits import seen_in
from config.policy import Policy, Promotion
from daemon.offline.simulation import trials
from daemon.offline.simulation.world import Failures, Unsteady, World
from tests.bench.calibration import streams as s
from tests.bench.calibration.figures import Share
from tests.bench.figures import Figure

BEFORE, AFTER, RELEASES = 60, 240, 2000
ONSET: Final = 5
"""Ticks after the promotion at which what goes bad does."""
_POLICY: Final = Policy(promotion=Promotion(min_requests=10**9))
_ALONE: Final = Policy(window_seconds=float(AFTER), promotion=Promotion(min_seconds=0.0))
_GOAL: Final = "at most 1 %"


class End(NamedTuple):
    """How a watch after a promotion ended, and at which of its ticks."""

    outcome: str
    tick: int


def rows() -> dict[str, tuple[World, str]]:
    """The streams by name, and what is wanted of how often they are taken back."""
    w, bad = s.world, BEFORE + ONSET
    return {
        "the same": (w(), _GOAL),
        "the same, lognormal": (w(s.LOGNORMAL), _GOAL),
        "the same, 5/95 rps": (w(traffic=s.LOW), _GOAL),
        "the same, 50k/950k rps": (w(traffic=s.HIGH), _GOAL),
        "the same, 3 % fail in both": (w(failures=Failures(errors=0.03)), _GOAL),
        "the same, bursts of 5, .2 %": (w(failures=Failures(errors=0.002, clump=5)), _GOAL),
        "the same, jitter 10 %": (w(unsteady=s.jitter(0.1)), _GOAL),
        "the same, one pause of .5 s": (w(stands=s.PAUSE), _GOAL),
        "all latency drifts by 10 %": (w(unsteady=Unsteady(drift=0.1)), _GOAL),
        "all latency drifts by 20 %": (w(unsteady=Unsteady(drift=0.2)), ""),
        "all latency drifts by 50 %": (w(unsteady=Unsteady(drift=0.5)), ""),
        "errors .5 %": (w(change=s.late(s.errors(0.005), bad)), _GOAL),
        "x1.10": (w(change=s.late(s.slower(1.1), bad)), ""),
        "errors 1 % from tick 5": (w(change=s.late(s.errors(0.01), bad)), ""),
        "errors 5 % from tick 5": (w(change=s.late(s.errors(0.05), bad)), ""),
        "errors 20 % from tick 5": (w(change=s.late(s.errors(0.2), bad)), ""),
        "errors 20 % from tick 200": (w(change=s.late(s.errors(0.2), BEFORE + 200)), ""),
        "x1.5 from tick 5": (w(change=s.late(s.slower(1.5), bad)), ""),
        "x2 from tick 5": (w(change=s.late(s.slower(2.0), bad)), ""),
    }


def ends(world: World, *, releases: int, seed: Sequence[int]) -> list[End]:
    """Watch releases of a world beside their baseline, and then alone."""
    found: list[End] = []
    for block, size in enumerate(trials.blocks(releases)):
        found += _block(world, releases=size, seed=np.random.SeedSequence([*seed, block]))
    return found


def _block(world: World, *, releases: int, seed: np.random.SeedSequence) -> list[End]:
    ticks = trials.feed(world, ticks=BEFORE + AFTER, releases=releases, seed=seed)
    both = trials.terms_for(world, _POLICY)
    states = [start(both)] * releases
    for _ in range(BEFORE):
        states = [state for state, _ in fold([both] * releases, states, next(ticks)(range(releases)))]
    lonely = trials.terms_for(world, _ALONE)
    terms = [replace(lonely, after=seen_in(state.row, world.times.bounds_ms)) for state in states]
    began = BEFORE * world.traffic.tick_seconds

    def samples_of(places: Sequence[int]) -> list[Sample | None]:
        tick = next(ticks, None)
        return [None] * len(places) if tick is None else [_lone(one, began) for one in tick(places)]

    found = [End("inconclusive", AFTER)] * releases
    for now in to_end(terms, samples_of):
        for place, ruling in zip(now.places, now.rulings, strict=True):
            if ruling.outcome != "continue":
                found[place] = End(ruling.outcome, ruling.tick)
    return found


def _lone(one: Sample, began: float) -> Sample:
    return Sample(t=one.t - began, seconds=one.seconds, baseline=None, canary=one.canary)


def figures() -> list[Figure]:
    """A figure for each stream."""
    return [_figure(name, world, goal) for name, (world, goal) in rows().items()]


def _figure(name: str, world: World, goal: str) -> Figure:
    found = ends(world, releases=RELEASES, seed=(zlib.crc32(name.encode()),))
    back = Share(count=sum(one.outcome == "rollback" for one in found), runs=len(found))
    good = sum(one.outcome == "promote" for one in found) / len(found)
    delays = [one.tick for one in found if one.outcome == "rollback"]
    told = f"called good {100.0 * good:.1f} %"
    if len(delays) > len(found) // 2:
        told += f"; taken back at tick {np.median(delays):.0f}, 90 % by {np.percentile(delays, 90):.0f}"
    return Figure(what=f"after the promotion, {name}: taken back", measured=str(back), goal=goal, parts=told)
