"""Simulated releases of a service, judged to their verdicts: one block of them, which is one piece of a process's work."""

from dataclasses import dataclass

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
