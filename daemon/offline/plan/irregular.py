"""How irregular a service is by itself: failures that come in bursts, latency that moves from tick to tick.

Both make the judge's guards wait longer, so that a plan for a service that was observed should have them. They are estimated only
where they are sure to be there: what chance explains is not taken for a property of the service.
"""

import math
from dataclasses import dataclass, replace

from analyzers.counts import Arm, Sample

_SURE = 4.0
"""Standard deviations above what chance gives."""
_LEAST = 10
"""Failures, pairs of ticks, and requests in a tick, below which nothing is estimated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Irregular:
    """Sums over the ticks of a watch.

    Attributes:
        ticks, failed, requests, squares, reciprocals: of ticks with requests, the baseline's failures x and requests n: the number
            of ticks, sums of x, n, x^2/n and 1/n.
        pairs, moved, noise: of neighbouring ticks, with the logarithm d of the arms' means' ratio: the number of pairs, the sum of
            half the squared differences of d, and of the mean of 1/m + 1/n, which is the noise but for the latency's own spread.
        last: d and 1/m + 1/n of the last tick that had them.
    """

    ticks: int = 0
    failed: int = 0
    requests: int = 0
    squares: float = 0.0
    reciprocals: float = 0.0
    pairs: int = 0
    moved: float = 0.0
    noise: float = 0.0
    last: tuple[float, float] | None = None

    def plus(self, sample: Sample) -> "Irregular":
        """With one more tick."""
        after = self
        baseline, canary = sample.baseline, sample.canary
        if baseline is not None and baseline.requests > 0:
            after = replace(
                self,
                ticks=self.ticks + 1,
                failed=self.failed + baseline.errors,
                requests=self.requests + baseline.requests,
                squares=self.squares + baseline.errors**2 / baseline.requests,
                reciprocals=self.reciprocals + 1.0 / baseline.requests,
            )
        now = _compared(canary, baseline)
        if now is None:
            return after
        if after.last is None:
            return replace(after, last=now)
        return replace(
            after,
            pairs=after.pairs + 1,
            moved=after.moved + (now[0] - after.last[0]) ** 2 / 2.0,
            noise=after.noise + (now[1] + after.last[1]) / 2.0,
            last=now,
        )

    @property
    def burst(self) -> int:
        """Failures come together in so many: their variance over that of failures that are independent of each other."""
        if self.failed < _LEAST or self.ticks < _LEAST:
            return 1
        rate, freedom = self.failed / self.requests, self.ticks - 1
        dispersion = self.squares / rate - self.failed
        # Pearson's chi-square; of rare failures it varies more than the table says.
        chance = math.sqrt(2.0 * freedom + self.reciprocals / rate)
        return max(1, round(dispersion / freedom)) if dispersion > freedom + _SURE * chance else 1

    def jitter(self, *, spread: float) -> float:
        """Standard deviation of the logarithm of a factor that all requests of an arm and a tick have in common.

        Args:
            spread: of the latencies themselves, variance over squared mean.
        """
        if self.pairs < _LEAST:
            return 0.0
        chance = spread * self.noise
        if self.moved <= chance * (1.0 + _SURE * math.sqrt(3.0 / self.pairs)):
            return 0.0
        # Each arm moves by itself: their difference moves with the sum of both variances.
        return math.sqrt((self.moved - chance) / self.pairs / 2.0)


def _compared(canary: Arm | None, baseline: Arm | None) -> tuple[float, float] | None:
    """The logarithm of the ratio of the arms' mean latencies, and 1/m + 1/n; null with few requests or none."""
    if canary is None or baseline is None or canary.latency is None or baseline.latency is None:
        return None
    numbers = sum(canary.latency.counts), sum(baseline.latency.counts)
    sums = canary.latency.sum_ms, baseline.latency.sum_ms
    if min(numbers) < _LEAST or min(sums) <= 0.0:
        return None
    return math.log(sums[0] / numbers[0]) - math.log(sums[1] / numbers[1]), 1.0 / numbers[0] + 1.0 / numbers[1]
