"""``evidence: strict``: evidence against everything the policy tolerates, not only against being alike.

Each quantity is tested against its own tolerance and the e-values are averaged with the weights of rule "avg": a canary inside
every tolerance is convicted with a chance of at most alpha at any time (rates for sure; latency, whose tolerance is estimated from
the baseline, asymptotically). Slower than the default, by design.
"""

import numpy as np

from analyzers import combine, normal, p99, promotion
from analyzers.layout import B_DEN, B_ERR, B_REQ, C_DEN, C_ERR, C_REQ, Array, Rows
from analyzers.legs.mean import log_t_value
from analyzers.terms import Limits

_CAP = 575.0
_RATE_WEIGHT = 0.25
"""Of errors, and of denials, in the sum. What a rate's evidence is discounted pays for not knowing the baseline's rate."""


def _exp(log_e: Array) -> Array:
    value: Array = np.exp(np.clip(log_e, -_CAP, _CAP))
    return value


def _rate(rows: Rows, limits: Limits, columns: tuple[int, int], floor: Array, above: Array, *, with_denied: bool) -> Array:
    """Evidence that the canary's share of events is above both ``floor`` and the baseline's plus ``above``."""
    counts = rows.counts[:, 0]
    c_req = counts[:, C_REQ] + (counts[:, C_DEN] if with_denied else 0.0)
    b_req = counts[:, B_REQ] + (counts[:, B_DEN] if with_denied else 0.0)
    known = promotion.highest_rate(
        counts[:, columns[1]], b_req, boundary=limits.boundary / (_RATE_WEIGHT * promotion.BASELINE_SHARE)
    )
    limit = np.clip(np.maximum(floor, known + above), 1e-9, 1.0 - 1e-9)
    value = _exp(promotion.log_above(counts[:, columns[0]], c_req, limit)) * (1.0 - promotion.BASELINE_SHARE)
    return np.where(c_req > 0.0, value, 1.0)


def _latency(rows: Rows, limits: Limits) -> tuple[Array, Array, Array]:
    nothing = np.ones(len(rows.raw))
    number, total, squares = rows.safe_mean.T
    mean = _exp(log_t_value(number, -total, squares))
    allowed = promotion.allowed_probability(rows, limits)
    if allowed is None:
        return nothing, nothing, mean
    room = rows.ranks[:, 0, 0] - rows.ranks[:, 0, 1] * (allowed - 0.5)
    fits = promotion.rank_fits(rows, limits)
    rank = np.where(fits, _exp(normal.log_one_sided(room, rows.ranks[:, 0, 1], scale=promotion.rank_scale(rows, limits))), 1.0)
    seen = p99.exceedance(rows, limits)
    if seen is None:
        return rank, nothing, mean
    kappa = np.where(seen.usable, seen.kappa, 1.0)
    return rank, np.where(seen.usable, _exp(p99.log_above(seen, limits.slow_end**kappa)), 1.0), mean


def legs(rows: Rows, limits: Limits) -> Array:
    """Evidence (releases, 5) of errors, denied, rank, tail and mean against their tolerances."""
    errors = _rate(rows, limits, (C_ERR, B_ERR), limits.max_rate, limits.above_baseline, with_denied=False)
    nought = np.zeros(len(errors))
    denied = _rate(rows, limits, (C_DEN, B_DEN), nought, limits.denied_above, with_denied=True)
    return np.stack([errors, denied, *_latency(rows, limits)], axis=-1)


def combined(evidence: Array) -> Array:
    """The legs' evidence as one e-value (releases,)."""
    errors, denied, rank, tail, mean = evidence.T
    value: Array = _RATE_WEIGHT * (errors + denied) + 0.5 * combine.latency(rank, tail, mean)
    return value
