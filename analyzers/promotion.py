"""What must be shown before a canary is called good: every certified quantity inside its tolerance, errors by an e-process,
latency by asymptotic ones.

Every tick is a stratum: the canary of a tick is compared with the baseline of that tick. Pooled over ticks of different shares, a
route that is stepped up while load drifts would make a good canary look bad, or a bad one good (Simpson 1951).

No correction for several quantities is needed: a canary at *one* tolerance must pass *that* certificate (intersection-union
test, Berger 1982). Rates: a mixture of likelihood ratios stays below 1/alpha at all times with a chance of at least
1 - alpha (Wald 1945, Ville 1939).
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import log_ndtr

from analyzers import buckets
from analyzers.intake import Tick
from analyzers.layout import (
    ASKED,
    E_UNA,
    ERRORS_EXPECTED,
    EXPECTED,
    EXPECTED_VARIANCE,
    EXPOSED,
    PRECISION,
    SHIFT,
    Array,
    Rows,
)
from analyzers.legs.mean import log_t_value
from analyzers.look import Events
from analyzers.terms import Limits, Number

RATIOS: Final[Array] = np.geomspace(1.05, 8.0, 16)
TUNED_REQUESTS: Final = 1000.0
"""Canary requests at which the rank certificate is tightest."""
_LOG_RATIOS: Final[Array] = np.log(RATIOS)


def log_mean_exp(values: Array) -> Array:
    """Logarithm of the mean of exp(values) over the last axis: of a mixture of e-values."""
    top = values.max(-1, keepdims=True)
    result: Array = top[..., 0] + np.log(np.exp(values - top).mean(-1))
    return result


def log_above(errors: Array, requests: Array, limit: Array) -> Array:
    """Log e-values that the rate is above ``limit``; all of one shape, or broadcast."""
    limit = limit[..., None]
    alternative = np.minimum(limit * RATIOS, 1.0 - 1e-12)
    gained = errors[..., None] * np.log(alternative / limit)
    kept = (requests - errors)[..., None] * (np.log1p(-alternative) - np.log1p(-limit))
    return log_mean_exp(gained + kept)


def log_one_sided(total: Array, variance: Array, *, scale: Array) -> Array:
    """Log e-value for a positive drift of ``total``, a sum of increments whose variances sum to ``variance``.

    The normal mixture of Robbins 1970 (Howard, Ramdas, McAuliffe and Sekhon 2021), asymptotic where increments are near normal
    only (Waudby-Smith et al. 2024). ``scale``: rho, the inverse of the mixing normal's variance (folded at 0).
    """
    spread = variance + scale
    z = total / np.sqrt(spread)
    return 0.5 * np.log(4.0 * scale / spread) + 0.5 * z * z + log_ndtr(z)


def tuned(variance: Number, *, alpha: float) -> Number:
    """The ``scale`` that makes the one-sided boundary nearly tightest when the variances sum to ``variance``."""
    log_inverse = math.log(1.0 / (2.0 * alpha))
    return variance / (2.0 * log_inverse + math.log(1.0 + 2.0 * log_inverse))


@dataclass(slots=True, kw_only=True)
class Certificates:
    """How far the certificates are, each (releases,): parts of the evidence needed (logarithms), 1 and more is shown.

    Attributes:
        error_limit: the failed share that must be excluded, at the baseline's rates of the canary's own ticks.
        errors: that it is.
        answer_limit, unanswered: the same of requests without an answer.
        rank, mean: typical latency inside its tolerance, by the ranks and by the means; NaN where it is not asked for, since the
            data cannot give it.
    """

    error_limit: Array
    errors: Array
    answer_limit: Array
    unanswered: Array
    rank: Array
    mean: Array

    @property
    def typical(self) -> Array:
        """The least of the certificates of typical latency that are asked for; NaN where none is."""
        return np.fmin(self.rank, self.mean)


def fold(rows: Rows, limits: Limits, tick: Tick, *, shift: Array, precision: Array) -> None:
    """Fold one tick; ``shift`` and ``precision`` of its Mann-Whitney statistic (releases,), 0 where it says nothing. Requests of
    the canary of which it is not told how they ended are taken for failed: what is not known promotes nobody.
    """
    canary, baseline = (tick.c_err + tick.c_unc, tick.c_req), (tick.b_err, tick.b_req)
    rows.error_bets += _bets(canary, baseline, _usual(rows), limits.max_rate, limits.above_baseline)
    canary, baseline = (tick.c_una, tick.c_req + tick.c_una), (tick.b_una, tick.b_req + tick.b_una)
    rows.answer_bets += _bets(canary, baseline, _usual_unanswered(rows), limits.unanswered_rate, limits.unanswered_above)
    compared = np.where(tick.b_req > 0.0, tick.c_req, 0.0)
    expected = compared / np.maximum(tick.b_req, 1.0) * tick.b_err
    rows.shown += np.array((compared, expected, precision, precision * shift, tick.timed)).T


def _bets(canary: Events, baseline: Events, usual: Array, max_rate: Array, above_baseline: Array) -> Array:
    """Log e-values (releases, alternatives) of a tick that the canary fails less than is tolerated.

    What is tolerated is a union: a rate of at most ``max_rate``, or at most ``above_baseline`` above the baseline's. Beyond it a
    canary is beyond both, so that either may be bet against; each alternative takes the one that would have gained more at the
    ``usual`` rate (the baseline's, of the ticks before). The absolute limit: the binomial's likelihood ratio; the relative one:
    ``A (log r - D) - B D - m d (a - 1)``, s = m / (m + n), D = log(1 + s (r - 1)), a = r exp(-D), r < 1: E exp of it is at most
    exp(m (p_c - p_b - d) (a - 1)), and a is below 1.
    """
    (mine, mine_of), (theirs, theirs_of) = canary, baseline
    rate = np.minimum(usual, 1.0)
    failed, base_failed = np.array(((mine, rate * mine_of), (theirs, rate * theirs_of)))[..., None]
    asked, base_asked = mine_of[:, None], theirs_of[:, None]
    limit = np.minimum(max_rate, 1.0 - 1e-9)[:, None]
    kept = np.log1p(-limit / RATIOS) - np.log1p(-limit)
    drift = np.log1p(asked / np.maximum(asked + base_asked, 1.0) * (1.0 / RATIOS - 1.0))
    change = -_LOG_RATIOS - drift
    absolute, hoped_absolute = asked * kept - failed * (_LOG_RATIOS + kept)
    room = asked * above_baseline[:, None] * np.expm1(change)
    relative, hoped_relative = failed * change - base_failed * drift - room
    gained: Array = np.where(hoped_relative > hoped_absolute, relative, absolute)
    return gained


def _usual(rows: Rows) -> Array:
    """The baseline's failed share at the canary's exposure, tick by tick (releases,)."""
    return rows.shown[:, ERRORS_EXPECTED] / np.maximum(rows.shown[:, EXPOSED], 1.0)


def _usual_unanswered(rows: Rows) -> Array:
    """The baseline's share of requests without an answer, in the same way."""
    return rows.answers[:, E_UNA] / np.maximum(rows.answers[:, ASKED], 1.0)


def _rank(rows: Rows, limits: Limits) -> Array:
    """Evidence that the probability of a slower canary request is below what the typical tolerance allows; NaN where the buckets do
    not resolve the baseline's median.

    What is allowed comes from the baseline at the canary's exposure: a mixture of ticks is wider than each, so that drift makes it
    smaller. The normal mixture is tightest after ``TUNED_REQUESTS`` canary requests.
    """
    baseline, variance = (rows.exposed[:, row, : limits.bounds.shape[1] + 1] for row in (EXPECTED, EXPECTED_VARIANCE))
    if baseline.shape[1] == 1:
        return np.full(len(baseline), np.nan)
    slowed = buckets.slowed(baseline, buckets.log_edges(limits.bounds), np.log(limits.typical))
    precision, expected = rows.shown[:, PRECISION], baseline.sum(-1)
    room = precision * (buckets.slower_probability(slowed, baseline) - 0.5) - rows.shown[:, SHIFT]
    scale = tuned(12.0 * TUNED_REQUESTS * expected / np.maximum(expected + variance.sum(-1), 1e-9), alpha=0.01)
    log_e = log_one_sided(room, precision, scale=np.maximum(scale, 1e-9))
    return np.where(buckets.resolves_median(baseline) & (precision > 0.0), log_e, np.nan)


def certify(rows: Rows, limits: Limits) -> Certificates:
    """How far the certificates of errors and typical latency are."""
    number, total, squares = rows.safe_mean.T
    wanted = np.log(limits.safe_boundary)
    by_mean = (number > 0.0) | (rows.mean_wait[:, 3] > 0.0)
    return Certificates(
        error_limit=np.maximum(limits.max_rate, _usual(rows) + limits.above_baseline),
        errors=log_mean_exp(rows.error_bets) / wanted,
        answer_limit=np.maximum(limits.unanswered_rate, _usual_unanswered(rows) + limits.unanswered_above),
        unanswered=log_mean_exp(rows.answer_bets) / wanted,
        rank=_rank(rows, limits) / wanted,
        mean=np.where(by_mean, log_t_value(number, total, squares) / wanted, np.nan),
    )
