"""Whether a canary may be released: the certificates asked of it, and in words what is still missing."""

import math
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
LEAST_PROGRESS: Final = 0.05
"""Below this part of the evidence needed a forecast would be a guess."""


def _more(progress: float, requests: float) -> str:
    """How many more requests a certificate will need at this pace; evidence grows about in proportion to them."""
    if progress < LEAST_PROGRESS:
        return "not in sight at this rate"
    return f"about {words.count(round_up(requests * (1.0 / progress - 1.0)))} more canary requests at this rate"


def round_up(number: float) -> float:
    """A forecast has two digits."""
    digits = 10.0 ** max(0, math.floor(math.log10(max(number, 1.0))) - 1)
    return math.ceil(number / digits) * digits


def unshown(rows: Rows, limits: Limits, tick: Tick, legs: Array) -> dict[int, list[str]]:
    """What is not shown yet, for every release that has the exposure its policy asks for; empty lists promote.

    ``legs``: e-values (releases, legs).
    """
    chosen = np.flatnonzero((rows.counts[:, 0, C_REQ] >= limits.min_requests) & (tick.t >= limits.min_seconds))
    if not len(chosen):
        return {}
    part, terms = Rows(rows.raw[chosen]), limits.take(chosen)
    certificates = promotion.certify(part, terms)
    typical, requests = certificates.typical_progress, part.counts[:, 0, C_REQ]
    tail, denied = legs[chosen, TAIL], legs[chosen, DENIED]
    asked = (terms.require_p99 > 0.0) | (tail >= NOTEWORTHY)
    p99_progress = p99.progress(part, terms) if asked.any() else np.zeros(len(chosen))
    shown, mismatched = certificates.errors, share.mismatched(part, terms)
    result = {}
    for at, place in enumerate(chosen.tolist()):
        seen, missing = float(requests[at]), []
        if not shown[at]:
            limit = words.percent(float(certificates.error_limit[at]))
            missing.append(f"an error rate below {limit} ({_more(float(certificates.error_progress[at]), seen)})")
        if np.isnan(typical[at]):
            missing.append("any latency to compare")
        elif typical[at] < 1.0:
            missing.append(f"a typical latency within its tolerance ({_more(float(typical[at]), seen)})")
        if asked[at] and p99_progress[at] < 1.0:
            missing.append(f"a p99 within its tolerance ({_more(float(p99_progress[at]), seen)})")
        if denied[at] >= NOTEWORTHY:
            missing.append("as few policy denials as the baseline's")
        if mismatched[at]:
            observed = words.percent(float(share.observed(part)[at]))
            missing.append(f"the configured traffic share ({observed} seen, {words.percent(float(terms.share[at]))} configured)")
        result[place] = missing
    return result
