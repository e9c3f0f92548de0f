"""How much worse the canary is, as estimated now. Evidence says *whether* it is worse; a rollback needs both.

Latency's typical factor comes from the ranks where the buckets resolve the median (the factor by which the baseline would have
to be slowed to stand as the canary does), else from the means. An estimate of harm uses the memory in which it stands out most.
"""

from dataclasses import dataclass

import numpy as np

from analyzers import buckets, memory
from analyzers.layout import B_DEN, B_ERR, B_LAT, B_REQ, B_SUM, C_DEN, C_ERR, C_LAT, C_REQ, C_SUM, Array, Mask, Rows
from analyzers.terms import Limits

TAIL_LEVEL = 0.99
_TAIL_START = 0.95
CAUTION = 1.0
"""Standard errors taken off an estimate before it is held against a tolerance: evidence stops the watch when chance is highest."""


@dataclass(slots=True, kw_only=True)
class Harm:
    """Estimates of a batch, each (releases,); NaN where nothing can be said.

    Attributes:
        c_rate, b_rate: failed share of the requests of canary and baseline.
        c_denied, b_denied: denied share.
        probability: that a canary request is slower than a baseline request, ties half.
        typical: factor of the typical latency; by_mean: it comes from the means.
        mean: factor of the mean latency.
        p99: factor of the 99th percentile.
        beyond: (releases, 5), whether errors, denied, rank, tail, mean is beyond the policy's tolerance.
    """

    c_rate: Array
    b_rate: Array
    c_denied: Array
    b_denied: Array
    probability: Array
    typical: Array
    by_mean: Mask
    mean: Array
    p99: Array
    beyond: Mask

    def take(self, at: int) -> "Harm":
        """The estimates of one release, as a batch of one."""
        return Harm(**{name: getattr(self, name)[at : at + 1] for name in self.__slots__})


def _ratio(top: Array, bottom: Array) -> Array:
    """Nothing by nothing is unknown (NaN); ``judge.fold`` allows the division."""
    value: Array = top / bottom
    return value


def rates(counts: Array) -> tuple[Array, Array, Array, Array]:
    """Failed and denied shares: canary's failed, baseline's failed, canary's denied, baseline's denied; any leading shape."""
    return (
        _ratio(counts[..., C_ERR], counts[..., C_REQ]),
        _ratio(counts[..., B_ERR], counts[..., B_REQ]),
        _ratio(counts[..., C_DEN], counts[..., C_REQ] + counts[..., C_DEN]),
        _ratio(counts[..., B_DEN], counts[..., B_REQ] + counts[..., B_DEN]),
    )


def mean_factor(counts: Array) -> Array:
    """Factor of the mean latency; any leading shape."""
    return _ratio(_ratio(counts[..., C_SUM], counts[..., C_LAT]), _ratio(counts[..., B_SUM], counts[..., B_LAT]))


def probability(ranks: Array) -> Array:
    """That a canary request is slower than a baseline request, ties half; any leading shape."""
    return np.clip(0.5 + _ratio(ranks[..., 0], ranks[..., 1]), 0.0, 1.0)


def p99_factor(hist: Array, edges: Array) -> Array:
    """Factor of the 99th percentile of histograms (releases, 2, J); NaN while an arm is empty."""
    size = len(hist)
    both = buckets.quantile(np.concatenate([hist[:, 0], hist[:, 1]]), np.concatenate([edges, edges]), TAIL_LEVEL)
    factor: Array = np.where(hist.sum(-1).min(-1) > 0.0, both[:size] / both[size:], np.nan)
    return factor


def _tail_deviation(hist: Array) -> Array:
    """How far the canary's slowest requests stand above their share, per memory (releases, scales)."""
    total = hist.sum(2)
    below = np.cumsum(total, axis=-1) / np.maximum(total.sum(-1, keepdims=True), 1e-9)
    slow = below > _TAIL_START
    canary, baseline = np.where(slow, hist[:, :, 0], 0.0).sum(-1), np.where(slow, hist[:, :, 1], 0.0).sum(-1)
    share = hist[:, :, 0].sum(-1) / np.maximum(total.sum(-1), 1e-9)
    both = canary + baseline
    deviation: Array = (canary - both * share) / np.sqrt(np.maximum(both * share * (1.0 - share), 1e-9))
    return deviation


def estimate(rows: Rows, limits: Limits, *, recent: bool) -> Harm:
    """The harm of a batch as estimated now: over the memory in which it stands out most (``recent``), or since the start."""
    if not recent:
        rows = Rows(rows.raw.copy())
        for memories in (rows.counts, rows.ranks, rows.hist):
            memories[:, 1:] = memories[:, :1]
    counts = rows.counts
    failing = memory.clearest(counts, memory.error_deviation(counts))
    c_rate, b_rate, _, _ = rates(failing)
    sure_rate = c_rate - CAUTION * np.sqrt(failing[:, C_ERR]) / failing[:, C_REQ]
    _, _, c_denied, b_denied = rates(memory.clearest(counts, memory.error_deviation(counts, (C_DEN, B_DEN))))
    deviation = memory.rank_deviation(rows.ranks)
    ranks = memory.clearest(rows.ranks, deviation)
    slower = probability(ranks)
    mean = mean_factor(memory.clearest(counts, deviation))
    size = limits.bounds.shape[1] + 1
    if size > 1:
        hist = rows.hist[..., :size]
        edges = buckets.log_edges(limits.bounds)
        baseline = hist[:, 0, 1]
        resolved = buckets.resolves_median(baseline)
        by_rank = np.where(np.isfinite(slower), buckets.factor_of(slower, baseline, edges), np.nan)
        at_least = buckets.factor_of(slower - CAUTION / np.sqrt(ranks[:, 1]), baseline, edges)
        typical = np.where(resolved | ~np.isfinite(mean), by_rank, mean)
        sure_typical = np.where(resolved | ~np.isfinite(mean), np.where(np.isfinite(slower), at_least, np.nan), mean)
        p99 = p99_factor(memory.clearest(hist, _tail_deviation(hist)), edges)
    else:
        resolved = np.zeros(len(mean), dtype=np.bool_)
        typical, sure_typical, p99 = mean, mean, np.full(len(mean), np.nan)
    beyond = np.stack(
        [
            (sure_rate > limits.max_rate) & (sure_rate > np.nan_to_num(b_rate) + limits.above_baseline),
            c_denied > np.nan_to_num(b_denied) + limits.denied_above,
            sure_typical > limits.typical,
            p99 > limits.p99,
            mean > limits.typical,
        ],
        axis=-1,
    )
    return Harm(
        c_rate=c_rate,
        b_rate=b_rate,
        c_denied=c_denied,
        b_denied=b_denied,
        probability=slower,
        typical=typical,
        by_mean=~resolved,
        mean=mean,
        p99=p99,
        beyond=beyond,
    )
