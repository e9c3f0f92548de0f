"""Counts of a tick, for many releases at once: totals, failures and histograms, never single requests."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analyzers.layout import Array, Mask
from daemon.offline.simulation import shapes
from daemon.offline.simulation.motion import BASELINE, CANARY, Motion
from daemon.offline.simulation.shapes import Shape
from daemon.offline.simulation.world import Part, World

Counts = npt.NDArray[np.int64]


@dataclass(slots=True, kw_only=True)
class Drawn:
    """One arm in one tick, of all releases and pods.

    Attributes:
        requests, errors, denied: (releases, pods).
        counts: (releases, pods, J), the histogram; sums: (releases, pods), in ms.
        present: (releases,), whether its telemetry arrived.
        flushed: whether the histogram arrived.
    """

    requests: Counts
    errors: Counts
    denied: Counts
    counts: Counts
    sums: Array
    present: Mask
    flushed: bool = True


@dataclass(slots=True, kw_only=True)
class DrawnTick:
    """Both arms of all releases; ``number`` is 1 for the first tick; ``weight`` is the canary's in the route, in percent."""

    number: int
    weight: float
    canary: Drawn
    baseline: Drawn


class _Flush:
    """Histograms held back until the proxy merges them."""

    def __init__(self) -> None:
        self._held: tuple[Counts, Array] | None = None

    def pass_on(self, counts: Counts, sums: Array, *, now: bool) -> tuple[Counts, Array]:
        """Add to what is held; hand it out and forget it when ``now``."""
        if self._held is not None:
            counts, sums = counts + self._held[0], sums + self._held[1]
        self._held = None if now else (counts, sums)
        return counts, sums


class Stream:
    """The ticks of ``releases`` releases of one world. The same world, number and seed give the same ticks, on any machine."""

    def __init__(
        self,
        world: World,
        *,
        releases: int,
        seed: int | np.random.SeedSequence,
        latencies: tuple[Shape, Shape] | None = None,
    ) -> None:
        """Draw what each release is born with. ``latencies``, unchanged and changed, stand for the world's where given."""
        self._world, self._releases = world, releases
        self._rng = np.random.default_rng(seed)
        self._motion = Motion(world, releases=releases, rng=self._rng)
        self._log_bounds = np.log(np.array(world.times.bounds_ms))
        self._shapes = latencies or shapes_of(world)
        self._flush = _Flush(), _Flush()
        self._missing = np.zeros((2, releases), dtype=np.int64)
        self._stop_parts = [] if world.stop is None else world.stop.parts(world.traffic.tick_seconds)

    def ticks(self, number: int) -> Iterator[DrawnTick]:
        """The first ``number`` ticks."""
        for at in range(1, number + 1):
            self._motion.step()
            load = self._motion.load()
            weight = self._world.traffic.weight(at)
            yield DrawnTick(number=at, weight=weight, canary=self._arm(CANARY, load, at), baseline=self._arm(BASELINE, load, at))

    def _arm(self, arm: int, load: Array, at: int) -> Drawn:
        traffic, rng = self._world.traffic, self._rng
        pods = self._motion.numbers[arm]
        per_pod = self._motion.rps(arm) * traffic.tick_seconds / pods
        arriving = self._hidden(rng.poisson(per_pod * load, (self._releases, pods)))
        refused = self._motion.denied(arm)
        denied = rng.binomial(arriving, refused) if refused > 0.0 else np.zeros_like(arriving)
        requests = arriving - denied
        errors = self._errors(arm, requests)
        counts, sums = self._latency(arm, requests, errors)
        flushed = at % traffic.flush_ticks == 0
        counts, sums = self._flush[arm].pass_on(counts, sums, now=flushed)
        present = self._present(arm)
        return Drawn(requests=requests, errors=errors, denied=denied, counts=counts, sums=sums, present=present, flushed=flushed)

    def _hidden(self, arriving: Counts) -> Counts:
        """Without what a restarted counter hides."""
        chance = self._world.traffic.reset_chance
        if chance <= 0.0:
            return arriving
        reset = self._rng.random((self._releases, 1)) < chance
        seen = np.where(reset, self._rng.random((self._releases, 1)), 1.0)
        return self._rng.binomial(arriving, np.broadcast_to(seen, arriving.shape))

    def _present(self, arm: int) -> Mask:
        traffic = self._world.traffic
        if traffic.gap_chance <= 0.0:
            return np.ones(self._releases, dtype=np.bool_)
        left = self._missing[arm]
        begins = (left == 0) & (self._rng.random(self._releases) < traffic.gap_chance)
        left[:] = np.where(begins, traffic.gap_ticks, np.maximum(left - 1, 0))
        there: Mask = left == 0
        return there

    def _errors(self, arm: int, requests: Counts) -> Counts:
        rate, clump = self._motion.errors(arm)
        rate = np.broadcast_to(rate, requests.shape)
        retried = self._world.failures.retried
        if retried > 0.0:
            first = self._rng.binomial(requests, rate * (1.0 - retried))
            again = self._rng.negative_binomial(np.maximum(first, 1), 1.0 - retried)
            failed = np.minimum(np.where(first > 0, first + again, 0), requests)
        elif clump == 1:
            failed = self._rng.binomial(requests, rate)
        else:
            failed = np.minimum(clump * self._rng.binomial(requests, rate / clump), requests)
        if self._world.stop is not None and self._world.stop.fails:
            for _, met in self._met(arm, requests - failed):
                failed = failed + met
        return failed

    def _met(self, arm: int, requests: Counts) -> list[tuple[int, Counts]]:
        """For each part of a stop that is met now, how many of an arm's requests meet it."""
        return [
            (part, self._rng.binomial(np.where(hit[:, None], requests, 0), self._stop_parts[part][0]))
            for part, hit in self._motion.stands(arm)
        ]

    def _latency(self, arm: int, requests: Counts, errors: Counts) -> tuple[Counts, Array]:
        log_factor = self._motion.log_slowness(arm)
        shape = self._shapes[1 if self._motion.reshaped(arm) else 0]
        if self._world.split:
            return self._waiting(arm, shape, log_factor, requests - errors)
        slow = self._world.failures.slow
        if slow == 1.0:
            return self._waiting(arm, shape, log_factor, requests)
        counts, sums = self._waiting(arm, shape, log_factor, requests - errors)
        more, longer = self._timed(shape, log_factor + np.log(slow), errors)
        return counts + more, sums + longer

    def _waiting(self, arm: int, shape: Shape, log_factor: Array, number: Counts) -> tuple[Counts, Array]:
        """Like ``_timed``, those who meet a stop a wait longer (which an arm's slowness stretches too)."""
        if self._world.stop is None or self._world.stop.fails:
            return self._timed(shape, log_factor, number)
        parts = self._met(arm, number)
        counts, sums = self._timed(shape, log_factor, number - sum(met for _, met in parts))
        for part, met in parts:
            _, shortest, longest = self._stop_parts[part]
            late = shapes.delayed(shape, from_ms=1e3 * shortest, to_ms=1e3 * longest)
            more, longer = self._timed(late, log_factor, met)
            counts, sums = counts + more, sums + longer
        return counts, sums

    def _timed(self, shape: Shape, log_factor: Array, number: Counts) -> tuple[Counts, Array]:
        """Histograms (releases, pods, J) of ``number`` latencies each, and sums that agree with them."""
        chance, mean, variance = shape.buckets(self._log_bounds, log_factor)
        counts = self._rng.multinomial(number, np.broadcast_to(chance, (*number.shape, chance.shape[-1])))
        expected = (counts * mean).sum(-1)
        deviation = np.sqrt((counts * variance).sum(-1))
        sums = expected + deviation * self._rng.standard_normal(number.shape)
        return counts, np.maximum(sums, 0.1 * expected)


def shapes_of(world: World) -> tuple[Shape, Shape]:
    """How a world's latency is distributed, and how its canary's once it has changed (the factor on all of it apart)."""
    parts, change = world.times.parts, world.change
    factors = change.factors or (1.0,) * len(parts)
    return _mixed(parts, (1.0,) * len(parts)), shapes.stretched(_mixed(parts, factors), change.tail)


def _mixed(parts: Sequence[Part], factors: Sequence[float]) -> Shape:
    made = [
        (part.share, shapes.FAMILIES[part.family](median_ms=part.median_ms * factor, p99_ms=part.p99_ms * factor))
        for part, factor in zip(parts, factors, strict=True)
    ]
    return made[0][1] if len(made) == 1 else shapes.mixture(made)
