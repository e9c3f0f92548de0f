"""How a version of the demo's service behaves: how long its answers take and how many of them fail."""

import math
from random import Random
from statistics import NormalDist

import msgspec


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Log-normal service times, as most services have, and a share of failures that does not depend on them.

    Attributes:
        median_ms: half of the answers are faster than this.
        p99_ms: one of a hundred is slower than this; how long the tail is.
        error_rate: share of the answers that are a 500.
    """

    median_ms: float = 20.0
    p99_ms: float = 80.0
    error_rate: float = 0.001

    def __post_init__(self) -> None:
        """Refuse what no service can do."""
        if not 0.0 < self.median_ms < self.p99_ms:
            raise ValueError(f"p99_ms ({self.p99_ms:g}) must be above median_ms ({self.median_ms:g}), and both above 0")
        if not 0.0 <= self.error_rate <= 1.0:
            raise ValueError(f"error_rate ({self.error_rate:g}) must be between 0 and 1")

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithm of a service time."""
        return math.log(self.p99_ms / self.median_ms) / NormalDist().inv_cdf(0.99)

    def slower(self, factor: float) -> "Behaviour":
        """The same service with every answer slower by a factor."""
        return msgspec.structs.replace(self, median_ms=self.median_ms * factor, p99_ms=self.p99_ms * factor)

    def failing(self, error_rate: float) -> "Behaviour":
        """The same service with another share of failures."""
        return msgspec.structs.replace(self, error_rate=error_rate)


class Dice:
    """Draws answers; the same seed draws the same ones."""

    def __init__(self, seed: str) -> None:
        self._random = Random(seed)  # noqa: S311  # traffic, not secrets

    def draw(self, behaviour: Behaviour) -> tuple[float, bool]:
        """Service time in seconds, and whether the answer is a failure."""
        normal = self._random.gauss(0.0, 1.0)
        failed = self._random.random() < behaviour.error_rate
        return behaviour.median_ms * math.exp(behaviour.sigma * normal) / 1000.0, failed
