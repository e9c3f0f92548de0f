"""Simulated releases of a service, judged to their verdicts, a block at a time; and what their ends add up to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from config.policy import Policy
from daemon.offline.plan.latency import Histogram, stretched
from daemon.offline.plan.regressions import Regression
from daemon.offline.plan.service import Service
from daemon.offline.simulation.shapes import Shape
from daemon.offline.simulation.trials import feed, terms_for, watch, watched_ticks
from daemon.offline.simulation.world import Change, Failures, Part, Times, Traffic, Unsteady, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What to simulate. ``regression`` is null for a canary as good as the baseline; ``seed`` makes it repeatable."""

    service: Service
    policy: Policy
    regression: Regression | None
    releases: int
    seed: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One release's end. ``seconds`` since the start of the watch, which is when the regression began."""

    outcome: str
    seconds: float


def ends(trial: Trial) -> list[End]:
    """Simulate a block of releases, side by side, each until its verdict."""
    world = world_of(trial.service, trial.regression)
    terms = terms_for(world, trial.policy)
    source = feed(
        world,
        ticks=watched_ticks(world, terms),
        releases=trial.releases,
        seed=np.random.SeedSequence(trial.seed),
        latencies=_seen(trial.service.histogram, world.change.tail),
    )
    found = watch(source, terms, releases=trial.releases)
    seconds = (found.ticks * world.traffic.tick_seconds).tolist()
    return [End(outcome=outcome, seconds=ended) for outcome, ended in zip(found.outcomes, seconds, strict=True)]


def world_of(service: Service, regression: Regression | None) -> World:
    """A service and what is wrong with its canary, as the simulator takes it."""
    share = service.weight / 100.0
    return World(
        traffic=Traffic(
            canary_rps=service.rps * share, baseline_rps=service.rps * (1.0 - share), tick_seconds=service.tick_seconds
        ),
        failures=Failures(errors=service.errors, denied=service.denied, clump=service.burst),
        times=Times(parts=(Part(median_ms=service.median_ms, p99_ms=service.p99_ms),), bounds_ms=service.bounds_ms),
        unsteady=Unsteady(jitter=(service.jitter, service.jitter)),
        change=Change() if regression is None else regression.change,
        split=service.split,
    )


def _seen(histogram: Histogram | None, tail: float) -> tuple[Shape, Shape] | None:
    return None if histogram is None else (histogram.shape, stretched(histogram, tail))


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A share of the simulated releases, 0 to 1, with its standard error (never 0: half a release is added either way)."""

    value: float
    error: float


class Delay(msgspec.Struct, frozen=True, kw_only=True):
    """A quantile over *all* simulated releases of the seconds to a verdict; null when fewer ended so within the window.

    ``error`` is its standard error; null when it reaches beyond the window.
    """

    seconds: float | None
    error: float | None


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One regression (or none) in one scenario.

    Attributes:
        median, p90: to rollback for a regression, to promotion for a healthy canary.
    """

    rolled_back: Share
    promoted: Share
    inconclusive: Share
    median: Delay
    p90: Delay


def cell(ends: Sequence[End], *, wanted: str) -> Cell:
    """Count the ends of one trial; ``wanted`` is the outcome whose delay is asked for."""
    delays = sorted(end.seconds for end in ends if end.outcome == wanted)
    return Cell(
        rolled_back=_share(ends, "rollback"),
        promoted=_share(ends, "promote"),
        inconclusive=_share(ends, "inconclusive"),
        median=_delay(delays, of=len(ends), part=0.5),
        p90=_delay(delays, of=len(ends), part=0.9),
    )


def _share(ends: Sequence[End], outcome: str) -> Share:
    count, of = sum(end.outcome == outcome for end in ends), len(ends)
    smoothed = (count + 0.5) / (of + 1.0)
    return Share(value=count / of, error=math.sqrt(smoothed * (1.0 - smoothed) / of))


def _delay(ordered: Sequence[float], *, of: int, part: float) -> Delay:
    """By order statistics: those one standard error of the rank to either side are one standard error of the quantile away."""
    spread = math.sqrt(of * part * (1.0 - part))
    middle, low, high = (_at(ordered, of * part + steps * spread) for steps in (0.0, -1.0, 1.0))
    return Delay(seconds=middle, error=None if low is None or high is None else (high - low) / 2.0)


def _at(ordered: Sequence[float], rank: float) -> float | None:
    place = max(0, math.ceil(rank - 1e-9) - 1)
    return ordered[place] if place < len(ordered) else None
