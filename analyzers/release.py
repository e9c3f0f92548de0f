"""Whether a canary may be released: the certificates asked of it, and in words what is still missing."""

from typing import Final

import numpy as np

from analyzers import p99, promotion, words
from analyzers.guards import share
from analyzers.intake import Tick
from analyzers.layout import C_REQ, Array, Rows
from analyzers.report import DENIED, TAIL
from analyzers.terms import Limits

NOTEWORTHY: Final = 10.0
"""A leg without a certificate that has this e-value forbids a promotion."""


def _latency_missing(certificates: promotion.Certificates, at: int) -> str | None:
    by_rank, by_mean = bool(certificates.by_rank[at]), bool(certificates.by_mean[at])
    if not (by_rank or by_mean):
        return "any latency to compare"
    if (by_rank and not certificates.rank[at]) or (by_mean and not certificates.mean[at]):
        return "a typical latency within its tolerance"
    return None


def unshown(rows: Rows, limits: Limits, tick: Tick, legs: Array) -> dict[int, list[str]]:
    """What is not shown yet, for every release that has the exposure its policy asks for; empty lists promote.

    A tick without telemetry promotes nothing: such releases are left out. ``legs``: e-values (releases, legs).
    """
    exposed = (rows.counts[:, 0, C_REQ] >= limits.min_requests) & (tick.t >= limits.min_seconds)
    chosen = np.flatnonzero(exposed & tick.seen)
    if not len(chosen):
        return {}
    part, terms = Rows(rows.raw[chosen]), limits.take(chosen)
    certificates = promotion.certify(part, terms)
    tail, denied = legs[chosen, TAIL], legs[chosen, DENIED]
    asked = (terms.require_p99 > 0.0) | (tail >= NOTEWORTHY)
    p99_shown = p99.certified(part, terms) if asked.any() else np.zeros(len(chosen), dtype=np.bool_)
    mismatched = share.mismatched(part, terms)
    result = {}
    for at, place in enumerate(chosen.tolist()):
        missing = []
        if not certificates.errors[at]:
            missing.append(f"an error rate below {words.percent(float(certificates.error_limit[at]))}")
        latency = _latency_missing(certificates, at)
        if latency is not None:
            missing.append(latency)
        if asked[at] and not p99_shown[at]:
            missing.append("a p99 within its tolerance")
        if denied[at] >= NOTEWORTHY:
            missing.append("as few policy denials as the baseline's")
        if mismatched[at]:
            missing.append(f"the configured traffic share of {words.percent(float(terms.share[at]))}")
        result[place] = missing
    return result
