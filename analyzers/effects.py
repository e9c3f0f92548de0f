"""How much worse the canary is, as estimated now. Evidence says *whether* it is worse; a rollback needs both.

Latency's typical factor comes from the ranks where the buckets resolve the median (the factor by which the baseline would have
to be slowed to stand as the canary does), else from the means. An estimate of harm uses the memory in which it stands out most.
"""

from dataclasses import dataclass

import numpy as np

from analyzers import buckets, memory
from analyzers.layout import B_DEN, B_ERR, B_LAT, B_REQ, B_SUM, C_DEN, C_ERR, C_LAT, C_REQ, C_SUM, LATENCY_TICKS, Array, Mask, Rows
from analyzers.terms import Limits

TAIL_LEVEL = 0.99
_TAIL_START = 0.95
CAUTION = 1.5
"""Standard errors taken off an estimate of latency before it is held against a tolerance: evidence stops the watch when chance is
highest."""
TAIL_CAUTION = ERROR_CAUTION = 1.0
"""The same for p99 and for rates, whose evidence comes late (p99) or whose tolerance has two limits already (errors)."""
WANDER_CAUTION = 4.0
"""Standard deviations of an arm's own wandering that are taken off as well."""
WANDER_TICKS = 20.0
"""Over so many ticks wandering latency does not average out."""


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


def p99_factor(hist: Array, edges: Array, level: Array | float = TAIL_LEVEL) -> Array:
    """Factor of the 99th percentile of histograms (releases, 2, J); NaN while an arm is empty."""
    size = len(hist)
    levels = np.full(2 * size, TAIL_LEVEL)
    levels[:size] = level
    both = buckets.tail_quantile(np.concatenate([hist[:, 0], hist[:, 1]]), np.concatenate([edges, edges]), levels)
    factor: Array = np.where(hist.sum(-1).min(-1) > 0.0, both[:size] / both[size:], np.nan)
    return factor


def _tail_deviation(hist: Array) -> Array:
    """How far the canary's slowest requests stand above their share, per memory (releases, scales).

    Slowest are those in the buckets that begin above ``_TAIL_START`` of the requests: one that begins below it is full of others.
    """
    total = hist.sum(2)
    below = (np.cumsum(total, axis=-1) - total) / np.maximum(total.sum(-1, keepdims=True), 1e-9)
    slow = below > _TAIL_START
    canary, baseline = np.where(slow, hist[:, :, 0], 0.0).sum(-1), np.where(slow, hist[:, :, 1], 0.0).sum(-1)
    share = hist[:, :, 0].sum(-1) / np.maximum(total.sum(-1), 1e-9)
    both = canary + baseline
    deviation: Array = (canary - both * share) / np.sqrt(np.maximum(both * share * (1.0 - share), 1e-9))
    return deviation


def _wander(limits: Limits, ticks: Array) -> Array:
    """How far the logarithm of an arm's latency may lie off over so many ticks (releases,), by the policy's word."""
    wander: Array = WANDER_CAUTION * limits.wander / np.sqrt(np.maximum(ticks / WANDER_TICKS, 1.0))
    return wander


def _mean_error(rows: Rows, ticks: Array) -> Array:
    """Standard error (releases,) of the logarithm of the factor of the means over so many ticks, from its ticks' own spread."""
    number, total, squares = rows.mean[:, 0].T
    variance = (squares - total * total / np.maximum(number, 1.0)) / np.maximum(number - 1.0, 1.0)
    error: Array = np.sqrt(np.maximum(variance, 0.0) / np.maximum(np.minimum(ticks, number), 1.0))
    return error


def _less(factor: Array, error: Array, wander: Array) -> Array:
    """A factor of latency with the cautions taken off; ``error`` is the standard error of its logarithm."""
    least: Array = factor * np.exp(-np.hypot(CAUTION * error, wander))
    return least


@dataclass(slots=True, kw_only=True)
class _Slowness:
    """Factors of typical latency and of the mean (releases,) each, and what is left of them after the cautions."""

    probability: Array
    typical: Array
    by_mean: Mask
    mean: Array
    sure_typical: Array
    sure_mean: Array


def _slowness(rows: Rows, limits: Limits) -> _Slowness:
    """Typical latency by the ranks where the buckets resolve the median, else by the means."""
    deviation = memory.rank_deviation(rows.ranks)
    ranks = memory.clearest(rows.ranks, deviation)
    ticks = memory.clearest(memory.lengths(rows.head[:, LATENCY_TICKS]), deviation)
    wander = _wander(limits, ticks)
    slower = probability(ranks)
    mean = mean_factor(memory.clearest(rows.counts, deviation))
    sure_mean = _less(mean, _mean_error(rows, ticks), wander)
    size = limits.bounds.shape[1] + 1
    if size == 1:
        by_mean = np.ones(len(mean), dtype=np.bool_)
        return _Slowness(probability=slower, typical=mean, by_mean=by_mean, mean=mean, sure_typical=sure_mean, sure_mean=sure_mean)
    edges, baseline = buckets.log_edges(limits.bounds), rows.hist[:, 0, 1, :size]
    resolved = buckets.resolves_median(baseline)
    by_rank = np.where(np.isfinite(slower), buckets.factor_of(slower, baseline, edges), np.nan)
    one_less = buckets.factor_of(slower - 1.0 / np.sqrt(ranks[:, 1]), baseline, edges)
    at_least = _less(by_rank, np.log(by_rank / one_less), wander)
    ranked = resolved | ~np.isfinite(mean)
    return _Slowness(
        probability=slower,
        typical=np.where(ranked, by_rank, mean),
        by_mean=~resolved,
        mean=mean,
        sure_typical=np.where(ranked, at_least, sure_mean),
        sure_mean=sure_mean,
    )


def _tail(rows: Rows, limits: Limits) -> tuple[Array, Array]:
    """The factor of p99 (releases,), and what is left of it after the cautions; NaN while unknown.

    The error of a quantile is that of the share below it: the canary's is read at the level that is lower by as much.
    """
    size = limits.bounds.shape[1] + 1
    if size == 1:
        unknown = np.full(len(rows.raw), np.nan)
        return unknown, unknown
    hist, edges = rows.hist[..., :size], buckets.log_edges(limits.bounds)
    deviation = _tail_deviation(hist)
    seen = memory.clearest(hist, deviation)
    lengths = memory.lengths(rows.head[:, LATENCY_TICKS])
    number = seen[:, 0].sum(1) * memory.clearest(memory.STAND_OUT**2 * np.ones_like(lengths), deviation)
    lower = TAIL_LEVEL - TAIL_CAUTION * np.sqrt(TAIL_LEVEL * (1.0 - TAIL_LEVEL) / np.maximum(number, 1.0))
    wander = _wander(limits, memory.clearest(lengths, deviation))
    return p99_factor(seen, edges), _less(p99_factor(seen, edges, lower), np.zeros(len(wander)), wander)


def _since_start(rows: Rows) -> Rows:
    """The same with every memory as long as the watch."""
    rows = Rows(rows.raw.copy())
    for memories in (rows.counts, rows.ranks, rows.hist):
        memories[:, 1:] = memories[:, :1]
    return rows


def estimate(rows: Rows, limits: Limits, *, recent: bool) -> Harm:
    """The harm of a batch as estimated now: over the memory in which it stands out most (``recent``), or since the start."""
    if not recent:
        rows = _since_start(rows)
    counts = rows.counts
    failing = memory.clearest(counts, memory.error_deviation(counts))
    c_rate, b_rate, _, _ = rates(failing)
    sure_rate = c_rate - ERROR_CAUTION * np.sqrt(failing[:, C_ERR]) / failing[:, C_REQ]
    _, _, c_denied, b_denied = rates(memory.clearest(counts, memory.error_deviation(counts, (C_DEN, B_DEN))))
    slow = _slowness(rows, limits)
    p99, sure_p99 = _tail(rows, limits)
    beyond = [
        (sure_rate > limits.max_rate) & (sure_rate > np.nan_to_num(b_rate) + limits.above_baseline),
        c_denied > np.nan_to_num(b_denied) + limits.denied_above,
        slow.sure_typical > limits.typical,
        sure_p99 > limits.slow_end,
        slow.sure_mean > limits.typical,
    ]
    return Harm(
        c_rate=c_rate,
        b_rate=b_rate,
        c_denied=c_denied,
        b_denied=b_denied,
        probability=slow.probability,
        typical=slow.typical,
        by_mean=slow.by_mean,
        mean=slow.mean,
        p99=p99,
        beyond=np.stack(beyond, axis=-1),
    )
