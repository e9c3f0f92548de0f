"""The tests people know, once, at the end: Mann-Whitney on buckets and the conditional binomial test.

They are shown beside a verdict for the reader and decide nothing: looked at every tick they would roll back one healthy
release in ten (Armitage, McPherson and Rowe 1969).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import bdtrik, betainc, ndtr

from analyzers.arrays import Array

Counts = Sequence[float] | Array

_Z95 = 1.959963984540054
_TRUSTED = 0.5
"""Logarithm by which Edgeworth's first term may move a p-value that is still shown."""


class MannWhitney(NamedTuple):
    """U of the canary, the probability that a canary request is slower (ties half), and the one-sided p-value.

    ``trusted``: the normal approximation behind it is good so far out (Edgeworth's first term moves it little).
    """

    u: float
    probability: float
    p_greater: float
    trusted: bool


def mann_whitney(canary: Counts, baseline: Counts) -> MannWhitney | None:
    """Mann-Whitney (1947) on two histograms over the same buckets, normal approximation with ties and continuity corrected.

    Equal to ``scipy.stats.mannwhitneyu(canary, baseline, method="asymptotic")`` on the expanded data. Null when an arm is
    empty or all requests lie in one bucket.
    """
    c, b = np.asarray(canary, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    m, n, both = float(c.sum()), float(b.sum()), c + b
    total = m + n
    if m <= 0.0 or n <= 0.0 or total < 2.0:
        return None
    u = float((c * (np.cumsum(b) - 0.5 * b)).sum())
    variance = m * n / 12.0 * (total + 1.0 - float((both**3 - both).sum()) / (total * (total - 1.0)))
    if variance <= 1e-9 * m * n:
        return None
    above, spread = u - 0.5 * m * n, math.sqrt(variance)
    # The skewness of a rank sum drawn without replacement: Fisher 1930.
    rank = (np.cumsum(both) - 0.5 * both) / total - 0.5
    second, third = (float((both * rank**power).sum()) / total for power in (2, 3))
    skewness = abs(third) / second**1.5 * abs(n - m) / math.sqrt(m * n * total)
    return MannWhitney(
        u=u,
        probability=u / (m * n),
        p_greater=float(ndtr((0.5 - above) / spread)),
        trusted=abs(above / spread) ** 3 * skewness <= 6.0 * _TRUSTED,
    )


def conditional_binomial(canary_errors: float, baseline_errors: float, share: float) -> float | None:
    """One-sided p-value that the canary fails more: its failures of all failures against its ``share`` of the requests
    (Przyborowski and Wilenski 1940).

    Equal to ``scipy.stats.binomtest(a, a + b, share, alternative="greater").pvalue``. Null when nothing failed or only one arm was
    asked.
    """
    if canary_errors + baseline_errors <= 0.0 or not 0.0 < share < 1.0:
        return None
    return float(betainc(canary_errors, baseline_errors + 1.0, share)) if canary_errors > 0.0 else 1.0


def wilson(events: float, requests: float) -> tuple[float | None, float | None]:
    """Wilson's (1927) 95 % interval of a rate, for one look; nulls without requests."""
    if requests <= 0.0:
        return None, None
    z2 = _Z95**2
    middle = (events + 0.5 * z2) / (requests + z2)
    half = _Z95 / (requests + z2) * math.sqrt(events * (requests - events) / requests + 0.25 * z2)
    return max(0.0, middle - half), min(1.0, middle + half)


def _order(number: float, level: float, chance: float) -> float:
    """The largest k for which the k-th of ``number`` requests is at or below the quantile with ``chance``; 0 for none."""
    if (1.0 - level) ** number > 1.0 - chance:
        return 0.0
    return min(math.floor(float(bdtrik(1.0 - chance, number, level)) + 1e-9) + 1.0, number)


def quantile_interval(counts: Counts, bounds_ms: Counts, level: float) -> tuple[float | None, float | None]:
    """95 % interval (ms) of a quantile for one look, free of any assumption on the distribution (Thompson 1936).

    Ends are those of the buckets that hold the two order statistics, so that the interval only becomes wider. Nulls where it has no
    end: too few requests, or an end in the bucket above the last bound.

    Args:
        counts: requests per bucket, one more than there are bounds.
        level: the share of the requests below the quantile.
    """
    below = np.cumsum(counts)
    number = float(below[-1])
    if number <= 0.0:
        return None, None
    low, high = _order(number, level, 0.975), _order(number, level, 0.025) + 1.0
    ends = [0.0, *bounds_ms]
    first, last = np.searchsorted(below, [low, high]).tolist()
    return float(ends[first]) if low > 0.0 else None, float(ends[last + 1]) if last < len(bounds_ms) else None
