"""What must be shown before a canary is called good: every certified quantity inside its tolerance, errors by an e-process,
latency by asymptotic ones.

No correction for several quantities is needed: a canary at *one* tolerance must pass *that* certificate (intersection-union
test, Berger 1982). Rates: a mixture of likelihood ratios stays below 1/alpha at all times with a chance of at least
1 - alpha (Wald 1945, Ville 1939).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from analyzers import buckets, normal
from analyzers.layout import B_ERR, B_LAT, B_REQ, C_ERR, C_REQ, Array, Mask, Rows
from analyzers.legs.mean import log_t_value
from analyzers.terms import Limits

RATIOS: Final[Array] = np.geomspace(1.05, 8.0, 16)
BASELINE_SHARE: Final = 0.1
"""Part of promotion's alpha spent on not knowing the baseline's error rate (.005 of .05)."""
TUNED_REQUESTS: Final = 1000.0
"""Canary requests at which the rank certificate is tightest."""
_GRID: Final = np.linspace(0.0, 1.0, 16)
_LOWEST: Final = 1.0 / 30.0


def _log_mean_exp(values: Array) -> Array:
    top = values.max(-1, keepdims=True)
    result: Array = top[..., 0] + np.log(np.exp(values - top).mean(-1))
    return result


def log_above(errors: Array, requests: Array, limit: Array) -> Array:
    """Log e-values that the rate is above ``limit``; all of one shape, or broadcast."""
    limit = limit[..., None]
    alternative = np.minimum(limit * RATIOS, 1.0 - 1e-12)
    gained = errors[..., None] * np.log(alternative / limit)
    kept = (requests - errors)[..., None] * (np.log1p(-alternative) - np.log1p(-limit))
    return _log_mean_exp(gained + kept)


def log_below(errors: Array, requests: Array, limit: Array) -> Array:
    """Log e-values (releases,) that the rate is below ``limit``."""
    limit = np.minimum(limit, 1.0 - 1e-9)[..., None]
    alternative = limit / RATIOS
    gained = -errors[..., None] * np.log(RATIOS)
    kept = (requests - errors)[..., None] * (np.log1p(-alternative) - np.log1p(-limit))
    return _log_mean_exp(gained + kept)


def lowest_rate(errors: Array, requests: Array, *, boundary: Array) -> Array:
    """Lower end (releases,) of the rate's confidence sequence at level 1 - 1/boundary; 0 where nothing excludes it.

    Two passes over 16 candidates on a logarithmic scale: within 2 % below the exact end, which errs on the safe side.
    """
    rate = errors / np.maximum(requests, 1.0)
    low, high = rate * _LOWEST, rate
    wanted = np.log(boundary)[:, None]
    for _ in range(2):
        safe = np.maximum(low, 1e-300)
        ratio = np.maximum(high, 1e-300) / safe
        candidates = safe[:, None] * ratio[:, None] ** _GRID
        passed = (log_above(errors[:, None], requests[:, None], np.minimum(candidates, 1.0 - 1e-9)) >= wanted).cumprod(1).sum(1)
        last = np.maximum(passed - 1, 0)
        row = np.arange(len(candidates))
        low = np.where(passed > 0, candidates[row, last], 0.0)
        high = candidates[row, np.minimum(last + 1, len(_GRID) - 1)]
    return low


def highest_rate(errors: Array, requests: Array, *, boundary: Array) -> Array:
    """Upper end (releases,) of the rate's confidence sequence at level 1 - 1/boundary; 1 without requests.

    Bisection on the logarithm of the odds; the end returned is excluded, which errs on the safe side.
    """
    rate = np.clip((errors + 0.5) / (requests + 1.0), 1e-12, 1.0 - 1e-12)
    low, high = np.log(rate / (1.0 - rate)), np.full(len(rate), 30.0)
    wanted = np.log(boundary)
    for _ in range(30):
        middle = 0.5 * (low + high)
        excluded = log_below(errors, requests, 1.0 / (1.0 + np.exp(-middle))) >= wanted
        low, high = np.where(excluded, low, middle), np.where(excluded, middle, high)
    highest: Array = 1.0 / (1.0 + np.exp(-high))
    return highest


@dataclass(slots=True, kw_only=True)
class Certificates:
    """How far the certificates are, each (releases,).

    Attributes:
        error_limit: the failed share that must be excluded.
        by_rank, by_mean: the certificate is asked for (the data can give it).
        error_progress, rank_progress, mean_progress: the part of the evidence needed that there is (logarithms).
    """

    error_limit: Array
    by_rank: Mask
    by_mean: Mask
    error_progress: Array
    rank_progress: Array
    mean_progress: Array

    @property
    def errors(self) -> Mask:
        """The error rate is shown to be inside its tolerance."""
        return self.error_progress >= 1.0

    @property
    def rank(self) -> Mask:
        """Typical latency is shown to be inside its tolerance by the ranks."""
        return self.by_rank & (self.rank_progress >= 1.0)

    @property
    def mean(self) -> Mask:
        """Typical latency is shown to be inside its tolerance by the means."""
        return self.by_mean & (self.mean_progress >= 1.0)

    @property
    def typical_progress(self) -> Array:
        """The least progress of the certificates of typical latency that are asked for; NaN where none is."""
        rank = np.where(self.by_rank, self.rank_progress, np.inf)
        least = np.minimum(rank, np.where(self.by_mean, self.mean_progress, np.inf))
        return np.where(np.isfinite(least), least, np.nan)


def error_limit(rows: Rows, limits: Limits) -> Array:
    """The failed share above which a canary is beyond tolerance, given what is sure of the baseline (releases,)."""
    counts = rows.counts
    rate = counts[:, B_ERR] / np.maximum(counts[:, B_REQ], 1.0)
    if not (rate + limits.above_baseline > limits.max_rate).any():
        return limits.max_rate  # what is sure of the baseline is below its rate: the absolute limit is the wider one
    known = lowest_rate(counts[:, B_ERR], counts[:, B_REQ], boundary=limits.safe_boundary / BASELINE_SHARE)
    return np.maximum(limits.max_rate, known + limits.above_baseline)


def _errors(rows: Rows, limits: Limits) -> tuple[Array, Array]:
    counts = rows.counts
    limit = error_limit(rows, limits)
    wanted = np.log(limits.safe_boundary / (1.0 - BASELINE_SHARE))
    progress = log_below(counts[:, C_ERR], counts[:, C_REQ], np.maximum(limit, 1e-12)) / wanted
    return limit, np.where(limit > 0.0, progress, 0.0)


def allowed_probability(rows: Rows, limits: Limits) -> Array | None:
    """The probability of a slower canary request (releases,) that the typical tolerance allows; null without buckets."""
    size = limits.bounds.shape[1] + 1
    if size == 1:
        return None
    baseline = rows.hist[:, 1, :size]
    edges = buckets.log_edges(limits.bounds)
    return buckets.slower_probability(buckets.slowed(baseline, edges, np.log(limits.typical)), baseline)


def rank_fits(rows: Rows, limits: Limits) -> Mask:
    """Whether the ranks say something about typical latency (releases,): the buckets resolve the baseline's median."""
    baseline = rows.hist[:, 1, : limits.bounds.shape[1] + 1]
    return buckets.resolves_median(baseline) & (rows.ranks[:, 1] > 0.0)


def rank_scale(rows: Rows, limits: Limits) -> Array:
    """The normal mixture's scale (releases,), tightest after ``TUNED_REQUESTS`` canary requests."""
    arms = rows.hist[:, :, : limits.bounds.shape[1] + 1].sum(-1)
    at = 12.0 * TUNED_REQUESTS * arms[:, 1] / np.maximum(arms.sum(-1), 1e-9)
    return np.maximum(normal.tuned(at, alpha=0.01), 1e-9)


def _rank(rows: Rows, limits: Limits) -> tuple[Mask, Array]:
    allowed = allowed_probability(rows, limits)
    if allowed is None:
        return np.zeros(len(rows.raw), dtype=np.bool_), np.zeros(len(rows.raw))
    total, precision = rows.ranks[:, 0], rows.ranks[:, 1]
    room = precision * (allowed - 0.5) - total
    log_e = normal.log_one_sided(room, precision, scale=rank_scale(rows, limits))
    return rank_fits(rows, limits), log_e / np.log(limits.safe_boundary)


def certify(rows: Rows, limits: Limits) -> Certificates:
    """How far the certificates of errors and typical latency are."""
    limit, errors = _errors(rows, limits)
    by_rank, rank = _rank(rows, limits)
    number, total, squares = rows.safe_mean.T
    return Certificates(
        error_limit=limit,
        by_rank=by_rank,
        by_mean=rows.counts[:, B_LAT] > 0.0,
        error_progress=errors,
        rank_progress=rank,
        mean_progress=log_t_value(number, total, squares) / np.log(limits.safe_boundary),
    )
