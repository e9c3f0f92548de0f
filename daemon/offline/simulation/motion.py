"""Speeds: the factor on every pod's latency and error rate at every tick, for many releases at once.

What a release is born with (its pods' own speeds, the phase of its day) is drawn once; what moves is drawn per tick. All randomness
of a stream comes from one generator in a fixed order, so that a seed names a stream.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from analyzers.layout import Array, Mask
from daemon.offline.simulation.world import Stop, World

CANARY: Final = 0
BASELINE: Final = 1


class Motion:
    """The moving factors of ``releases`` releases of one world. Call ``step`` once a tick, then ask."""

    def __init__(self, world: World, *, releases: int, rng: np.random.Generator) -> None:
        """Draw what each release is born with."""
        self._world, self._rng, self._tick = world, rng, 0
        self.numbers = (world.pods.canary, world.pods.baseline)
        self._phase = rng.uniform(0.0, 2.0 * math.pi, (releases, 1))
        self._speed = [self._speeds(arm, releases) for arm in (CANARY, BASELINE)]
        self._fragility = [self._born(world.pods.error_spread, releases, number) for number in self.numbers]
        self._arm_walk = [self._born(sd, releases, 1) for sd in world.unsteady.jitter]
        self._stops = [self._stop(arm, releases) for arm in (CANARY, BASELINE)]
        self._pod_walk = [self._born(world.unsteady.pod_jitter, releases, number) for number in self.numbers]

    def _born(self, deviation: float, releases: int, number: int) -> Array:
        """Normal deviates (releases, number); a single zero (1, 1) where nothing varies, which keeps later arrays small."""
        return deviation * self._rng.standard_normal((releases, number)) if deviation > 0.0 else np.zeros((1, 1))

    def _speeds(self, arm: int, releases: int) -> Array:
        """Logarithms of the pods' own factors."""
        pods = self._world.pods
        own = self._born(pods.spread, releases, self.numbers[arm])
        if arm == CANARY and pods.slow != 1.0:
            own = own + np.where(np.arange(pods.canary) == 0, math.log(pods.slow), 0.0)
        return own

    def _stop(self, arm: int, releases: int) -> tuple[Stop, npt.NDArray[np.int64]] | None:
        """The arm's stop and a tick at which it begins in each release; null where there is none."""
        stop = self._world.stop
        if stop is None or not (stop.canary, stop.baseline)[arm]:
            return None
        first, last = stop.between
        beyond = first + stop.every_ticks if stop.every_ticks else last + 1
        return stop, self._rng.integers(first, beyond, releases)

    def step(self) -> None:
        """Go on by one tick."""
        self._tick += 1
        unsteady = self._world.unsteady
        kept = unsteady.correlation
        for walks, deviations in ((self._arm_walk, unsteady.jitter), (self._pod_walk, (unsteady.pod_jitter,) * 2)):
            for arm, deviation in enumerate(deviations):
                if deviation > 0.0:
                    fresh = self._rng.standard_normal(walks[arm].shape)
                    walks[arm] = kept * walks[arm] + math.sqrt(1.0 - kept * kept) * deviation * fresh

    def rps(self, arm: int) -> float:
        """Requests per second of an arm, its load apart."""
        return self._world.traffic.rates(self._tick)[arm]

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return self._tick * self._world.traffic.tick_seconds

    def _wave(self, amplitude: float) -> Array:
        angle = 2.0 * math.pi * self.seconds / self._world.unsteady.drift_seconds
        return 1.0 + amplitude * np.sin(angle + self._phase)

    def load(self) -> Array:
        """Factor on both arms' traffic, (releases, 1) or (1, 1)."""
        swing = self._world.traffic.swing
        return self._wave(swing) if swing > 0.0 else np.ones((1, 1))

    def log_slowness(self, arm: int) -> Array:
        """Logarithm of the factor on latency of an arm's pods, the change included: (releases or 1, pods or 1)."""
        unsteady = self._world.unsteady
        total: Array = self._speed[arm] + self._arm_walk[arm] + self._pod_walk[arm]
        if unsteady.drift > 0.0:
            total = total + np.log(self._wave(unsteady.drift))
        if unsteady.trend != 0.0:
            total = total + math.log1p(unsteady.trend * min(1.0, self.seconds / unsteady.trend_seconds))
        if unsteady.cold > 1.0 and (arm == CANARY or unsteady.cold_baseline):
            total = total + math.log1p((unsteady.cold - 1.0) * math.exp(-self.seconds / unsteady.cold_seconds))
        change = self._world.change
        if arm == CANARY and change.factor != 1.0:
            total = total + math.log1p(change.size(self._tick) * (change.factor - 1.0))
        return total

    def reshaped(self, arm: int) -> bool:
        """Whether the arm's latency is distributed as the change has it now."""
        return arm == CANARY and self._world.change.size(self._tick) > 0.0

    def stands(self, arm: int) -> list[tuple[int, Mask]]:
        """Which releases of an arm meet which part of a stop (``Stop.parts``) now, where any do."""
        standing = self._stops[arm]
        if standing is None:
            return []
        stop, began = standing
        since = (self._tick - began) % stop.every_ticks if stop.every_ticks else self._tick - began
        hit = [(part, since == part) for part in range(len(stop.parts(self._world.traffic.tick_seconds)))]
        return [(part, mask) for part, mask in hit if mask.any()]

    def errors(self, arm: int) -> tuple[Array, int]:
        """Failed share of an arm's pods, (releases or 1, pods or 1), and the size of its bursts."""
        rate, clump = self._world.failures.errors, self._world.failures.clump
        change = self._world.change
        size = change.size(self._tick) if arm == CANARY else 0.0
        if size > 0.0:
            rate += size * ((rate if change.errors is None else change.errors) - rate)
            clump = clump if change.clump is None else change.clump
        return np.minimum(rate * np.exp(self._fragility[arm]), 1.0), clump

    def denied(self, arm: int) -> float:
        """Denied share of what arrives."""
        change = self._world.change
        changed = arm == CANARY and change.denied is not None and change.size(self._tick) > 0.0
        return change.denied if changed and change.denied is not None else self._world.failures.denied
